"""Boxes: the same logical values wherever the elements lie, and nothing written beside them."""

from __future__ import annotations

import itertools
import mmap
import sys
from functools import partial

import numpy as np
import pytest
import torch

import reference
from core import (
    CPU,
    EMULATED,
    INSTRUCTION_SETS,
    KEY,
    box_of,
    call,
    constant,
    draw,
    every_dtype,
    everywhere,
    fill,
    memory_of,
    same_bits,
)
from winit_cuda import _C

SENTINEL = 0x5A  # of every byte; 0.0078 in float16, 4096 and more in the others


def storage(count, dtype):
    """Memory with a byte pattern that shows what was written."""
    return torch.full((count * dtype.itemsize,), SENTINEL, dtype=torch.uint8).view(dtype)


def untouched(memory, view):
    """Whether every byte beside the view's elements is the sentinel."""
    marks = torch.zeros(memory.numel(), dtype=torch.bool)
    marks.as_strided(view.shape, view.stride(), view.storage_offset()).fill_(True)
    return bool((memory.view(torch.uint8).view(-1, memory.itemsize)[~marks] == SENTINEL).all())


def strided(shape, stride, offset=0):
    def make(dtype):
        reach = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) + 40
        memory = storage(reach, dtype)
        return memory, memory.as_strided(shape, stride, offset)

    return make


def channels_last(*shape):
    plain = torch.empty(shape, device="meta")
    form = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    return strided(shape, plain.contiguous(memory_format=form).stride())


LAYOUTS = {
    "scalar": strided((), ()),
    "one": strided((1, 1), (7, 3), 2),
    "row": strided((301,), (1,)),
    "every third": strided((301,), (3,)),
    "view from 7 on": strided((100, 5), (5, 1), 7),
    "transposed": strided((33, 71), (1, 33)),
    "padded rows": strided((33, 71), (80, 1)),
    "padded columns": strided((33, 71), (1, 40), 3),
    "rows and columns apart": strided((17, 23), (100, 3), 1),
    "batch of transposed": strided((5, 12, 9), (108, 1, 12)),
    "permuted": strided((4, 6, 8), (1, 32, 4)),
    "channels_last": channels_last(3, 7, 5, 6),
    "channels_last_3d": channels_last(2, 3, 4, 5, 6),
    "one channel, last": channels_last(4, 1, 5, 5),
    "six dimensions": strided((2, 3, 2, 3, 2, 5), (3, 6, 1, 18, 300, 54)),
    "a row of 70000": strided((2, 70_000), (70_001, 1)),
    "70000 rows": strided((70_000, 3), (4, 1)),
}
anywhere = pytest.mark.parametrize(
    "place", [*INSTRUCTION_SETS, *EMULATED], ids=lambda place: place.name
)
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
LAWS = [("uniform", (-1, 1)), ("normal", (0, 1)), ("trunc_normal", (0, 1, -2, 2))]


@everywhere
@every_layout
@every_dtype
def test_layouts_hold_the_same_logical_values(layout, dtype, place):
    memory, view = layout(dtype)
    law, numbers = LAWS[view.numel() % 3]
    fill(law, view, *numbers, place=place)
    assert same_bits(view.reshape(-1), draw(law, view.numel(), dtype, *numbers))
    assert untouched(memory, view)


@everywhere
@every_dtype
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law[0])
def test_misaligned_memory(law, dtype, place):
    name, numbers = law
    expected = draw(name, 131, dtype, *numbers)
    for offset in range(16 // dtype.itemsize + 1):
        for count in (1, 3, 64, 131):
            memory = storage(160, dtype)
            view = memory[offset : offset + count]
            fill(name, view, *numbers, place=place)
            assert same_bits(view, expected[:count])
            assert untouched(memory, view)


@everywhere
def test_prefixes(place):
    # The first values do not depend on how many there are.
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float8_e5m2):
        expected = draw("normal", 300, dtype, 0, 1)
        for count in [*range(1, 70), 127, 128, 129, 255, 256, 257, 300]:
            assert same_bits(draw("normal", count, dtype, 0, 1, place=place), expected[:count])


@anywhere
def test_negative_strides(place):
    # A view that torch itself cannot make: rows backwards, each from its end.
    values = torch.empty(60)
    box = ((5, 12), (-12, -1), (12, 1), 0)
    _C.set_simd(place.simd)
    with memory_of(values, place) as pointer:
        place.core.normal(pointer + 59 * 4, 0, 60, box, place.device, 0, 2, 0, *KEY, 0.0, 1.0)
    _C.set_simd(None)
    assert same_bits(values.flip(0), draw("normal", 60, values.dtype, 0, 1))


