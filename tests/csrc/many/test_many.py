"""Lists of fills: every value is that of the single fill, on the CPU and by the CUDA kernel."""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple

import numpy as np
import pytest
import torch

from core import (
    CODES,
    CPU,
    CUDA,
    DTYPES,
    EMULATED,
    INSTRUCTION_SETS,
    Key,
    box_of,
    fill,
    memory_of,
    same_bits,
)
from winit_cuda import _C

LAWS = [
    ("constant", 0.3),
    ("uniform", -1.0, 2.0),
    ("uniform", 0.25, 0.5),
    ("normal", 0.1, 0.02),
    ("normal", 0.0, 1e-30),
    ("normal", 0.5, 0.0),
    ("trunc_normal", 0.0, 1.0, -2.0, 2.0),
    ("trunc_normal", 0.1, 1.0, -2.0, 2.0),
    ("trunc_normal", 0.0, 1.0, 1.5, 3.0),
    ("trunc_normal", 0.0, 1.0, 7.0, 9.0),
    ("trunc_normal", 0.0, 1e-30, -1.0, 1.0),
]
SENTINEL = 7.0
# A list runs by so many threads, or by launches: with its descriptors and its keys among their
# parameters, or in the device's memory.
DEVICES = {place.name: place for place in EMULATED}
WAYS = ["", " memory", " keys", " memory keys"]
DEVICE = CUDA  # to describe a list for a device takes none
LAUNCHES = [name + way for name in DEVICES for way in WAYS]
RUNS = ["cpu 1", "cpu 2", "cpu 8", *LAUNCHES]


class Job(NamedTuple):
    law: tuple
    view: torch.Tensor
    box: tuple | None = None

    def item(self):
        name, *numbers = self.law
        box = self.box
        if box is None and not self.view.is_contiguous():
            box = box_of(self.view)
        code = CODES.get(self.view.dtype, 0)
        return name, self.view.data_ptr(), code, self.view.numel(), box, *numbers

    def alone(self, key):
        """The same written by the single fill, to memory of the same layout."""
        name, *numbers = self.law
        other = torch.empty_strided(self.view.shape, self.view.stride(), dtype=self.view.dtype)
        if name.startswith("constant"):
            return other.copy_(
                torch.tensor(*numbers, dtype=torch.float64)
            )  # float8 in torch 2.4, too
        return fill(name, other, *numbers, key=key, box=self.box)


def keys_of(jobs):
    return [Key(2**63 + 5 * i, 2**64 - 1 - i) for i in range(len(jobs))]


def list_of(jobs, place=CPU):
    return place.core.FillList(place.device, [job.item() for job in jobs])


def run(jobs, how="cpu 2", simd=None):
    where, *options = how.split()
    words = np.array(keys_of(jobs), dtype=np.uint64)
    if where == "cpu":
        _C.set_simd(simd)
        try:
            list_of(jobs).run(words.ctypes.data, False, 0, int(options[0]), 0)
        finally:
            _C.set_simd(None)
        return
    place = DEVICES[where]
    made = list_of(jobs, place)
    keys_there = "keys" in options
    memory = torch.empty(made.memory_bytes + 1, dtype=torch.uint8)
    use = "memory" in options and made.memory_bytes > 0
    if use:
        made.write(memory.data_ptr(), 0 if keys_there else words.ctypes.data)
    with contextlib.ExitStack() as stack:
        for job in jobs:
            stack.enter_context(memory_of(job.view, place))
        there = stack.enter_context(memory_of(torch.from_numpy(words.view(np.int64)), place))
        room = stack.enter_context(memory_of(memory, place))
        key_words = there if keys_there else words.ctypes.data
        made.run(key_words, keys_there, 0, 1, room if use else 0)


def check(jobs, how="cpu 2", simd=None):
    run(jobs, how, simd)
    for job, key in zip(jobs, keys_of(jobs), strict=True):
        assert same_bits(job.view, job.alone(key)), (job.law, job.view.dtype, job.view.shape)


def views(dtype):
    """Layouts of one dtype: sizes, alignments, strides, tiles."""

    def of(*shape):
        return torch.full(shape, SENTINEL).to(dtype)

    yield from (of(1), of(2), of(3), of(63), of(64), of(65), of(1000), of(129, 77))
    yield of(1003)[1:]
    yield of(50, 3)[:, 1]
    yield of(40, 30)[3:20, 5:17]
    yield of(130, 70).t()
    yield of(2, 3, 33, 35).to(memory_format=torch.channels_last)


def every_job(dtype):
    return [Job(law, view) for law in LAWS for view in views(dtype)]


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_law_and_layout(dtype, how):
    check(every_job(dtype), how)


@pytest.mark.parametrize("place", INSTRUCTION_SETS, ids=lambda place: place.name)
def test_every_instruction_set(place):
    check([job for dtype in DTYPES for job in every_job(dtype)][::7], simd=place.simd)


