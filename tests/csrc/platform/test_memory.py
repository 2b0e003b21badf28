"""Memory that large orthogonal matrices leave for the next ones."""

from __future__ import annotations

import os

import pytest
import torch

from core import _C, orthogonal, same_bits

LARGE, SMALL = (3000, 1000), (2000, 1000)  # of 14 MB and of 9 MB


def made(shape, dtype=torch.float32):
    return orthogonal(torch.empty(shape, dtype=dtype), 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_what_was_in_the_memory_does_not_matter(dtype):
    expected = {}
    for shape in (LARGE, SMALL):
        _C.free_kept_memory()
        expected[shape] = made(shape, dtype)
    other = torch.float64 if dtype == torch.float32 else torch.float32
    for shape, before in ((SMALL, LARGE), (LARGE, SMALL), (SMALL, SMALL)):
        made(before, other)
        assert same_bits(made(shape, dtype), expected[shape])


def test_the_largest_block_is_kept_until_it_is_given_back():
    _C.free_kept_memory()
    made(LARGE)
    made(SMALL)
    kept = _C.free_kept_memory()
    assert 13e6 < kept < 16e6
    assert _C.free_kept_memory() == 0
    made(SMALL)
    assert 8e6 < _C.free_kept_memory() < 11e6
    made((300, 300))
    assert _C.free_kept_memory() == 0


def test_blocks_of_more_than_64_mb_are_not_kept():
    made((20000, 1100))
    assert _C.free_kept_memory() < 64 << 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_memory_of_its_own():
    expected = made(LARGE)
    child = os.fork()
    if child == 0:
        os._exit(0 if same_bits(made(LARGE), expected) else 1)
    assert same_bits(made(LARGE), expected)
    assert os.waitpid(child, 0)[1] == 0
