"""Sparse matrices whose tiles of words are kept: a multiple of four columns, whole tiles a thread.

Few elements are made so by any number of threads, many only where the threads are kept busy.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import reference
from core import INSTRUCTION_SETS, KEY, bits, box_of, draw, every_dtype, same_bits, sparse, words
from reference import Key

every_set = pytest.mark.parametrize("place", INSTRUCTION_SETS, ids=lambda place: place.name)


def order_of(shape):
    """The words that decide, one for each element."""
    return words(shape[0] * shape[1], reference.SPARSE, key=KEY).reshape(shape)


def zeros_of(order, count):
    """In each column the `count` smallest (word, row)."""
    rank = np.argsort(np.argsort(order, axis=0, kind="stable"), axis=0, kind="stable")
    return rank < count


def zeros_in(matrix):
    return bits(matrix) == 0


@every_set
@pytest.mark.parametrize(
    "shape", [(1, 4), (2, 8), (3, 64), (7, 200), (60, 132), (1000, 68), (4096, 64)], ids=str
)
def test_zeros_are_the_smallest_words_of_each_column(shape, place):
    order = order_of(shape)
    normal = draw("normal", shape[0] * shape[1], torch.float32, 0, 0.7).view(shape).numpy()
    for count in {1, shape[0] // 10, shape[0] // 2, shape[0] - 1, shape[0]} - {0}:
        matrix = sparse(torch.empty(shape), count, 0.7, place=place, threads=1).numpy()
        expected = np.where(zeros_of(order, count), np.float32(0), normal)
        assert np.array_equal(matrix.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("count", [1, 2, 8192, 16382, 16383], ids=str)
def test_halves_that_are_shared(count):
    """Among 128 long columns some have the largest half twice, or the smallest, or the middle's."""
    shape = 16384, 128
    order = order_of(shape)
    upper = np.sort(order >> np.uint32(16), axis=0)
    assert (upper[count - 1] == upper[count]).any()  # the threshold's half goes on
    found = sparse(torch.empty(shape), count, 1.0, threads=1)
    assert np.array_equal(zeros_in(found), zeros_of(order, count))


def test_a_tile_that_is_looked_at_twice():
    """One lane's window misses its threshold after others have split a shared half."""
    key = Key(0, 0)
    for shape, count in (((3000, 256), 300), ((4096, 1024), 3687)):
        order = words(shape[0] * shape[1], reference.SPARSE, key=key).reshape(shape)
        found = sparse(torch.empty(shape), count, 1.0, key=key, threads=1)
        assert np.array_equal(zeros_in(found), zeros_of(order, count))


MOST_HALF = 65535


def missed(upper, zeros):
    """The columns whose threshold lies above, and below, kept.cpp's first window."""
    upper, density = upper.astype(np.int64), len(upper) / (MOST_HALF + 1)
    bound = np.full(upper.shape[1], int(zeros / density))
    for _ in range(2):
        missing = zeros - (upper <= bound).sum(axis=0)
        bound = np.clip(bound + missing / density, 0, MOST_HALF).astype(int)
    missing = zeros - (upper <= bound).sum(axis=0)
    away = np.abs(missing)
    reach = np.ceil((away + 3 * np.sqrt(away + 1) + 3) / density)
    above = (missing > 0) & ((upper <= bound + reach).sum(axis=0) < zeros)
    below = (missing <= 0) & ((upper < np.maximum(bound - reach, 0)).sum(axis=0) >= zeros)
    return np.flatnonzero(above).tolist(), np.flatnonzero(below).tolist()


@every_set
@pytest.mark.parametrize(
    ("rows", "seed", "above", "below"),
    [
        (60, 2645, [50], []),
        (60, 77, [], [58]),
        (300, 2144, [53], []),
        (300, 7, [], [48]),
        (16384, 5, [63], []),
        (16384, 53, [], [38]),
    ],
)
def test_a_threshold_outside_of_its_window(rows, seed, above, below, place):
    """The window is widened: one column in 2000 to 100000. Seeds found by trying."""
    shape, count, key = (rows, 64), rows // 2, Key(seed, 1)
    order = words(rows * 64, reference.SPARSE, key=key).reshape(shape)
    assert missed(order >> np.uint32(16), count) == (above, below)
    found = sparse(torch.empty(shape), count, 1.0, key=key, place=place, threads=1)
    assert np.array_equal(zeros_in(found), zeros_of(order, count))


