"""The precision of the products that orthogonal matrices are made by."""

from __future__ import annotations

import contextlib

import torch

from initializers import needs_core
from winit_cuda._core import backend
from winit_cuda._fills import precision
from winit_cuda._fills.lines import Part

pytestmark = needs_core


@contextlib.contextmanager
def torch_set(owner, name, value):
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def test_what_is_computed_in_float32():
    single = torch.empty(2, 2)
    for tensor, columns, expected in (
        (single, 257, torch.float32),
        (single.half(), 257, torch.float32),
        (single, 256, torch.float64),
        (single.double(), 257, torch.float64),
    ):
        part = Part.whole(columns, columns)
        assert precision.compute_dtype(backend.loaded, tensor, part) == expected


def test_no_setting_lets_short_products_in():
    exact_now = precision._float32_is_exact
    assert exact_now()
    for setting in ("high", "medium"):
        torch.set_float32_matmul_precision(setting)
        try:
            assert not exact_now()
        finally:
            torch.set_float32_matmul_precision("highest")
    with torch_set(torch.backends.cuda.matmul, "allow_tf32", True):
        assert not exact_now()
    assert exact_now()
    if not hasattr(torch.backends, "fp32_precision"):  # before torch 2.9
        return
    for owner in (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul, torch.backends):
        before = owner.fp32_precision
        owner.fp32_precision = "tf32"
        try:
            assert not exact_now()
        finally:
            owner.fp32_precision = before
    assert exact_now()
