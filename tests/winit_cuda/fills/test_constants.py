"""What constant_ takes for each dtype, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import winit_cuda as winit
from initializers import Unchanged, needs_core

FLOATING = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]
INTEGER = [
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint16,
    torch.uint32,
    torch.uint64,
]
TORCH_FILLS_FLOAT8 = tuple(map(int, torch.__version__.split(".")[:2])) > (2, 4)
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("backend", ["aten", pytest.param("native", marks=needs_core)])
@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, -1.7, 3, True, 1e-9, NAN])
def test_floating_values_are_rounded_as_torch_does(backend, dtype, value):
    expected = torch.full((3, 4), value, dtype=torch.float64).to(torch.float32).to(dtype)
    if dtype == torch.float64:
        expected = torch.full((3, 4), value, dtype=dtype)
    if backend == "aten" and dtype.itemsize == 1 and not TORCH_FILLS_FLOAT8:
        pytest.skip("this torch does not fill float8")
    with winit.use_backend(backend):
        filled = winit.constant_(torch.zeros(3, 4, dtype=dtype), value)
        strided = winit.constant_(torch.zeros(4, 3, dtype=dtype).t(), value)
    assert torch.equal(filled.double().nan_to_num(5), expected.double().nan_to_num(5))
    assert torch.equal(strided.double().nan_to_num(5), expected.double().nan_to_num(5))
    signs = torch.full((3, 4), math.copysign(1, value))
    assert math.isnan(value) or torch.equal(
        filled.float().copysign(torch.ones(1)), filled.float().abs()
    )
    assert math.isnan(value) or torch.equal(torch.ones(3, 4).copysign(filled.float()), signs)


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_largest_values(dtype):
    largest = torch.finfo(dtype).max
    for value in (largest, -largest):
        assert winit.constant_(torch.zeros(1, dtype=dtype), value).item() == value
        tensor = torch.ones(2).to(dtype)
        with Unchanged(tensor), pytest.raises(ValueError, match="val must be representable"):
            winit.constant_(tensor, 2 * int(value))


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_infinity(dtype):
    tensor = torch.zeros(2, dtype=dtype)
    if dtype == torch.float8_e4m3fn:
        with (
            Unchanged(tensor),
            pytest.raises(ValueError, match=r"representable in torch\.float8_e4m3fn"),
        ):
            winit.constant_(tensor, INF)
    else:
        assert winit.constant_(tensor, INF).tolist() == [INF, INF]
        assert winit.constant_(tensor, -INF).tolist() == [-INF, -INF]


@pytest.mark.parametrize("dtype", INTEGER, ids=str)
def test_integers_keep_every_bit(dtype):
    limits = torch.iinfo(dtype)
    for value in (
        limits.min,
        limits.max,
        limits.max - 1,
        1,
        1.0,
        True,
        np.int64(1),
        torch.tensor(1),
    ):
        filled = winit.constant_(torch.zeros(3, 2, dtype=dtype).t(), value)
        assert filled.tolist() == [[int(value)] * 3] * 2
    for value in (limits.min - 1, limits.max + 1, 1.5, NAN, INF, -INF):
        tensor = torch.ones(3, dtype=dtype)
        with (
            Unchanged(tensor),
            pytest.raises(ValueError, match=f"val must be representable in {dtype}"),
        ):
            winit.constant_(tensor, value)


def test_bool():
    assert winit.constant_(torch.zeros(2, dtype=torch.bool), 1).tolist() == [True, True]
    assert winit.zeros_(torch.ones(2, dtype=torch.bool)).tolist() == [False, False]
    assert winit.ones_(torch.zeros(2, dtype=torch.bool)).tolist() == [True, True]
    for value in (2, -1, 0.5, NAN):
        with pytest.raises(ValueError, match=r"representable in torch\.bool"):
            winit.constant_(torch.zeros(2, dtype=torch.bool), value)


def test_complex():
    filled = winit.constant_(torch.zeros(2, dtype=torch.complex64), 1 - 2j)
    assert filled.tolist() == [1 - 2j, 1 - 2j]
    assert winit.ones_(filled).tolist() == [1, 1]
    for dtype in (torch.float32, torch.int32):
        with pytest.raises(TypeError, match="val must be real for a real tensor, got 1j"):
            winit.constant_(torch.zeros(2, dtype=dtype), 1j)


@pytest.mark.parametrize("value", ["1", None, [1.0], torch.ones(1), np.ones(1), object()])
def test_not_a_number(value):
    for dtype in (torch.float32, torch.int32, torch.complex64):
        tensor = torch.ones(2, dtype=dtype)
        with Unchanged(tensor), pytest.raises(TypeError, match="constant_: val must be a number"):
            winit.constant_(tensor, value)


def test_scalars_of_other_libraries():
    for value in (
        np.float32(2.5),
        np.array(2.5),
        torch.tensor(2.5),
        torch.tensor(2.5, requires_grad=True),
    ):
        assert winit.constant_(torch.zeros(2), value).tolist() == [2.5, 2.5]


def test_integers_beyond_floats():
    with pytest.raises(ValueError, match=r"representable in torch\.float64"):
        winit.constant_(torch.zeros(2, dtype=torch.float64), 10**400)
    with pytest.raises(ValueError, match=r"representable in torch\.int64"):
        winit.constant_(torch.zeros(2, dtype=torch.int64), 10**400)


@pytest.mark.skipif(not TORCH_FILLS_FLOAT8, reason="this torch does not fill float8")
def test_other_float8():
    """A dtype that the core does not know is filled by ATen."""
    tensor = torch.zeros(2, dtype=torch.float8_e5m2fnuz)
    assert winit.constant_(tensor, 1.5).float().tolist() == [1.5, 1.5]
    with pytest.raises(ValueError, match="representable"):
        winit.constant_(tensor, 1e6)