@pytest.mark.parametrize("how", RUNS)
def test_dtypes_and_sizes_in_one_list(how):
    sizes = (100_003, 1, 40_000, 7, 300_000, 64, 2, 65_537)
    jobs = [
        Job(LAWS[i * 3 % len(LAWS)], torch.full((size,), SENTINEL).to(DTYPES[i % len(DTYPES)]))
        for i, size in enumerate(sizes * 3)
    ]
    check(jobs, how)


@pytest.mark.parametrize("how", RUNS)
def test_parts_of_a_tensor(how):
    """A box with a global index: the values are those of the whole tensor's part."""
    whole = fill("normal", torch.empty(60, 50), 0.0, 1.0, key=keys_of([0])[0])
    part = torch.full((20, 30), SENTINEL)
    box = box_of(part, (60, 50), (10, 5))
    run([Job(("normal", 0.0, 1.0), part, box)], how)
    assert torch.equal(part, whole[10:30, 5:35])


@pytest.mark.parametrize("how", RUNS)
def test_a_contiguous_part_of_a_tensor(how):
    whole = fill("normal", torch.empty(3000), 0.0, 1.0, key=keys_of([0])[0])
    for first in (4, 1024, 1001):
        part = torch.full((1500,), SENTINEL)
        run([Job(("normal", 0.0, 1.0), part, ((1500,), (1,), (1,), first))], how)
        assert torch.equal(part, whole[first : first + 1500])


@pytest.mark.parametrize("how", RUNS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.int32, torch.complex64], ids=str)
def test_constant_bits(dtype, how):
    bits = 1 if dtype is torch.bool else 0x0123456789ABCDEF
    view = torch.zeros(99, 5, dtype=dtype)
    run([Job(("constant_bits", bits, dtype.itemsize), view)], how)
    written = view.view(torch.uint8).numpy().reshape(-1, dtype.itemsize)
    assert (written == list(bits.to_bytes(8, "little")[: dtype.itemsize])).all()


@pytest.mark.parametrize("how", RUNS)
def test_nothing_beside_the_tensors_is_written(how):
    frame = torch.full((40, 50), SENTINEL)
    jobs = [
        Job(("normal", 0.0, 1.0), frame[1:10, 1:-1]),
        Job(("uniform", 0.0, 1.0), frame[11:39:2, 2:-3:2]),
        Job(("constant", 1.0), frame[10, 3:-3]),
    ]
    run(jobs, how)
    for job in jobs:
        assert not (job.view == SENTINEL).any()
        job.view.fill_(SENTINEL)
    assert (frame == SENTINEL).all()


@pytest.mark.parametrize("how", LAUNCHES)
def test_more_tensors_than_parameters_hold(how):
    jobs = [Job(LAWS[i % len(LAWS)], torch.full((i % 90 + 1,), SENTINEL)) for i in range(2000)]
    assert list_of(jobs, DEVICE).memory_bytes > 2 * 32764
    check(jobs, how)


def test_few_tensors_need_no_memory():
    jobs = [Job(("normal", 0.0, 1.0), torch.empty(9)) for _ in range(500)]
    assert list_of(jobs, DEVICE).memory_bytes == 0
    assert list_of(jobs).memory_bytes == 0


def test_own_tables_are_kept_once():
    """64 one-sided laws have 64 tables; 64 tensors of one law have one."""
    tensors = [torch.empty(5) for _ in range(64)]
    different = [Job(("trunc_normal", 0.0, 1.0, 1 + i / 64, 9.0), t) for i, t in enumerate(tensors)]
    same = [Job(("trunc_normal", 0.0, 1.0, 1.0, 9.0), t) for t in tensors]
    assert list_of(same, DEVICE).memory_bytes == 0
    assert list_of(different, DEVICE).memory_bytes > 0
    for how in RUNS:
        check(different[::4], how)  # to make a table is most of the work


def test_runs_again_with_other_keys():
    views = [torch.empty(3000), torch.empty(2, 2)]
    made = list_of([Job(("normal", 0.0, 1.0), view) for view in views])
    for seed in range(3):
        words = np.array([(seed, 1), (seed, 2)], dtype=np.uint64)
        made.run(words.ctypes.data, False, 0, 2, 0)
        for view, stream in zip(views, (1, 2), strict=True):
            alone = fill("normal", torch.empty_like(view), 0.0, 1.0, key=Key(seed, stream))
            assert same_bits(view, alone)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_keys_of_names(threads):
    """Of a tensor that several threads write in pieces, too."""
    jobs = [
        Job(("normal", 0.0, 1.0), torch.empty(7)),
        Job(("constant", 0.5), torch.empty(5)),
        Job(("uniform", 0.0, 1.0), torch.empty(300_001)),
        Job(("normal", 0.0, 1.0), torch.empty(90, 70).t()),
    ]
    names = ["ä", "", "layers.0.weight", "n" * 300]
    list_of(jobs).run_named(names, 2**64 - 1, 2**63, threads)
    words = np.empty((4, 2), dtype=np.uint64)
    _C.named_keys(words.ctypes.data, names, 2**64 - 1, 2**63)
    for job, (seed, stream) in zip(jobs, words.tolist(), strict=True):
        assert same_bits(job.view, job.alone(Key(seed, stream)))


