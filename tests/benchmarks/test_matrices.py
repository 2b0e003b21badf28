"""The benchmarks of matrices: their goals, and that both sides do the work they are named for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from winit_cuda.benchmarks import cases, measure, plans, report
from winit_cuda.benchmarks.matrices import (
    DeltaOrthogonal,
    Matrix,
    OrthogonalBatch,
    OrthogonalColumns,
    target_matrices,
)

import winit_cuda
from initializers import needs_core
from measurements import made_up_report, made_up_row

FAST = plans.Plan((), rounds=2, seconds_per_round=1e-4, budget=1.0, reruns=0)
PLACE = {"dtype": "float32", "threads": 1, "device": "cpu"}
SMALL: list[cases.Case] = [
    Matrix(initializer=cases.INITIALIZERS["orthogonal_"], sides=(9, 4), **PLACE),
    Matrix(initializer=cases.INITIALIZERS["sparse_"], sides=(6, 8), **PLACE),
    OrthogonalBatch(count=3, side=5, **PLACE),
    OrthogonalColumns(side=16, **PLACE),
    DeltaOrthogonal(channels=6, **PLACE),
]


def test_every_case_has_its_own_label() -> None:
    targets = plans.plan("targets", "cpu", 2).cases
    assert len({each.label for each in targets}) == len(targets)


def test_slow_sides_take_part_five_times() -> None:
    plan = plans.plan("targets", "cpu", 2)
    assert plan.least_rounds == 5
    row = measure.measure(SMALL[0], replace(plan, budget=1e-9, reruns=0, seconds_per_round=1e-5))
    assert row.torch is not None
    assert row.torch.rounds == 5
    assert row.torch.capped


@needs_core
@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_both_sides_can_be_measured(case: cases.Case) -> None:
    for each in (case, case.small):
        row = measure.measure(each, FAST)
        assert row.note == ""
        assert None not in (row.winit_cuda, row.torch, row.fill, row.ratio)


@needs_core
def test_bfloat16_is_measured_alone() -> None:
    row = measure.measure(replace(SMALL[0], dtype="bfloat16"), FAST)
    assert row.winit_cuda is not None
    assert row.torch is None
    assert row.note.startswith("torch.nn.init raises ")
    text = report.as_text(made_up_report([row]))
    assert any(line.split()[:2] == ["orthogonal_", "bfloat16"] for line in text.splitlines())


def is_orthogonal(matrices: torch.Tensor) -> bool:
    gram = matrices.mT @ matrices
    return bool((gram - torch.eye(gram.shape[-1])).abs().max() < 1e-5)


@needs_core
@pytest.mark.parametrize("side", ["winit_cuda", "torch.nn.init"])
def test_a_batch_is_made_of_orthogonal_matrices(side: str) -> None:
    calls = SMALL[2].setup()
    tensor = calls["fill_"]()
    assert isinstance(tensor, torch.Tensor)
    calls[side]()
    assert tensor.shape == (3, 5, 5)
    assert is_orthogonal(tensor)
    assert not torch.equal(tensor[0], tensor[1])


@needs_core
@pytest.mark.parametrize("side", ["winit_cuda", "torch.nn.init"])
def test_delta_orthogonal_on_both_sides(side: str) -> None:
    calls = SMALL[4].setup()
    tensor = calls["fill_"]()
    assert isinstance(tensor, torch.Tensor)
    calls[side]()
    assert is_orthogonal(tensor[:, :, 1, 1])
    tensor[:, :, 1, 1] = 0
    assert not tensor.any()


@needs_core
def test_columns_are_those_of_the_whole() -> None:
    calls = SMALL[3].setup()
    part = calls["fill_"]()
    torch.manual_seed(0)
    calls["winit_cuda"]()
    torch.manual_seed(0)
    whole = winit_cuda.orthogonal_(torch.empty(16, 16))
    assert isinstance(part, torch.Tensor)
    assert torch.allclose(part, whole[:, 8:10], rtol=0, atol=1e-6)


def test_matrices_are_in_every_report() -> None:
    matrices = [replace(each, isa="avx512") for each in target_matrices("cpu", 2)]
    rows = [made_up_row(each, 3.2) for each in matrices]
    text, page = (form(made_up_report(rows)) for form in (report.as_text, report.as_markdown))
    for each in matrices:
        assert f"| {each.name} | {each.dtype} | {each.size} |" in page
        assert any(each.name in line and each.size in line for line in text.splitlines())
    assert "Goals: 0 of 7 reached; missed: orthogonal_ float32 2^18 avx512 3.20x, goal 3.5x" in text
