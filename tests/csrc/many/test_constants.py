"""Constants of a list: rounding, bits, sizes and alignment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import (
    WORDS_OF,
    call,
    constant,
    constant_bits,
    every_dtype,
    every_low_precision,
    everywhere,
    same_bits,
)
from winit_cuda import _C


@everywhere
@every_dtype
@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -0.3, 1e-3, 200.0])
def test_constant_is_rounded_once(value, dtype, place):
    for count in (1, 5, 64, 1000):
        found = call(constant, torch.ones(count).to(dtype), value, place=place)
        expected = torch.full((count,), value, dtype=torch.float64).to(dtype)
        if dtype.itemsize < 4:
            expected = torch.full((count,), value).to(dtype)
        assert same_bits(found, expected)


@every_low_precision
def test_constants_around_the_largest_value(dtype):
    """Beyond the tie above it comes the next pattern; the tie itself goes to the even one."""
    words = WORDS_OF[dtype.itemsize]
    largest = torch.tensor(torch.finfo(dtype).max, dtype=dtype)
    pattern = largest.view(words).item()
    below = (largest.view(words) - 1).view(dtype).item()
    tie = torch.tensor(largest.item() + (largest.item() - below) / 2)
    infinity = torch.tensor(float("inf"))
    for value, expected in (
        (tie.nextafter(-infinity), pattern),
        (tie, pattern + pattern % 2),
        (tie.nextafter(infinity), pattern + 1),
    ):
        for sign in (1, -1):
            found = call(constant, torch.ones(5).to(dtype), sign * value.item())
            patterns = found.view(words).numpy().view(f"u{dtype.itemsize}")
            negative = (sign < 0) << 8 * dtype.itemsize - 1
            assert (patterns == expected + negative).all()


@everywhere
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("value", [0, 1, -1, 0x1234567890ABCDEF])
def test_constant_bits_take_the_low_bytes(value, dtype, place):
    size = dtype.itemsize
    pattern = value % (1 << 8 * size)
    expected = pattern - (1 << 8 * size) * (pattern >> 8 * size - 1)
    view = torch.full((30, 7), 5, dtype=dtype).t()[1:]
    bits = value % (1 << 64)
    call(constant_bits, view, bits, size, place=place)
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
            constant(_C, address, _C.DTYPES[name], 1000 // size, None, -1, 0, 1, value)
            end = start + 1000 // size * size
            assert memory[start:end].tobytes() == pattern.tobytes() * (1000 // size)
            assert (memory[:start] == 0xA5).all()
            assert (memory[end:] == 0xA5).all()


def test_constant_bits_of_other_sizes():
    memory = torch.zeros(16)
    for size in (0, 3, 16, -1):
        with pytest.raises(ValueError, match="itemsize must be 1, 2, 4 or 8"):
            call(constant_bits, memory, 1, size)
    assert not memory.any()


@everywhere
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_every_size_and_alignment(dtype, place):
    size = dtype.itemsize
    bits = 0x0123456789ABCDEF
    pattern = bits.to_bytes(8, "little")[:size]
    for count in (1, 2, 7, 31, 255, 256, 257, 1000, 2048 // size + 1, 9001):
        for offset in (0, 1, 3):
            memory = torch.full(((count + 9) * size,), 0xA5, dtype=torch.uint8)
            view = memory.view(dtype)[offset : offset + count]
            call(constant_bits, view, bits, size, place=place)
            left, right = offset * size, (offset + count) * size
            expected = b"\xa5" * left + pattern * count + b"\xa5" * (9 - offset) * size
            assert memory.numpy().tobytes() == expected
            assert right == left + len(pattern * count)


LARGE = [(3 << 20) + 5, (33 << 20) + 13]  # bytes; the second is written around the caches


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("least", LARGE, ids=["cached", "streamed"])
def test_threads_leave_no_element_out_between_them(least, size):
    """Every element of large constants, from several places on, and none beside them."""
    bits = 0x0123456789ABCDEF
    pattern = np.frombuffer(bits.to_bytes(8, "little")[:size], dtype=f"u{size}")[0]
    dtype = getattr(torch, f"int{8 * size}")
    count = least // size + 1
    memory = torch.empty(count + 64, dtype=dtype)
    for threads in (1, 2, 3, 7):
        for start in (0, 1, 64 // size - 1):
            memory.fill_(0x5A)
            call(constant_bits, memory[start : start + count], bits, size, threads=threads)
            is_set = memory.numpy().view(f"u{size}") == pattern
            assert is_set[start : start + count].all()
            assert is_set.sum() == count


def test_threads_leave_no_element_out_of_a_list():
    """The pieces that threads take end within tensors, and at their ends."""
    sizes = [3, (2 << 20) + 7, 1, (9 << 20) + 3, 0, 8191, (4 << 20) + 1]  # of float32: 36 MB in one
    for threads in (1, 2, 3, 7):
        tensors = [torch.zeros(size) for size in sizes]
        items = [
            (
                "constant",
                tensor.data_ptr(),
                _C.DTYPES["float32"],
                tensor.numel(),
                None,
                number + 1.0,
            )
            for number, tensor in enumerate(tensors)
            if tensor.numel()
        ]
        no_keys = np.zeros(2 * len(items), dtype=np.uint64)
        _C.FillList(-1, items).run(no_keys.ctypes.data, False, 0, threads, 0)
        for number, tensor in enumerate(tensors):
            assert tensor.eq(number + 1).all()
