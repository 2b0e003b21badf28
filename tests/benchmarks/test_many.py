"""Many small tensors, as a case."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from winit_cuda.benchmarks import many, measure, plans

import winit_cuda
from initializers import needs_core
from winit_cuda._dispatch.many import fill_many

FAST = plans.Plan((), rounds=2, seconds_per_round=1e-4, budget=1.0, reruns=0)


def test_small_tensors_have_the_sizes_they_are_called_by() -> None:
    small = many.small_matrices()
    assert len(small) == 300
    sizes = sorted(matrix.rows * matrix.columns for matrix in small)
    assert 256 <= sizes[0] < 300
    assert 60_000 < sizes[-1] <= 65_536
    assert 3_500 < sizes[150] < 5_000  # the logarithm is uniform
    assert Counter(matrix.initializer for matrix in small) == {
        "kaiming_uniform_": 75,
        "xavier_normal_": 75,
        "normal_": 75,
        "uniform_": 75,
    }


@needs_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_small_tensors_are_filled_as_by_their_initializers(dtype: torch.dtype) -> None:
    keys = winit_cuda.split(winit_cuda.key(0), 300)
    for matrix, key in zip(many.small_matrices(), keys, strict=True):
        ours, single = (torch.empty(matrix.rows, matrix.columns, dtype=dtype) for _ in range(2))
        fill_many([matrix.job(ours)], [key])
        getattr(winit_cuda, matrix.initializer)(single, key=key)
        assert torch.equal(ours, single)


@needs_core
def test_small_tensors_can_be_measured() -> None:
    small = many.SmallTensors(dtype="float32", threads=2, device="cpu")
    row = measure.measure(small, FAST)
    assert row.note == ""
    assert None not in (row.winit_cuda, row.torch, row.fill)
    assert row.ratio is not None
    assert row.ratio > 0
