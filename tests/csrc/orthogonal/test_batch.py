"""Many orthogonal matrices at once: each is the one that its child key gives alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import winit_cuda as winit
from core import (
    _C,
    CPU,
    DEVICES,
    EMULATED,
    KEY,
    every_dtype,
    name_of,
    orthogonal,
    orthogonal_batch,
    same_bits,
)
from reference import Key

SHAPES = [
    (1, 1), (1, 3), (2, 1), (2, 2), (3, 5), (5, 3), (8, 8), (17, 17), (40, 13), (13, 40),
    (33, 32), (64, 64), (70, 70), (200, 3), (3, 200), (130, 129),
]  # fmt: skip
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_place = pytest.mark.parametrize("place", [CPU, *DEVICES], ids=name_of)


def one_by_one(count, shape, gain=1.0, dtype=torch.float64, key=KEY):
    children = winit.split(winit.Key(*key), count)
    matrices = [
        orthogonal(torch.empty(shape, dtype=dtype), gain, key=Key(child.seed, child.stream))
        for child in children
    ]
    return torch.stack(matrices)


def close(found, expected):
    return torch.allclose(found.double(), expected.double(), rtol=0, atol=1e-14)


@every_place
@every_shape
def test_matrices_are_those_of_the_child_keys(shape, place):
    count = 5 if max(shape) < 40 else 3
    found = torch.full((count, *shape), torch.nan, dtype=torch.float64)
    orthogonal_batch(found, -0.5, place=place)
    assert close(found, one_by_one(count, shape, -0.5))


@every_place
@every_dtype
def test_rounded_once(dtype, place):
    double = orthogonal_batch(torch.empty(3, 9, 7, dtype=torch.float64), 3.0, place=place)
    found = orthogonal_batch(torch.empty(3, 9, 7, dtype=dtype), 3.0, place=place)
    expected = double if dtype == torch.float64 else double.float().to(dtype)
    assert same_bits(found, expected)
    alone = one_by_one(3, (9, 7), 3.0, dtype)
    assert torch.allclose(found.double(), alone.double(), rtol=torch.finfo(dtype).eps, atol=1e-14)
    if dtype != torch.float64:
        assert (found.double() == alone.double()).double().mean() > 0.95


@every_place
def test_an_entry_above_one_does_not_pass_the_largest_value(place):
    """The last of these is one of a hundred million: it has an entry of 1 + 4e-16."""
    matrices, key = torch.empty(15, 2, 1, dtype=torch.float64), Key(806486, 0)
    largest = torch.finfo(torch.float64).max
    assert orthogonal_batch(matrices, 1.0, key=key, place=place)[14, 0, 0] < -1
    found = orthogonal_batch(matrices, largest, key=key, place=place)
    assert found[14, 0, 0] == -largest
    assert found.isfinite().all()


@every_place
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float8_e5m2], ids=str)
def test_layouts(dtype, place):
    shape = (2, 3, 4, 5)
    whole = orthogonal_batch(torch.empty(shape, dtype=dtype), place=place)
    for order in ((3, 2, 1, 0), (1, 0, 3, 2), (2, 3, 0, 1)):
        memory = torch.full([shape[d] for d in order], 7.0).to(dtype)
        view = memory.permute(*np.argsort(order).tolist())
        assert same_bits(orthogonal_batch(view, place=place), whole)
    memory = torch.full((4, 7, 8, 12), 7.0).to(dtype)
    orthogonal_batch(memory[1:3, 1:7:2, 2:6, 1:11:2], place=place)
    assert same_bits(memory[1:3, 1:7:2, 2:6, 1:11:2], whole)
    assert (memory.float() == 7).sum() == memory.numel() - whole.numel()


@every_place
def test_keys_in_memory(place):
    expected = orthogonal_batch(torch.empty(4, 6, 6), place=place)
    found = orthogonal_batch(torch.empty(4, 6, 6), key_in_memory=True, place=place)
    assert torch.equal(found, expected)


def test_any_number_of_threads():
    expected = orthogonal_batch(torch.empty(9, 6, 6), threads=1)
    for threads in (2, 5):
        assert torch.equal(orthogonal_batch(torch.empty(9, 6, 6), threads=threads), expected)


@every_place
def test_bad_arguments(place):
    def call(numel, count, rows, columns, workspace=0):
        key = (0, *KEY)
        device = (place.device, 0, 1)
        place.core.orthogonal_batch(
            0, 0, numel, None, *device, *key, count, rows, columns, 1.0, workspace
        )

    call(0, 0, 3, 3)
    for numbers in (
        (9, 2, 3, 3),
        (9, 1, 9, 9),
        (2**40, 2**40, 2**32, 2**32),
        (0, 1, 1, 1),
        (10, 1, 3, 3),
        (9, 0, 3, 3),
    ):
        with pytest.raises(ValueError, match="numel must be"):
            call(*numbers)
    for numbers in ((0, 0, 0, 3), (0, 0, 3, -1), (9, -1, 3, 3)):
        with pytest.raises(ValueError, match="must be positive"):
            call(*numbers)


def test_what_the_kernel_takes():
    assert _C.orthogonal_batch_takes(200, 200)
    assert _C.orthogonal_batch_takes(256, 1024)
    assert not _C.orthogonal_batch_takes(257, 257)
    assert not _C.orthogonal_batch_takes(1, 1025)
    assert _C.orthogonal_batch_workspace(1000, 300, 300, -1) == 0


@pytest.mark.parametrize("place", EMULATED, ids=name_of)
def test_the_workspace_of_a_device(place):
    """Two processors with room for two blocks each: no more matrices are made at once."""
    needed = place.core.orthogonal_batch_workspace
    assert needed(1000, 32, 32, place.device) == 0
    side = 250 if place.architecture == 90 else 150
    assert needed(1000, side, side, place.device) == 4 * 8 * (side * side + 3)
    with pytest.raises(ValueError, match="1024x256"):
        needed(1, 300, 300, place.device)
    with pytest.raises(ValueError, match="need a workspace"):
        place.core.orthogonal_batch(
            0, 1, side * side, None, place.device, 0, 1, 0, *KEY, 1, side, side, 1.0, 0
        )
