"""Threads: no value depends on how many there are, who calls, or what a caller has set."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch

from children import in_a_child
from core import (
    _C,
    CODES,
    CPU,
    DTYPES,
    box_of,
    call,
    constant,
    draw,
    fill,
    orthogonal,
    same_bits,
    sparse,
)
from reference import Key

THREADS = (1, 2, 3, 8, 16)
TASKS = Path("/proc/self/task")  # a folder a thread
LARGE = 700_001  # more than 16 threads' least shares of 2^15 elements


def every_fill(dtype, threads, key):
    """One result of each kind of fill, large enough to be divided."""
    where = {"threads": threads}
    contiguous = [torch.empty(LARGE, dtype=dtype) for _ in range(3)]
    yield fill("uniform", contiguous[0], -1, 1, key=key, **where)
    yield fill("normal", contiguous[1], 0, 1, key=key, **where)
    yield fill("trunc_normal", contiguous[2], 0, 1, -2, 2, key=key, **where)
    transposed = torch.empty(211, 1103, dtype=dtype).t()
    yield fill("normal", transposed, 0, 1, key=key, **where)
    column = torch.empty(300_000, 1, dtype=dtype)
    yield fill("normal", column, 0, 1, key=key, box=box_of(column, (300_000, 3), (0, 2)), **where)
    yield call(constant, torch.empty(3_000_001, dtype=dtype), 0.1, **where)
    yield sparse(torch.empty(203, 401, dtype=dtype), 20, 1.0, key=key, **where)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_number_of_threads(dtype):
    key = Key(5, 6)
    expected = list(every_fill(dtype, 1, key))
    for threads in THREADS[1:]:
        for found, one in zip(every_fill(dtype, threads, key), expected, strict=True):
            assert same_bits(found, one)


@pytest.mark.parametrize("count", [0, 1, (1 << 15) - 1, 1 << 15, (1 << 15) + 1, (1 << 18) + 5])
def test_sizes_around_a_share(count):
    expected = draw("normal", count, torch.float32, 0, 1)
    for threads in THREADS:
        found = fill("normal", torch.empty(count), 0, 1, threads=threads)
        assert same_bits(found, expected)


@pytest.mark.parametrize("threads", [1, 4])
def test_eight_callers_at_once(threads):
    expected = {seed: list(every_fill(torch.float32, 1, Key(seed, 0))) for seed in range(3)}
    start = threading.Barrier(8, timeout=60)

    def work(caller):
        start.wait()
        for seed in range(3):
            key = Key((seed + caller) % 3, 0)
            found = every_fill(torch.float32, threads, key)
            for one, other in zip(found, expected[key.seed], strict=True):
                assert same_bits(one, other)

    with ThreadPoolExecutor(8) as callers:
        for done in [callers.submit(work, caller) for caller in range(8)]:
            done.result(timeout=120)


def test_the_gil_is_released():
    """Another Python thread runs while a fill is under way.

    No thread is made to give the lock up here: the other one gets it when a fill releases it.
    """
    large = torch.empty(1 << 22, dtype=torch.float64)
    ticks, stop = itertools.count(), threading.Event()
    latest = [0]

    def tick():
        while not stop.is_set():
            latest[0] = next(ticks)
            time.sleep(0)

    interval = sys.getswitchinterval()
    ticker = threading.Thread(target=tick)
    ticker.start()
    sys.setswitchinterval(3600)
    try:
        for _ in range(200):
            before = latest[0]
            fill("normal", large, 0, 1, threads=1)
            if latest[0] > before:
                break
        else:
            raise AssertionError("no other thread has run")
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        ticker.join()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_after_a_fork():
    # The pool's threads do not exist in the child; it must not wait for them.
    def work():
        found = fill("normal", torch.empty(LARGE), 0, 1, threads=4)
        return found[-2000:].numpy().tobytes()

    expected = work()
    assert in_a_child(work) == expected
    assert in_a_child(lambda: in_a_child(work)) == expected
    assert work() == expected


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_orthogonal_matrices_after_a_fork():
    """Made without torch's BLAS, whose threads a child does not have either."""

    def work():
        return orthogonal(torch.empty(300, 300), 1.0, threads=4)[-3:].numpy().tobytes()

    assert in_a_child(work) == work()


