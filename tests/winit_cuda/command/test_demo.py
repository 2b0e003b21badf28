"""The demo: its models, its statistics, and that it notices when something is wrong."""

from __future__ import annotations

import json
import math
import types
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import scipy.stats
import torch
from torch import nn

from winit_cuda import init as winit_init
from winit_cuda._command import cli, demo
from winit_cuda._command.demo_models import (
    MODELS,
    ConvNet,
    Decoder,
    DemoModel,
    initialize_convnet,
    initialize_decoder,
)
from winit_cuda._verify.statistics import (
    Z_LIMIT,
    Law,
    LawRecorder,
    compare,
    group_parameters,
    kolmogorov_smirnov_z,
    measure,
)

if TYPE_CHECKING:
    from pathlib import Path

TINY = DemoModel(
    "tiny",
    "a decoder of two layers",
    lambda: Decoder(layers=2, width=32, heads=4, vocabulary=101, context=16),
    initialize_decoder,
    (10_000, 50_000),
)


def laws_of(model: DemoModel) -> dict[str, Law]:
    module = model.build_on_meta()
    recorder = LawRecorder(module)
    model.initialize(module, recorder)
    return recorder.laws


# ---------------------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("convnet", 25_557_032), ("transformer", 44_140_544), ("gpt2", 124_439_808)],
)
def test_parameter_counts(name: str, parameters: int) -> None:
    module = MODELS[name].build_on_meta()
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    fewest, most = MODELS[name].parameters
    assert fewest <= parameters <= most


def test_models_run() -> None:
    convnet = ConvNet(blocks=(1, 2), classes=7)
    initialize_convnet(convnet, winit_init)
    assert convnet(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    decoder = TINY.build()
    initialize_decoder(decoder, winit_init)
    assert decoder(torch.zeros(2, 16, dtype=torch.long)).shape == (2, 16, 101)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_initialized(name: str) -> None:
    module = MODELS[name].build_on_meta()
    assert set(laws_of(MODELS[name])) == {n for n, _ in module.named_parameters()}


# ---------------------------------------------------------------------------- laws and groups


def test_recorder_knows_the_laws_of_torch() -> None:
    """The formulas of the recorder against samples of torch.nn.init."""
    module = nn.ParameterDict(
        {name: nn.Parameter(torch.empty(64, 48, 3)) for name in ("a", "b", "c", "d", "e", "f")}
    )

    def initialize(module: nn.Module, init: Any) -> None:
        weights = dict(module.named_parameters())
        init.uniform_(weights["a"], -3.0, 1.0)
        init.normal_(weights["b"], 2.0, 0.5)
        init.xavier_uniform_(weights["c"], gain=2.0)
        init.kaiming_uniform_(weights["d"], a=math.sqrt(5))
        init.kaiming_normal_(weights["e"], mode="fan_out", nonlinearity="relu")
        init.constant_(weights["f"], 0.25)

    recorder = LawRecorder(module)
    initialize(module, recorder)
    torch.manual_seed(0)
    initialize(module, torch.nn.init)
    for name, parameter in module.named_parameters():
        law = recorder.laws[name]
        seen = measure([parameter], law.mean)
        verdict = compare(law, seen, seen)
        assert verdict.agree, (name, verdict)
        assert seen.std == pytest.approx(law.std, rel=0.05)


def test_repeated_blocks_make_one_group() -> None:
    groups = group_parameters(laws_of(MODELS["gpt2"]), all_layers=False)
    tensors = {label: len(names) for label, _, names in groups}
    assert tensors["blocks.*.attention_in.weight"] == 12
    assert tensors["tokens.weight"] == 1
    stds = {label: law.std for label, law, _ in groups}
    assert stds["blocks.*.attention_out.weight"] == pytest.approx(0.02 / math.sqrt(24))
    assert len(groups) == 8


def test_all_layers_keeps_every_parameter() -> None:
    laws = laws_of(MODELS["convnet"])
    groups = group_parameters(laws, all_layers=True)
    assert sorted(label for label, _, _ in groups) == sorted(laws)


# ---------------------------------------------------------------------------- statistics


def test_moments_are_those_of_scipy() -> None:
    torch.manual_seed(1)
    tensors = [torch.rand(300, 200) + 5, torch.rand(7)]
    values = torch.cat([tensor.flatten() for tensor in tensors]).double()
    seen = measure(tensors, center=5.3)
    assert seen.count == 60_007
    assert seen.mean == pytest.approx(values.mean().item(), rel=1e-9)
    assert seen.variance == pytest.approx(values.var(correction=0).item(), rel=1e-9)
    assert seen.fourth == pytest.approx(scipy.stats.moment(values.numpy(), 4), rel=1e-9)
    assert (seen.low, seen.high) == (values.min().item(), values.max().item())


def test_kolmogorov_smirnov_is_that_of_scipy() -> None:
    torch.manual_seed(2)
    first, second = torch.randn(4000), 1.1 * torch.randn(5000)
    p = scipy.stats.ks_2samp(first.numpy(), second.numpy(), method="asymp").pvalue
    assert kolmogorov_smirnov_z(first, second) == pytest.approx(-scipy.stats.norm.ppf(p / 2), 0.05)
    assert kolmogorov_smirnov_z(first, first) == 0


NORMAL = Law("normal", 0.0, 0.02)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda x: 2 * x, "std"),
        (lambda x: 1.02 * x, "std"),
        (lambda x: x + 0.001, "mean"),
        (lambda x: x.sign() * 0.02, "shape"),
        (lambda x: (torch.rand_like(x) - 0.5) * 0.02 * math.sqrt(12), "shape"),
        (lambda x: x.where(x < 0.08, math.nan), "finite"),
    ],
)
def test_wrong_values_are_noticed(wrong: Any, reason: str) -> None:
    torch.manual_seed(3)
    theirs = measure([torch.empty(400, 400).normal_(std=0.02)], 0.0)
    ours = measure([wrong(torch.empty(400, 400).normal_(std=0.02))], 0.0)
    verdict = compare(NORMAL, theirs, ours)
    assert not verdict.agree
    assert verdict.z > Z_LIMIT
    assert reason in verdict.reason


