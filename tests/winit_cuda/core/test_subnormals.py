"""Subnormal numbers are what they are in a thread that flushes them to zero."""

from __future__ import annotations

import math

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._core import subnormals
from winit_cuda._dispatch.many import Batch, Job
from winit_cuda._fills.elementwise import UNIFORM

F64 = torch.float64
CALLS = [
    ("uniform_", (20,), F64, (1e-310, 3e-310)),
    ("uniform_", (20,), F64, (-1e-310, 1e-300)),
    ("uniform_", (20,), F64, (3e-310, 3e-310)),
    ("uniform_", (20,), torch.float32, (1e-40, 3e-40)),
    ("uniform_", (20,), torch.float16, (1e-7, 3e-7)),
    ("normal_", (20,), F64, (1e-310, 1e-311)),
    ("trunc_normal_", (20,), F64, (0.0, 1e-310, -2e-310, 2e-310)),
    ("trunc_normal_", (20,), F64, (0.0, 1e-310, 0.0, math.inf)),
    ("trunc_normal_", (20,), F64, (0.0, 1.0, 1e-310, 2e-310)),
    ("trunc_normal_", (20,), F64, (1e-310, 0.0, 1e-311, 2e-310)),
    ("trunc_normal_", (20,), torch.float32, (0.0, 1e-40, 2e-40, 2e-40)),
    ("xavier_uniform_", (4, 5), F64, (1e-310,)),
    ("xavier_normal_", (4, 5), F64, (-1e-310,)),
    ("xavier_normal_", (4, 5), F64, (-4e-308,)),
    ("kaiming_normal_", (4, 5), F64, (1e154,)),
    ("orthogonal_", (4, 5), F64, (1e-310,)),
    ("delta_orthogonal_", (4, 4, 3), F64, (1e-310,)),
    ("sparse_", (4, 5), F64, (1e-310, 1e-310)),
    ("constant_", (20,), F64, (1e-310,)),
    ("constant_", (20,), torch.float32, (1e-40,)),
    ("constant_", (20,), torch.bfloat16, (1e-40,)),
    ("constant_", (20,), torch.complex128, (1e-310j,)),
]


@pytest.fixture(autouse=True)
def _flush_no_longer():
    """Whatever a test does, the next one is not flushed."""
    yield
    torch.set_flush_denormal(False)


@needs_core
@pytest.mark.parametrize("case", CALLS, ids=str)
def test_values_do_not_depend_on_flushing(case):
    name, shape, dtype, arguments = case
    keyed = {} if name == "constant_" else {"key": winit.key(1)}
    expected = getattr(winit, name)(torch.ones(shape, dtype=dtype), *arguments, **keyed)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    found = getattr(winit, name)(torch.ones(shape, dtype=dtype), *arguments, **keyed)
    assert not subnormals.SMALLEST  # the thread flushes as before
    torch.set_flush_denormal(False)
    assert torch.equal(found, expected)
    assert (found != 0).any()


@needs_core
def test_lists():
    expected = winit.uniform_(torch.empty(9, dtype=F64), 1e-310, 3e-310, key=winit.key(1))
    torch.set_flush_denormal(True)
    tensor = torch.empty(9, dtype=F64)
    Batch([Job(UNIFORM, "uniform_", tensor, (1e-310, 3e-310))]).run([winit.key(1)])
    torch.set_flush_denormal(False)
    assert torch.equal(tensor, expected)


def test_errors_leave_the_thread_as_it_was():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    with pytest.raises(ValueError, match="val must be representable"):
        winit.constant_(torch.zeros(2, dtype=torch.int32), 1e-310)
    assert not subnormals.SMALLEST