def test_wrong_names_are_refused():
    view = torch.full((3,), SENTINEL)
    made = list_of([Job(("normal", 0.0, 1.0), view), Job(("constant", 0.5), torch.empty(1))])
    for names, error in ((["a"], ValueError), (["a", "\ud800"], ValueError), (["a", 1], TypeError)):
        with pytest.raises(error):
            made.run_named(names, 0, 0, 2)
    with pytest.raises(ValueError, match="on the CPU"):
        list_of([], CUDA).run_named([], 0, 0, 2)
    assert (view == SENTINEL).all()


@pytest.mark.parametrize("place", [CPU, *EMULATED], ids=lambda place: place.name)
def test_empty_list(place):
    made = list_of([], place)
    assert made.memory_bytes == 0
    made.run(0, False, 0, 2, 0)
    if place is CPU:
        made.run_named([], 0, 0, 2)


# ---------------------------------------------------------------------------- errors


def overlapping():
    memory = torch.full((100,), SENTINEL)
    square = memory.view(10, 10)
    yield memory, memory
    yield memory[:50], memory[49:]
    yield square[:, 1], square[:, 1]
    yield memory[:50], square[2, ::2]
    yield memory[:3], memory.view(torch.int64)[1:]


@pytest.mark.parametrize("number", range(5))
def test_overlap_is_refused(number):
    first, second = list(overlapping())[number]
    jobs = [Job(("constant", 1.0), view) for view in (first, torch.empty(9), second)]
    with pytest.raises(ValueError, match="fills 0 and 2 of the list write the same memory"):
        list_of(jobs)


def test_neighbours_do_not_overlap():
    memory = torch.full((100,), SENTINEL)
    check([Job(("normal", 0.0, 1.0), memory[:50]), Job(("normal", 0.0, 1.0), memory[50:])])


GOOD = torch.empty(4)
BAD_ITEMS = [
    (("normal", GOOD.data_ptr(), 0, 4), "a fill is"),
    ([*Job(("constant", 1.0), GOOD).item()], "a fill is"),
    ((), "a fill is"),
    (None, "a fill is"),
    (("cauchy", GOOD.data_ptr(), 0, 4, None, 0.0, 1.0), "no such law"),
    (("normal", GOOD.data_ptr(), 0, 4, None, 0.0), "another number of numbers"),
    (("normal", GOOD.data_ptr(), 0, 4, None, 0.0, 1.0, 2.0), "another number of numbers"),
    ((b"normal", GOOD.data_ptr(), 0, 4, None, 0.0, 1.0), "no such law"),
    (("normal", GOOD.data_ptr(), 0, 0, None, 0.0, 1.0), "at least one element"),
    (("normal", GOOD.data_ptr(), 0, -4, None, 0.0, 1.0), "at least one element"),
    (("normal", GOOD.data_ptr(), 99, 4, None, 0.0, 1.0), "dtype"),
    (("uniform", GOOD.data_ptr(), 0, 4, None, 1.0, 0.0), "there is no float32 value"),
    (("constant_bits", GOOD.data_ptr(), 0, 4, None, 1, 3), "itemsize"),
    (("normal", GOOD.data_ptr(), 0, 4, ((5,), (1,), (1,), 0), 0.0, 1.0), "numel|box"),
]


@pytest.mark.parametrize(("item", "message"), BAD_ITEMS, ids=range(len(BAD_ITEMS)))
def test_bad_items_are_refused(item, message):
    good = torch.full((4,), SENTINEL)
    with pytest.raises(ValueError, match=message):
        _C.FillList(CPU.device, [Job(("constant", 1.0), good).item(), item])
    assert (good == SENTINEL).all()


@pytest.mark.parametrize(
    "item",
    [
        ("normal", "x", 0, 4, None, 0.0, 1.0),
        ("normal", GOOD.data_ptr(), 0.5, 4, None, 0.0, 1.0),
        ("normal", GOOD.data_ptr(), 0, 4, None, "0", 1.0),
        ("constant_bits", GOOD.data_ptr(), 0, 4, None, 1.5, 4),
        ("normal", GOOD.data_ptr(), 0, 4, 5, 0.0, 1.0),
    ],
    ids=re.escape("pdnbx"),
)
def test_items_of_other_types_are_refused(item):
    with pytest.raises(TypeError):
        _C.FillList(CPU.device, [item])
