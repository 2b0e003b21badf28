"""Laws of parameters, their groups, and whether values follow them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.stats
import torch
from torch import nn

from winit_cuda._command import demo
from winit_cuda._command.demo_models import (
    MODELS,
    DemoModel,
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


def laws_of(model: DemoModel) -> dict[str, Law]:
    module = model.build_on_meta()
    recorder = LawRecorder(module)
    model.initialize(module, recorder)
    return recorder.laws


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


def test_fingerprint_sees_one_bit() -> None:
    module = nn.Linear(8, 8)
    before = demo.fingerprint(module)
    assert demo.fingerprint(module) == before
    with torch.no_grad():
        module.weight.view(torch.int32)[3, 3] ^= 1
    assert demo.fingerprint(module) != before