def test_equal_words_go_to_the_smaller_row():
    shape = 16384, 128
    order = order_of(shape)
    ordered = np.sort(order, axis=0)
    tied = np.argwhere(ordered[:-1] == ordered[1:])
    assert len(tied) > 1
    for rank, column in tied:
        found = sparse(torch.empty(shape), int(rank) + 1, 1.0, threads=1)
        assert np.array_equal(zeros_in(found), zeros_of(order, rank + 1))
        rows = np.flatnonzero(order[:, column] == ordered[rank, column])
        assert zeros_in(found)[rows, column].tolist() == [True, False]


@every_set
@every_dtype
def test_every_dtype(dtype, place):
    shape = 300, 140
    found = sparse(torch.ones(shape).to(dtype), 100, 1.0, place=place, threads=1)
    normal = draw("normal", shape[0] * shape[1], dtype, 0, 1.0).view(shape)
    assert np.array_equal(bits(found), np.where(zeros_of(order_of(shape), 100), 0, bits(normal)))


@every_set
def test_parts_of_a_matrix(place):
    shape = 500, 260
    whole = sparse(torch.empty(shape), 123, 1.0, place=place, threads=1)
    for row, rows, column, columns in (
        (0, 500, 64, 64),
        (100, 7, 4, 256),
        (499, 1, 256, 4),
        (3, 400, 8, 3),
        (17, 20, 100, 130),
    ):
        view = torch.full((2 * rows, 300), 7.0)[::2, 10 : 10 + columns]
        box = box_of(view, shape, (row, column))
        sparse(view, 123, 1.0, shape, box=box, place=place, threads=1)
        assert torch.equal(view, whole[row : row + rows, column : column + columns])


def test_what_does_not_begin_with_a_block_has_the_same_zeros():
    """Such rows are made another way; their words are not where a tile would look."""
    odd = sparse(torch.empty(60, 131), 20, 1.0, threads=1)
    assert np.array_equal(zeros_in(odd), zeros_of(order_of((60, 131)), 20))
    whole = sparse(torch.empty(60, 132), 20, 1.0, threads=1)
    view = torch.empty(60, 128)
    sparse(view, 20, 1.0, (60, 132), box=box_of(view, (60, 132), (0, 1)), threads=1)
    assert torch.equal(view, whole[:, 1:129])


@every_set
@pytest.mark.parametrize("column", [192, 224, 256], ids=str)
def test_rows_around_a_carry_of_the_block_counter(column, place):
    """Block 2^32 begins at column 256 of row 8191. Rows are made two at a time."""
    shape, columns = (16384, 2097408), 68
    assert 8191 * shape[1] + 256 == 1 << 34
    view = torch.empty(shape[0], columns)
    box = box_of(view, shape, (0, column))
    found = sparse(view, 5000, 1.0, shape, box=box, place=place, threads=1)
    starts = [row * shape[1] + column for row in range(shape[0])]
    order = np.stack([words(columns, reference.SPARSE, start) for start in starts])
    assert np.array_equal(zeros_in(found), zeros_of(order, 5000))


def test_any_number_of_threads():
    shape = 700, 2056
    expected = sparse(torch.empty(shape), 300, 1.0, threads=1)
    for threads in (2, 3, 8, 16):
        assert same_bits(sparse(torch.empty(shape), 300, 1.0, threads=threads), expected)


@every_set
@pytest.mark.parametrize(
    ("dtype", "columns"), [(torch.float32, 1204), (torch.bfloat16, 2228), (torch.float64, 692)]
)
def test_a_matrix_that_is_written_around_the_caches(dtype, columns, place):
    """Few rows begin with a line of the cache, and none ends with a chunk of elements."""
    shape = 2048, columns
    found = sparse(torch.empty(shape, dtype=dtype), 1024, 1.0, place=place, threads=1)
    normal = draw("normal", shape[0] * shape[1], dtype, 0, 1.0).view(shape)
    assert np.array_equal(bits(found), np.where(zeros_of(order_of(shape), 1024), 0, bits(normal)))