def shards(shape):
    """Boxes of a tensor, as (offsets, local shape): rows, columns, tiles, uneven and of one."""
    for cuts in itertools.product(*({0, 1, n // 3, n - n // 4, n} for n in shape)):
        for sizes in (1, 2, 3, 100):
            local = tuple(min(sizes, n - cut) for n, cut in zip(shape, cuts, strict=True))
            if all(local):
                yield cuts, local


@everywhere
@pytest.mark.parametrize("shape", [(23,), (12, 37), (5, 6, 7), (3, 4, 5, 6)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
def test_boxes_of_a_larger_tensor(dtype, shape, place):
    whole = draw("normal", int(np.prod(shape)), dtype, 0, 1).view(shape)
    for offsets, local in list(shards(shape))[:: 1 if len(shape) < 4 else 7]:
        part = whole[tuple(slice(o, o + n) for o, n in zip(offsets, local, strict=True))]
        for view in (torch.empty(local, dtype=dtype), torch.empty(local[::-1], dtype=dtype)):
            view = view if view.shape == local else view.permute(*range(len(local))[::-1])
            fill("normal", view, 0, 1, box=box_of(view, shape, offsets), place=place)
            assert same_bits(view, part)


# First element and columns of a matrix whose indices need 33, 34, 62 and all 63 bits.
HUGE = {
    "2^32": (1 << 32, (1 << 33) + 1),
    "2^33": ((1 << 33) + 5, (1 << 33) + 1),
    "2^61": ((1 << 61) + 3, 5),
    "2^63": ((1 << 63) - 8000, 700),
}
huge = pytest.mark.parametrize(("first", "columns"), HUGE.values(), ids=HUGE.keys())


@everywhere
@huge
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_boxes_far_into_a_huge_tensor(first, columns, dtype, place):
    found = torch.empty(6, 5, dtype=dtype)
    fill("normal", found, 0, 1, box=((6, 5), (5, 1), (columns, 1), first), place=place)
    for row in range(6):
        index = first + row * columns
        word = reference.words(KEY, reference.ELEMENT, index, 5)
        if dtype == torch.float64:
            word = reference.word_pairs(KEY, index, 5)
        assert np.array_equal(found[row].numpy(), reference.normal(word, 0.0, 1.0))


@pytest.mark.skipif(sys.platform != "linux", reason="reserves address space as Linux does")
@anywhere
def test_strides_beyond_32_bits(place):
    # 40 GB of address space, of which a few pages are touched.
    stride, sizes = (1 << 32) + 4099, (9, 70)
    try:
        memory = mmap.mmap(-1, 10 * stride, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    except OSError as error:  # no MAP_NORESERVE (0x4000) where memory must not be overcommitted
        pytest.skip(f"cannot reserve {10 * stride} bytes: {error}")
    whole = torch.frombuffer(memory, dtype=torch.float8_e5m2)
    view = whole.as_strided(sizes, (stride, 1), 5)
    fill("normal", view, 0, 1, place=place)
    assert same_bits(view.contiguous().view(-1), draw("normal", 9 * 70, view.dtype, 0, 1))
    del view, whole
    memory.close()


def apart(rank):
    """A tensor of `rank` dimensions of size 2, none of which can be merged with the next."""
    strides = tuple(3**d for d in range(rank))
    return strided((2,) * rank, strides)


@anywhere
@pytest.mark.parametrize("rank", [10, 15])
def test_many_dimensions(rank, place):
    memory, view = apart(rank)(torch.float8_e4m3fn)
    fill("uniform", view, 0, 1, place=place)
    assert same_bits(view.reshape(-1), draw("uniform", 2**rank, view.dtype, 0, 1))
    assert untouched(memory, view)


def test_too_many_dimensions():
    sizes, strides = (2,) * 16, tuple(3**d for d in range(16))
    steps = tuple(2 ** (15 - d) for d in range(16))
    with pytest.raises(ValueError, match="more than 15 dimensions"):
        _C.uniform(1 << 20, 0, 2**16, (sizes, strides, steps, 0), -1, 0, 1, 0, 1, 2, 0.0, 1.0)


def test_dimensions_that_merge_do_not_count():
    plain = torch.empty((2,) * 18 + (1,) * 6)
    fill("uniform", plain, 0, 1, box=box_of(plain))
    assert same_bits(plain.view(-1), draw("uniform", 2**18, plain.dtype, 0, 1))


def test_the_box_must_have_numel_elements():
    memory = torch.zeros(12)
    for function, rest in ((_C.uniform, (0, 1, 2, 0.0, 1.0)), (partial(constant, _C), (1.0,))):
        with pytest.raises(ValueError, match="12 elements, numel is 11"):
            function(memory.data_ptr(), 0, 11, ((3, 4), (4, 1), (4, 1), 0), -1, 0, 1, *rest)
    assert not memory.any()


@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0, 2)], ids=str)
def test_no_elements(shape):
    for place in (CPU, *EMULATED):
        view = torch.empty(shape)
        box = box_of(view)
        fill("normal", view, 0, 1, place=place, box=box)
        call(constant, view, 1.0, place=place, box=box)
