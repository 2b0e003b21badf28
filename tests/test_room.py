"""Memory that large orthogonal matrices leave for the next ones."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pytest
import torch

from core import _C, orthogonal, same_bits

LARGE, SMALL = (3000, 700), (1100, 1000)  # rooms of 11 MB and of 6 MB


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


# malloc_trim is glibc's own.
measurable = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="memory is measured with glibc, in /proc",
)
MB = 1 << 20


def resident():
    """Bytes of resident memory, but for what malloc holds without need."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@measurable
def test_memory_is_kept_until_it_is_given_back():
    tensor = torch.zeros(LARGE)
    orthogonal(tensor, 1.0)  # threads and code are there
    _C.free_kept_memory()
    before = resident()
    for _ in range(20):
        orthogonal(tensor, 1.0)
    assert before + 6 * MB < resident() < before + 30 * MB  # one block, not twenty
    _C.free_kept_memory()
    _C.free_kept_memory()
    assert resident() < before + 4 * MB


@measurable
def test_larger_blocks_are_not_kept():
    tensor = torch.zeros((20000, 1100))
    _C.free_kept_memory()
    before = resident()
    orthogonal(tensor, 1.0)
    assert resident() < before + 68 * MB


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_memory_of_its_own():
    expected = made(LARGE)
    child = os.fork()
    if child == 0:
        os._exit(0 if same_bits(made(LARGE), expected) else 1)
    assert same_bits(made(LARGE), expected)
    assert os.waitpid(child, 0)[1] == 0
