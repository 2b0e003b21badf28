"""Constants, identities and dirac kernels, against torch.nn.init and against their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from core import (
    DTYPES,
    INSTRUCTION_SETS,
    box_of,
    call,
    every_dtype,
    everywhere,
    row_major,
    same_bits,
)
from winit_cuda import _C

KERNELS = [(3, 5, 3), (4, 4, 1), (5, 2, 4), (6, 3, 3, 5), (2, 2, 2, 2), (4, 6, 3, 3, 3), (8, 1, 7)]


def eye(view, place, rows=None, columns=None, box=None):
    rows, columns = view.shape if rows is None else (rows, columns)
    return call(_C.dirac, view, columns, 1, 0, rows, columns, place=place, box=box)


def dirac(view, groups, place):
    shape = view.shape
    channel = math.prod(shape[2:])
    center = sum(n // 2 * step for n, step in zip(shape[2:], row_major(shape[2:]), strict=True))
    per_group = shape[0] // groups
    limit = min(per_group, shape[1])
    return call(_C.dirac, view, shape[1] * channel, channel, center, per_group, limit, place=place)


@everywhere
@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (3, 9), (9, 3), (200, 301), (1, 50), (50, 1)])
def test_eye_is_that_of_torch(shape, place):
    for dtype in (torch.float32, torch.float64, torch.float16):
        expected = nn.init.eye_(torch.empty(shape, dtype=dtype))
        assert same_bits(eye(torch.full(shape, 7, dtype=dtype), place), expected)
        transposed = torch.full(shape[::-1], 7, dtype=dtype).t()
        assert same_bits(eye(transposed, place), expected)


@everywhere
@pytest.mark.parametrize("shape", KERNELS, ids=str)
def test_dirac_is_that_of_torch(shape, place):
    for groups in (1, 2, shape[0]):
        if shape[0] % groups:
            continue
        expected = nn.init.dirac_(torch.empty(shape), groups)
        assert same_bits(dirac(torch.full(shape, 7.0), groups, place), expected)
        turned = torch.full(shape[::-1], 7.0).permute(*reversed(range(len(shape))))
        assert same_bits(dirac(turned, groups, place), expected)


@everywhere
@every_dtype
def test_one_in_every_dtype(dtype, place):
    assert eye(torch.full((20, 30), 0.5).to(dtype), place).float().equal(torch.eye(20, 30))


@everywhere
def test_parts_of_an_identity(place):
    whole = torch.eye(40, 31)
    for rows in ((0, 40), (7, 9), (39, 40)):
        for columns in ((0, 31), (30, 31), (5, 21)):
            part = whole[rows[0] : rows[1], columns[0] : columns[1]]
            view = torch.full(part.shape, 7.0)
            eye(view, place, 40, 31, box=box_of(view, (40, 31), (rows[0], columns[0])))
            assert torch.equal(view, part)


@everywhere
def test_the_definition_of_dirac(place):
    # 1 where k == center and d == o % rows_per_group and d < limit.
    for channels, channel, center, per_group, limit in (
        (5, 6, 2, 3, 5),
        (5, 6, 0, 7, 4),
        (3, 1, 0, 2, 3),
        (4, 5, 4, 4, 1),
        (4, 5, 4, 6, 100),
    ):
        index = np.arange(11 * channels * channel)
        o, rest = np.divmod(index, channels * channel)
        d, k = np.divmod(rest, channel)
        expected = (k == center) & (d == o % per_group) & (d < limit)
        arguments = (channels * channel, channel, center, per_group, limit)
        found = call(_C.dirac, torch.full(index.shape, 7.0), *arguments, place=place)
        assert np.array_equal(found.numpy(), expected)


@everywhere
@every_dtype
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -0.3, 1e-3, 200.0])
def test_constant_is_rounded_once(value, dtype, place):
    for count in (1, 5, 64, 1000):
        found = call(_C.constant, torch.ones(count).to(dtype), value, place=place)
        expected = torch.full((count,), value, dtype=torch.float64).to(dtype)
        if dtype.itemsize < 4:
            expected = torch.full((count,), value).to(dtype)
        assert same_bits(found, expected)


@everywhere
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("value", [0, 1, -1, 0x1234567890ABCDEF])
def test_constant_bits_take_the_low_bytes(value, dtype, place):
    size = dtype.itemsize
    pattern = value % (1 << 8 * size)
    expected = pattern - (1 << 8 * size) * (pattern >> 8 * size - 1)
    view = torch.full((30, 7), 5, dtype=dtype).t()[1:]
    bits = value % (1 << 64)
    call(_C.constant_bits, view, bits, size, place=place)
    assert (view == expected).all()


def test_constants_in_memory_that_is_not_aligned_to_the_item():
    for name, value, pattern in (
        ("float64", -0.1, np.float64(-0.1)),
        ("float32", 0.3, np.float32(0.3)),
        ("float16", 0.5, np.float16(0.5)),
    ):
        size = pattern.itemsize
        for start in range(1, 9):
            memory = np.full(1200 + start, 0xA5, dtype=np.uint8)
            address = memory.ctypes.data + start
            _C.constant(address, _C.DTYPES[name], 1000 // size, None, -1, 0, 1, value)
            end = start + 1000 // size * size
            assert memory[start:end].tobytes() == pattern.tobytes() * (1000 // size)
            assert (memory[:start] == 0xA5).all()
            assert (memory[end:] == 0xA5).all()


@pytest.mark.parametrize("place", INSTRUCTION_SETS, ids=lambda place: place.name)
def test_constants_written_around_the_cache(place):
    count, begin = (128 << 20) // 2, 5
    memory = torch.full((count + 100,), 1, dtype=torch.int16)
    view = memory[begin : begin + count]
    call(_C.constant_bits, view, 0x1234, 2, place=place)
    is_filled = bool((view == 0x1234).all())  # or a failure would print it all
    assert is_filled
    assert memory[:begin].tolist() == [1] * 5
    assert memory[begin + count :].tolist() == [1] * 95


def test_constant_bits_of_other_sizes():
    memory = torch.zeros(16)
    for size in (0, 3, 16, -1):
        with pytest.raises(ValueError, match="itemsize must be 1, 2, 4 or 8"):
            call(_C.constant_bits, memory, 1, size)
    assert not memory.any()


@pytest.mark.parametrize("arguments", [(0, 1, 0, 1, 1), (4, 0, 0, 1, 1), (4, 1, 0, 0, 1)])
def test_dirac_lengths_are_positive(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        call(_C.dirac, torch.zeros(8), *arguments)


def test_codes_of_the_dtypes():
    assert {str(dtype): code for code, dtype in enumerate(DTYPES)} == {
        f"torch.{name}": code for name, code in _C.DTYPES.items()
    }


def test_instruction_sets():
    info = _C.build_info()
    assert info["simd"][0] == "portable"
    assert info["simd_active"] == info["simd"][-1]
    for name in info["simd"]:
        _C.set_simd(name)
        assert _C.build_info()["simd_active"] == name
    _C.set_simd(None)
    assert _C.build_info()["simd_active"] == info["simd"][-1]
    with pytest.raises(ValueError, match="'sse9' is not an instruction set"):
        _C.set_simd("sse9")