@pytest.mark.skipif(not TASKS.exists(), reason="counts threads as Linux does")
def test_a_forked_child_has_threads_of_its_own():
    def new_threads():
        before = len(list(TASKS.iterdir()))
        fill("normal", large, 0, 1, threads=4)
        return len(list(TASKS.iterdir())) - before

    large = torch.empty(LARGE)
    new_threads()
    assert in_a_child(lambda: str(new_threads()).encode()) == b"3"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_fork_while_another_thread_fills():
    # Small fills, so that a fork is likely to meet the pool while it hands out work.
    small = torch.empty(70_000, dtype=torch.float8_e5m2)

    def work():
        return fill("normal", torch.empty(LARGE), 0, 1, threads=3)[-2000:].numpy().tobytes()

    def keep_filling():
        while not stop.is_set():
            fill("uniform", small, 0, 1, threads=3)

    expected, stop = work(), threading.Event()
    filler = threading.Thread(target=keep_filling)
    filler.start()
    try:
        assert all(in_a_child(work, timeout=20) == expected for _ in range(10))
    finally:
        stop.set()
        filler.join()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("passing", range(4))
def test_threads_that_do_not_start(passing):
    expected = list(every_fill(torch.float32, 1, Key(5, 6)))

    def work():  # in a child, whose pool has no threads yet
        _C.fail_after("thread_start", passing)
        found = list(every_fill(torch.float32, 4, Key(5, 6)))
        return b"same" if all(map(same_bits, found, expected)) else b"others"

    assert in_a_child(work) == b"same"


@pytest.mark.skipif(not TASKS.exists(), reason="counts threads as Linux does")
def test_threads_are_asked_for_again_but_not_at_once():
    large = torch.empty(LARGE)

    def new_threads():
        before = len(list(TASKS.iterdir()))
        for _ in range(20):
            fill("normal", large, 0, 1, threads=4)
        return len(list(TASKS.iterdir())) - before

    def work():
        _C.fail_after("thread_start", 1)
        counts = [new_threads()]
        time.sleep(1.1)
        counts.append(new_threads())
        return bytes(counts)

    assert in_a_child(work) == bytes([1, 2])


def test_a_worker_that_fails():
    def fill_often():  # a worker may come too late for one of them
        for _ in range(200):
            fill("normal", large, 0, 1, threads=4)

    large = torch.empty(1 << 24)
    expected = draw("normal", LARGE, torch.float32, 0, 1)
    for _ in range(3):  # the pool is as good as before
        _C.fail_after("worker_range", 0)
        try:
            with pytest.raises(RuntimeError, match="a worker fails for a test"):
                fill_often()
        finally:
            _C.fail_after("worker_range", -1)
        assert same_bits(fill("normal", large[:LARGE], 0, 1, threads=4), expected)


def test_no_such_failure():
    with pytest.raises(ValueError, match="no such failure: weather"):
        _C.fail_after("weather", 0)


