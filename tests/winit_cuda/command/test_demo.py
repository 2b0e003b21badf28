"""``winit-cuda demo``: the run, its tables, its verdicts."""

from __future__ import annotations

import json
import types
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from winit_cuda._command import cli, demo, demo_plan
from winit_cuda._command.demo_models import (
    Decoder,
    DemoModel,
    initialize_decoder,
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


def test_tiny_model_agrees_and_repeats_itself() -> None:
    result = demo.run_model(TINY, torch.device("cpu"), seed=0, repeats=1, all_layers=True)
    assert result.passed
    assert result.repeats_itself
    assert result.same_on_cpu is None
    assert len(result.groups) == 28
    assert result.torch_seconds > 0
    assert result.winit_seconds > 0


@pytest.mark.usefixtures("machine")
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # by the stand-in
def test_tiny_model_is_the_same_on_cuda() -> None:
    result = demo.run_model(TINY, torch.device("cuda"), seed=0, repeats=1, all_layers=False)
    assert result.passed
    assert result.same_on_cpu


def test_repeated_blocks_make_one_group() -> None:
    result = demo.run_model(TINY, torch.device("cpu"), seed=0, repeats=1, all_layers=False)
    sizes = {group.label: len(group.winit_side) for group in result.groups}
    assert sizes["blocks.*.attention_in.weight"] == 2
    assert sizes["all that are Ones()"] == 5
    stds = {group.label: group.planned_std for group in result.groups}
    assert stds["blocks.*.attention_out.weight"] == pytest.approx(0.02 / 2)
    assert len(result.groups) == 8


def test_fingerprint_sees_one_bit() -> None:
    module = torch.nn.Linear(8, 8)
    before = demo.fingerprint(module)
    assert demo.fingerprint(module) == before
    with torch.no_grad():
        module.weight.view(torch.int32)[3, 3] ^= 1
    assert demo.fingerprint(module) != before


def test_wrong_size_is_an_error() -> None:
    model = replace(TINY, parameters=(1, 2))
    with pytest.raises(RuntimeError, match=r"tiny has .* parameters, not 1 to 2"):
        demo.run_model(model, torch.device("cpu"), seed=0, repeats=1, all_layers=False)


@pytest.fixture
def only_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "MODELS", {"tiny": TINY})
    large = demo_plan.Large("a model", lambda: demo_plan.Llama(layers=3))
    monkeypatch.setattr(demo_plan, "large", lambda: large)
    monkeypatch.setattr(demo_plan, "gpt2", TINY.build)


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
    assert lines[first + 1].startswith("  Normal, 8,192 in 2 tensors ")
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
    assert f"plan of {data['plan']['title']}, " in printed
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
    assert "NO: std of winit_cuda" in printed
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
