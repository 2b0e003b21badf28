"""The memory of large orthogonal matrices: fresh, used before, and after a fork."""

from __future__ import annotations

import os

import pytest
import torch

from core import orthogonal, same_bits

LARGE, SMALL = (3000, 1000), (2000, 1000)  # workspaces of 10 MB and of 6 MB


def made(shape, dtype=torch.float32):
    return orthogonal(torch.empty(shape, dtype=dtype), 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_what_was_in_the_memory_does_not_matter(dtype):
    expected = {shape: made(shape, dtype) for shape in (LARGE, SMALL)}
    other = torch.float64 if dtype == torch.float32 else torch.float32
    for shape, before in ((SMALL, LARGE), (LARGE, SMALL), (SMALL, SMALL)):
        made(before, other)
        assert same_bits(made(shape, dtype), expected[shape])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_memory_of_its_own():
    expected = made(LARGE)
    child = os.fork()
    if child == 0:
        os._exit(0 if same_bits(made(LARGE), expected) else 1)
    assert same_bits(made(LARGE), expected)
    assert os.waitpid(child, 0)[1] == 0