SUBNORMAL = [
    ("normal", (0.0, 1e-38)),
    ("normal", (0.0, 1e-40)),
    ("uniform", (-1e-39, 1e-40)),
    ("uniform", (0.0, 1e-310)),
    ("trunc_normal", (0.0, 1.0, 0.0, 1e-30)),
    ("trunc_normal", (0.0, 1.0, 36.0, 41.0)),
    ("normal", (0.0, 1e-6)),
]


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="cannot flush denormals here")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("law", SUBNORMAL, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_flushing_denormals_changes_nothing(law, dtype, threads):
    name, numbers = law
    if numbers == (0.0, 1e-310) and dtype != torch.float64:
        numbers = (0.0, 1e-44 if dtype == torch.float32 else 1e-4)
    expected = draw(name, 100_000, dtype, *numbers)
    torch.set_flush_denormal(True)
    try:
        found = fill(name, torch.empty_like(expected), *numbers, threads=threads)
        still_on = torch.tensor([1e-310], dtype=torch.float64).mul(1.0).item() == 0
    finally:
        torch.set_flush_denormal(False)
    assert same_bits(found, expected)
    assert still_on  # and the fill leaves the caller's mode as it was


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="cannot flush denormals here")
def test_flushing_denormals_keeps_constants():
    for dtype in DTYPES:
        for value in (1e-40, 1e-310, 6e-8, 2.0**-16):
            expected = call(constant, torch.empty(5, dtype=dtype), value)
            torch.set_flush_denormal(True)
            try:
                found = call(constant, torch.empty(5, dtype=dtype), value)
            finally:
                torch.set_flush_denormal(False)
            assert same_bits(found, expected)


def divisions_of(work):
    """What the loops of a call were divided into."""
    _C.divisions(True)
    work()
    return _C.divisions(False)


def share_of_the_ideal(costs, threads):
    """How near threads that take the costs in turn come to each having the same."""
    ends = [0.0] * threads
    for cost in costs:
        ends[ends.index(min(ends))] += cost
    return sum(costs) / threads / max(ends)


def lengths(count, length):
    return [min(length, count - begin) for begin in range(0, count, length)]


@pytest.mark.parametrize("threads", [2, 4, 16, 64])
def test_many_threads_have_the_same_work(threads):
    tensor = torch.empty(4096, 4096)
    for work in (
        lambda: fill("normal", tensor, 0, 1, threads=threads),
        lambda: fill("normal", tensor.t(), 0, 1, threads=threads),
        lambda: sparse(tensor, 2048, 1.0, threads=threads),
    ):
        ((count, length, used),) = divisions_of(work)
        assert used == threads
        assert share_of_the_ideal(lengths(count, length), threads) > 0.95


@pytest.mark.parametrize("threads", [2, 4, 16])
def test_many_threads_have_the_same_work_of_an_orthogonal_matrix(threads):
    found = divisions_of(lambda: orthogonal(torch.empty(1024, 1024), 1.0, threads=threads))
    *panels, strips = [each for each in found if each[2] > 1]  # the rest are within those
    assert {used for _, _, used in (*panels, strips)} == {threads}
    count, length, _ = strips
    assert length == 1
    # The later a strip, the more reflectors it meets.
    assert share_of_the_ideal(list(range(count, 0, -1)), threads) > 0.9


@pytest.mark.parametrize("threads", [2, 4, 16])
@pytest.mark.parametrize("large", [0, 1 << 22], ids=["small", "one large"])
def test_many_threads_have_the_same_work_of_a_list(threads, large):
    sizes = [64 * (4 + i) for i in range(300)]
    sizes[7] = large or sizes[7]
    tensors = [torch.empty(size) for size in sizes]
    items = [
        ("normal", each.data_ptr(), CODES[each.dtype], each.numel(), None, 0.0, 1.0)
        for each in tensors
    ]
    keys = torch.arange(600)
    run = partial(_C.FillList(CPU.device, items).run, keys.data_ptr(), False, 0, threads, 0)
    ((pieces, length, used),) = divisions_of(run)
    # Pieces become shorter: what is left falls with the square of how many pieces are.
    left = [((pieces - i) / pieces) ** 2 for i in range(0, pieces, length)] + [0.0]
    assert used == threads
    assert share_of_the_ideal([a - b for a, b in itertools.pairwise(left)], threads) > 0.8


@pytest.mark.parametrize("side", [4, 64, 128, 180])
def test_small_work_stays_on_the_calling_thread(side):
    tensor = torch.empty(side, side)

    def work():
        for _ in range(2):  # the second finds the pool awake
            fill("normal", tensor, 0, 1, threads=8)
            sparse(tensor, side // 2, 1.0, threads=8)

    assert {used for _, _, used in divisions_of(work)} == {1}