def test_right_values_agree() -> None:
    torch.manual_seed(4)
    sides = [measure([torch.empty(400, 400).normal_(std=0.02)], 0.0) for _ in range(2)]
    verdict = compare(NORMAL, *sides)
    assert verdict.agree
    assert verdict.reason == ""


def test_values_beyond_the_bounds_are_noticed() -> None:
    law = Law("uniform", 0.0, 1 / math.sqrt(3), -1.0, 1.0)
    inside, outside = torch.empty(1000).uniform_(-1, 1), torch.empty(1000).uniform_(-1, 1)
    outside[7] = 1.001
    verdict = compare(law, measure([inside], 0.0), measure([outside], 0.0))
    assert not verdict.agree
    assert "winit_cuda leaves" in verdict.reason


def test_a_constant_must_be_exact() -> None:
    law = Law("constant", 1.0, 0.0, 1.0, 1.0)
    ones = torch.ones(100)
    almost = ones.clone()
    almost[3] = 1.001
    assert compare(law, measure([ones], 1.0), measure([ones], 1.0)).agree
    assert not compare(law, measure([ones], 1.0), measure([almost], 1.0)).agree


# ---------------------------------------------------------------------------- the run


def test_fingerprint_sees_one_bit() -> None:
    module = nn.Linear(8, 8)
    before = demo.fingerprint(module)
    assert demo.fingerprint(module) == before
    with torch.no_grad():
        module.weight.view(torch.int32)[3, 3] ^= 1
    assert demo.fingerprint(module) != before


def test_tiny_model_agrees_and_repeats_itself() -> None:
    result = demo.run_model(TINY, torch.device("cpu"), seed=0, repeats=1, all_layers=True)
    assert result.passed
    assert result.repeats_itself
    assert result.same_on_cpu is None
    assert len(result.groups) == 28
    assert result.torch_seconds > 0
    assert result.winit_seconds > 0


@pytest.mark.cuda
def test_tiny_model_is_the_same_on_cuda() -> None:
    result = demo.run_model(TINY, torch.device("cuda"), seed=0, repeats=1, all_layers=False)
    assert result.passed
    assert result.same_on_cpu


def test_wrong_size_is_an_error() -> None:
    model = replace(TINY, parameters=(1, 2))
    with pytest.raises(RuntimeError, match=r"tiny has .* parameters, not 1 to 2"):
        demo.run_model(model, torch.device("cpu"), seed=0, repeats=1, all_layers=False)


@pytest.fixture
def only_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MODELS", {"tiny": TINY})


@pytest.mark.usefixtures("only_tiny")
def test_demo_prints_tables_and_writes_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "demo.json"
    words = ["demo", "--device", "cpu", "--repeats", "1", "--seed", "3", "--json", str(file)]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    (first,) = (i for i, line in enumerate(lines) if "blocks.*.feedforward_out.weight " in line)
    assert lines[first + 1].startswith("  normal, 8,192 in 2 tensors ")
    assert "tiny: the distributions agree" in printed
    assert "seed 3 twice: the weights of winit_cuda are identical to the last bit" in printed
    assert max(map(len, printed.splitlines()[3:])) <= 100
    data = json.loads(file.read_text())
    assert data["seed"] == 3
    assert data["machine"]["torch"] == torch.__version__
    (model,) = data["models"]
    assert model["agree"] is True
    assert model["same_seed_same_bits"] is True
    layer = next(layer for layer in model["layers"] if layer["layer"] == "tokens.weight")
    assert layer["expected"]["std"] == 0.02
    assert layer["expected"]["low"] is None
    assert layer["winit_cuda"]["std"] == pytest.approx(0.02, rel=0.1)


@pytest.mark.usefixtures("only_tiny")
def test_demo_fails_where_distributions_disagree(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    doubled = types.SimpleNamespace(
        normal_=lambda tensor, mean, std: torch.nn.init.normal_(tensor, mean, 2 * std),
        zeros_=torch.nn.init.zeros_,
        ones_=torch.nn.init.ones_,
    )
    monkeypatch.setattr(demo, "winit_init", doubled)
    assert cli.main(["demo", "--device", "cpu", "--repeats", "1"]) == 1
    printed = capsys.readouterr().out
    assert "NO: std differs" in printed
    assert "THE DISTRIBUTIONS DISAGREE" in printed


@pytest.mark.usefixtures("only_tiny")
def test_demo_fails_where_a_seed_is_not_honored(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = torch.Generator()
    unseeded = types.SimpleNamespace(
        normal_=lambda tensor, mean, std: torch.nn.init.normal_(tensor, mean, std, generator=own),
        zeros_=torch.nn.init.zeros_,
        ones_=torch.nn.init.ones_,
    )
    monkeypatch.setattr(demo, "winit_init", unseeded)
    assert cli.main(["demo", "--device", "cpu", "--repeats", "1"]) == 1
    assert "NOT THE SAME" in capsys.readouterr().out


def test_zero_repeats_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--repeats", "0"]) == 2
    assert "--repeats must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", ["demo", "bench"])
def test_missing_cuda_is_an_error(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--device", "cuda"]) == 2
    assert "torch finds no CUDA device" in capsys.readouterr().err
