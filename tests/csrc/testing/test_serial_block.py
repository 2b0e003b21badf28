"""Kernels with barriers on the CPU: right ones are, and what is wrong with others shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import _C, CUDA, SERIAL, _memory, _stream

NOTHING, FIRST_BARRIER, SECOND_BARRIER, BARRIER_OF_ODD_THREADS = range(4)


@pytest.fixture(params=[False, True], ids=["ascending", "descending"])
def order(request):
    _C.set_serial_order(request.param)
    yield request.param
    _C.set_serial_order(False)


def prefix_sums(values, threads, omission=NOTHING, place=SERIAL):
    """The running sums within each chunk of `threads`, and its number of odd values."""
    sums = torch.from_numpy(values.astype(np.int32))
    odd_counts = torch.full((-(-len(values) // threads),), -1, dtype=torch.int32)
    with _memory(sums, place) as s, _memory(odd_counts, place) as o:
        _C.prefix_sums(s, o, len(values), threads, omission, place.device, _stream(place))
    return sums.numpy(), odd_counts.numpy()


def expected(values, threads):
    chunks = [values[i : i + threads] for i in range(0, len(values), threads)]
    return np.concatenate([c.cumsum() for c in chunks]), np.array([(c % 2).sum() for c in chunks])


def is_right(values, threads, **options):
    found = prefix_sums(values, threads, **options)
    return all(map(np.array_equal, found, expected(values, threads)))


VALUES = np.random.default_rng(0).integers(1, 1000, 100)


@pytest.mark.parametrize("place", [SERIAL, pytest.param(CUDA, marks=pytest.mark.cuda)], ids=str)
@pytest.mark.parametrize("threads", [1, 2, 7, 32, 99, 100, 130])
@pytest.mark.parametrize("count", [1, 31, 100])
@pytest.mark.usefixtures("order")
def test_threads_that_wait_for_each_other(count, threads, place):
    assert is_right(VALUES[:count], threads, place=place)


@pytest.mark.parametrize("omission", [FIRST_BARRIER, SECOND_BARRIER])
def test_a_missing_barrier_shows_in_one_order(omission):
    right = []
    try:
        for descending in (False, True):
            _C.set_serial_order(descending)
            right.append(is_right(VALUES[:8], 8, omission=omission))
    finally:
        _C.set_serial_order(False)
    assert not all(right)


@pytest.mark.parametrize("threads", [2, 8])
@pytest.mark.usefixtures("order")
def test_threads_that_miss_a_barrier_are_an_error(threads):
    match = f"{(threads + 1) // 2} of {threads} threads of a block wait at a barrier"
    with pytest.raises(RuntimeError, match=match):
        prefix_sums(VALUES[:16], threads, BARRIER_OF_ODD_THREADS)
    assert is_right(VALUES, threads)  # nothing is left of it


@pytest.mark.usefixtures("order")
def test_every_run_is_the_same():
    runs = [prefix_sums(VALUES, 10, FIRST_BARRIER) for _ in range(5)]
    for run in runs[1:]:
        assert all(map(np.array_equal, run, runs[0]))


@pytest.mark.parametrize(
    ("count", "threads", "omission", "match"),
    [
        (1, 0, 0, "threads in"),
        (1, 1025, 0, "threads in"),
        (0, 8, 0, "count"),
        (1, 8, 4, "omission"),
    ],
)
def test_bad_arguments(count, threads, omission, match):
    with pytest.raises(ValueError, match=match):
        _C.prefix_sums(0, 0, count, threads, omission, SERIAL.device, 0)
