"""The quick CUDA kernel: its loop, its tail, and what the counter does on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import DTYPES, Place, draw, fill, on_each_device

PORTABLE = Place("portable", -1, "portable")
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)

# The emulated device runs four blocks of 256 threads, each with four blocks of words in a go.
SWEEP = 4 * 256 * 4 * 4
# Elements before the lowest word of the block counter carries over.
CARRY = 1 << 34


def same(place: Place, dtype: torch.dtype, count: int, index: int = 0) -> bool:
    values = [draw("uniform", count, dtype, 0, 1, index=index, place=p) for p in (place, PORTABLE)]
    found, expected = (each.view(torch.uint8).numpy() for each in values)
    return np.array_equal(found, expected)


@on_each_device
@dtypes
@pytest.mark.parametrize("sweeps", [1, 3])
def test_the_loop_hands_over_to_the_tail(dtype, sweeps, place):
    # A warp's go, two less than it and two more, and every count around whole groups.
    edges = [sweeps * SWEEP + step * 512 + more for step in (-2, -1, 0) for more in range(-17, 18)]
    assert all(same(place, dtype, count) for count in edges)


@on_each_device
@dtypes
@pytest.mark.parametrize("before", [16, 4096, 4 * 4096 + 64])
def test_the_lowest_word_of_the_counter_carries_over(dtype, before, place):
    assert same(place, dtype, 4 * 4096 + 777, CARRY - before)


@on_each_device
@dtypes
@pytest.mark.parametrize("before", [4, 8, 12, 4 + 512])
def test_a_carry_inside_a_store(dtype, before, place):
    assert same(place, dtype, 3000, CARRY - before)


@on_each_device
@dtypes
def test_a_key_in_memory_gives_the_same(dtype, place):
    box = ((5001,), (1,), (1,), CARRY - 64)
    found, expected = (
        fill(
            "uniform", torch.empty(5001, dtype=dtype), 0, 1, key_in_memory=memory, box=box, place=p
        )
        for memory, p in ((True, place), (False, PORTABLE))
    )
    assert np.array_equal(found.view(torch.uint8).numpy(), expected.view(torch.uint8).numpy())
