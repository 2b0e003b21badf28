"""The CUDA kernels and every instruction set, on random cases: byte for byte what one of them does.

A case is a fill of some memory by a law, a dtype, a layout and a box. The memory is compared whole,
with what lies beside the elements.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from core import (
    DEVICES,
    DTYPES,
    INSTRUCTION_SETS,
    KEY,
    Box,
    Place,
    call,
    constant,
    constant_bits,
    draw,
    fill,
    name_of,
    on_each_device,
    reflectors,
    row_major,
    sparse,
)
from reference import Key
from winit_cuda import _C

PORTABLE = Place("portable", -1, "portable")
OTHER_SETS = [place for place in INSTRUCTION_SETS if place.simd != "portable"]
others = pytest.mark.parametrize("place", [*OTHER_SETS, *DEVICES], ids=name_of)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.complex64)
NUMBERS = {
    # Those with a spread below 2^-90 are made on another scale, by other kernels.
    "uniform": [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.3), (-3.0, 100.0), (-1e-30, 1e-30)],
    "normal": [(0.0, 1.0), (0.0, 0.02), (2.0, 1e-3), (0.0, 1e-6), (0.0, 1e-40)],
    "trunc_normal": [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 1.0, 0.0, 3.0),
        (0.0, 1.0, -9.0, -3.0),
        (0.5, 2.0, -1.0, 30.0),
        (0.0, 1e-30, -2e-30, 2e-30),
        (0.0, 1e-30, 0.0, 3e-30),
    ],
}
RANDOM = tuple(NUMBERS)
CONSTANTS = {"constant": constant, "constant_bits": constant_bits}


@dataclass(frozen=True)
class Case:
    """A fill of a view of some memory: all of a tensor (box None) or a box of a larger one."""

    what: str
    dtype: torch.dtype
    arguments: tuple[Any, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    box: Box | None
    key: Key

    def run(self, place):
        """The memory after the fill at the place."""
        pairs = zip(self.sizes, self.strides, strict=True)
        reach = self.offset + sum((n - 1) * s for n, s in pairs) + 1 if all(self.sizes) else 1
        memory = torch.full(((reach + 20) * self.dtype.itemsize,), 0xA5, dtype=torch.uint8)
        view = memory.view(self.dtype).as_strided(self.sizes, self.strides, self.offset)
        where = {"place": place, "box": self.box, "threads": self.threads}
        if self.what in RANDOM:
            in_memory = self.offset % 5 == 4
            fill(self.what, view, *self.arguments, key=self.key, key_in_memory=in_memory, **where)
        else:
            call(CONSTANTS[self.what], view, *self.arguments, **where)
        return memory.numpy()

    @property
    def threads(self):
        return (1, 2, 3, 8)[self.key.seed % 4]

    @property
    def aligned(self):
        return self.offset * self.dtype.itemsize % 16 == 0


def random_strides(choose, sizes):
    """Strides of a view whose dimensions lie in any order, some with gaps between."""
    strides = [0] * len(sizes)
    step = choose.choice([1, 1, choose.randint(2, 5)])
    order = list(range(len(sizes)))[::-1]
    if choose.random() < 0.5:
        choose.shuffle(order)
    for d in order:
        strides[d] = step
        step = step * max(sizes[d], 1) + choose.choice([0, 0, choose.randint(1, 9)])
    return tuple(strides)


def random_case(seed):
    choose = random.Random(seed)
    what = choose.choice([*RANDOM * 3, *CONSTANTS])
    dtype = choose.choice(INTEGERS if what == "constant_bits" else DTYPES)
    rank = choose.randint(0, 5)
    limit = (70, 70, 12, 12, 5, 5)[rank]
    sizes = tuple(choose.choice([1, choose.randint(0, limit)]) for _ in range(rank))
    if choose.random() < 0.1:
        sizes = (choose.randint(1000, 9000),)
    if choose.random() < 0.03:  # shared by several threads
        sizes = choose.choice(
            [
                (choose.randint(1 << 16, 1 << 17),),
                (choose.randint(9, 500), choose.randint(200, 400)),
            ]
        )
    if choose.random() < 0.3:
        shape, strides, box = sizes, row_major(sizes), None
    else:
        strides = random_strides(choose, sizes)
        shape = tuple(n + choose.choice([0, choose.randint(0, 9)]) for n in sizes)
        steps = row_major(shape)
        places = [choose.randint(0, whole - n) for whole, n in zip(shape, sizes, strict=True)]
        first = sum(place * step for place, step in zip(places, steps, strict=True))
        if choose.random() < 0.2:
            first += choose.choice([1 << 32, (1 << 34) - 3, (1 << 61) + 1])
        box = (sizes, strides, steps, first)
    arguments = {
        **{law: choose.choice(numbers) for law, numbers in NUMBERS.items()},
        "constant": (choose.choice([0.0, 1.0, -0.1, 3.14159, 1e-3]),),
        "constant_bits": (choose.getrandbits(64), dtype.itemsize),
    }[what]
    offset = choose.choice([0, choose.randint(0, 17)])
    key = Key(choose.getrandbits(64), choose.getrandbits(64))
    return Case(what, dtype, arguments, sizes, strides, offset, box, key)


CASES = [random_case(seed) for seed in range(10_000)]


def test_the_random_cases_cover_what_they_should():
    kinds = {(case.what, case.dtype) for case in CASES}
    assert len(kinds) == 4 * len(DTYPES) + len(INTEGERS)
    laws = {(case.what, case.arguments, case.dtype) for case in CASES if case.what in RANDOM}
    assert len(laws) == sum(map(len, NUMBERS.values())) * len(DTYPES)
    whole = [case for case in CASES if case.box is None and case.what in RANDOM]
    assert sum(case.aligned for case in whole) > 100
    assert sum(not case.aligned for case in whole) > 100
    assert sum(case.box is not None and case.box[3] > 1 << 32 for case in CASES) > 100
    assert sum(0 in case.sizes for case in CASES) > 60
    large = [case for case in CASES if math.prod(case.sizes) > 1 << 15]
    assert sum(case.strides != row_major(case.sizes) for case in large) > 50
    assert {case.threads for case in large} == {1, 2, 3, 8}


@pytest.mark.parametrize("part", range(10))
def test_random_cases(part):
    for case in CASES[part::10]:
        expected = case.run(PORTABLE)
        for place in OTHER_SETS:
            assert np.array_equal(case.run(place), expected), (place, case)


@on_each_device
@pytest.mark.parametrize("part", range(10))
def test_random_cases_on_devices(part, place):
    # An emulated device is slow: it gets every second case, each device others.
    for case in CASES[part::10][place.device % 2 :: 2]:
        assert np.array_equal(case.run(place), case.run(PORTABLE)), case


@others
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("before", [0, 4, 60, 64, 124, 128, 192, 256])
def test_rows_back_and_forth_across_a_carry(before, dtype, place):
    """In memory, rows far behind block 2^32 lie between rows that begin just before it."""
    sizes, strides, steps = (3, 2, 256), (512, 256, 1), (4, 1 << 20, 1)
    box = (sizes, strides, steps, (1 << 34) - before)
    found, expected = (
        fill("normal", torch.empty(sizes, dtype=dtype), 0, 1, place=place, box=box, threads=1)
        for place in (place, PORTABLE)
    )
    assert torch.equal(found, expected)


LAWS = [
    ("uniform", 0, 1),
    ("normal", 0, 1),
    ("trunc_normal", 0, 1, -2, 2),
    ("trunc_normal", 0, 1, 1, 3),
    ("normal", 0, 1e-30),
]


@others
@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_size_and_alignment(dtype, law, place):
    name, *numbers = law
    expected = draw(name, 80, dtype, *numbers, place=PORTABLE).view(torch.uint8).numpy()
    for count in range(71):
        for offset in {0, 1, count % (16 // dtype.itemsize)}:
            memory = torch.full((100 * dtype.itemsize,), 0xA5, dtype=torch.uint8)
            fill(name, memory.view(dtype)[offset : offset + count], *numbers, place=place)
            left, right = offset * dtype.itemsize, (offset + count) * dtype.itemsize
            assert np.array_equal(memory.numpy()[left:right], expected[: right - left])
            assert (memory[:left] == 0xA5).all()
            assert (memory[right:] == 0xA5).all()


@others
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (64, 65), (300, 70), (129, 1), (2, 99)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sparse(dtype, shape, place):
    for zeros in {0, 1, shape[0] // 2, shape[0]}:
        found = sparse(torch.empty(shape, dtype=dtype), zeros, 0.5, place=place)
        expected = sparse(torch.empty(shape, dtype=dtype), zeros, 0.5, place=PORTABLE)
        assert np.array_equal(found.view(torch.uint8).numpy(), expected.view(torch.uint8).numpy())


@others
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (5, 5), (70, 64), (65, 65), (200, 3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_reflectors(dtype, shape, place):
    # A function of the key up to rounding: the sums may be taken in another order.
    vectors, signs = reflectors(*shape, dtype, place=place)
    expected, expected_signs = reflectors(*shape, dtype, place=PORTABLE)
    assert torch.equal(signs, expected_signs)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    assert torch.allclose(vectors, expected, rtol=0, atol=tolerance)


@pytest.mark.cuda("4 GiB are too slow to emulate")
def test_more_than_2_32_elements():
    count = (1 << 32) + (1 << 20) + 7
    if torch.cuda.mem_get_info(0)[0] < 2 * count:
        pytest.skip("needs 8 GB of free CUDA memory")
    values = torch.empty(count, dtype=torch.float8_e5m2, device="cuda:0")
    stream = torch.cuda.current_stream(0).cuda_stream
    _C.normal(values.data_ptr(), 5, count, None, 0, stream, 1, 0, *KEY, 0.0, 1.0)
    for start in (0, (1 << 31) - 99, (1 << 32) - 101, count - 1000):
        expected = draw("normal", 1000, values.dtype, 0, 1, index=start)
        part = values[start : start + 1000].cpu()
        assert np.array_equal(part.view(torch.uint8).numpy(), expected.view(torch.uint8).numpy())
