"""Sparse columns against a sort of their words: counts, ties, layouts, parts of a matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import reference
from core import (
    CPU,
    DEVICES,
    KEY,
    bits,
    box_of,
    draw,
    every_dtype,
    everywhere,
    name_of,
    sparse,
    words,
)
from reference import Key

either_way = pytest.mark.parametrize("place", [CPU, *DEVICES], ids=name_of)
SHAPES = [(1, 1), (1, 9), (5, 1), (7, 3), (64, 64), (130, 67), (33, 200), (1000, 2)]


def zeros_of(shape, count, key=KEY):
    """Which entries are zero: in each column those with the smallest (word, row)."""
    rows, columns = shape
    order = words(rows * columns, reference.SPARSE, key=key).reshape(
        shape
    )  # test_philox.py has these
    rank = np.argsort(np.argsort(order, axis=0, kind="stable"), axis=0, kind="stable")
    return rank < count


def is_zero(matrix):
    """Bits of zero: a value that only rounds to zero, or minus zero, has others or is rare."""
    return bits(matrix) == 0


@everywhere
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_zeros_are_the_smallest_words_of_each_column(shape, place):
    for count in {0, 1, shape[0] // 3, shape[0] // 2, shape[0] - 1, shape[0]}:
        matrix = sparse(torch.empty(shape), count, 0.7, place=place)
        zeros = zeros_of(shape, count)
        assert (zeros.sum(axis=0) == count).all()
        normal = draw("normal", shape[0] * shape[1], torch.float32, 0, 0.7).view(shape).numpy()
        assert np.array_equal(matrix.numpy(), np.where(zeros, np.float32(0), normal))
        assert not np.signbit(matrix.numpy()[zeros]).any()


@everywhere
@every_dtype
def test_exact_counts_in_every_dtype(dtype, place):
    matrix = sparse(torch.ones(50, 70).to(dtype), 20, 1.0, place=place)
    zeros = zeros_of((50, 70), 20)
    normal = draw("normal", 3500, dtype, 0, 1.0).view(50, 70)
    assert np.array_equal(bits(matrix), np.where(zeros, 0, bits(normal)))


@everywhere
def test_zeros_do_not_depend_on_std(place):
    for std in (1e-3, 1.0, 40.0):
        matrix = sparse(torch.empty(40, 30, dtype=torch.float64), 13, std, place=place)
        assert np.array_equal(is_zero(matrix), zeros_of((40, 30), 13))


def column_with_ties(rows):
    """A key whose one long column has equal words, with their value and rows."""
    for seed in range(100):
        key = Key(seed, 77)
        column = words(rows, reference.SPARSE, key=key)
        ordered = np.sort(column)
        tied = ordered[:-1][ordered[:-1] == ordered[1:]]
        if len(tied):
            word = tied[len(tied) // 2]
            return key, column, word, np.flatnonzero(column == word)
    raise AssertionError("no two equal words")


@everywhere
def test_ties_go_to_the_smaller_row(place):
    # The threshold falls before, between and behind two equal words.
    rows = 60_000
    key, column, word, tied = column_with_ties(rows)
    smaller = int((column < word).sum())
    for count in range(smaller, smaller + len(tied) + 1):
        matrix = sparse(torch.empty(rows, 1), count, 1.0, key=key, place=place)
        zeros = is_zero(matrix)[:, 0]
        assert zeros.sum() == count
        assert zeros[tied].tolist() == [i < count - smaller for i in range(len(tied))]
        assert np.array_equal(zeros, zeros_of((rows, 1), count, key)[:, 0])


@everywhere
def test_parts_of_a_matrix(place):
    shape, count = (91, 150), 37
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        whole = sparse(torch.empty(shape, dtype=dtype), count, 1.0)
        for offsets, local in (
            ((0, 0), (91, 50)),
            ((0, 50), (91, 100)),
            ((0, 149), (91, 1)),
            ((30, 0), (20, 150)),
            ((90, 7), (1, 66)),
            ((13, 65), (64, 70)),
            ((45, 77), (1, 1)),
        ):
            part = whole[offsets[0] : offsets[0] + local[0], offsets[1] : offsets[1] + local[1]]
            turned = torch.empty(local[::-1], dtype=dtype).t()
            for view in (torch.empty(local, dtype=dtype), turned):
                box = box_of(view, shape, offsets)
                sparse(view, count, 1.0, shape, place=place, box=box)
                assert np.array_equal(bits(view), bits(part))


@everywhere
@pytest.mark.parametrize("stride", [(1, 40), (90, 1), (3, 130)], ids=str)
def test_strided_matrices(stride, place):
    memory = torch.full((9000,), 123.0)
    view = memory.as_strided((40, 30), stride, 11)
    sparse(view, 9, 1.0, place=place)
    assert torch.equal(view, sparse(torch.empty(40, 30), 9, 1.0))
    assert (memory == 123.0).sum() == 9000 - 1200


def test_any_number_of_threads():
    expected = sparse(torch.empty(150, 700), 31, 1.0, threads=1)
    for threads in (2, 3, 8, 16):
        assert torch.equal(sparse(torch.empty(150, 700), 31, 1.0, threads=threads), expected)


@pytest.mark.parametrize("shape", [(200_000, 1), (150_001, 3), (40_000, 61), (2, 50_000)], ids=str)
def test_threads_share_columns_and_tiles(shape):
    # Few tall columns are one tile: threads look at its rows. Joined rows leave a rest.
    zeros = zeros_of(shape, shape[0] // 2)
    for threads in (1, 2, 5):
        matrix = sparse(torch.empty(shape), shape[0] // 2, 1.0, threads=threads)
        assert np.array_equal(is_zero(matrix), zeros)


@everywhere
@pytest.mark.parametrize(
    "columns", [1, 2, 3, 4, 7, 16, 31, 32, 33, 60, 61, 62, 63, 64, 65, 125, 129]
)
def test_every_width(columns, place):
    for rows in (3, 70):
        matrix = sparse(torch.empty(rows, columns), rows // 2, 1.0, place=place)
        assert np.array_equal(is_zero(matrix), zeros_of((rows, columns), rows // 2))


@everywhere
@every_dtype
@pytest.mark.parametrize("shape", [(70, 66), (300, 3)], ids=str)
def test_every_dtype_in_every_layout(shape, dtype, place):
    count, size = shape[0] // 3, shape[0] * shape[1]
    expected = sparse(torch.empty(shape, dtype=dtype), count, 0.7)
    assert (is_zero(expected).sum(axis=0) >= count).all()
    for memory in (
        torch.empty(shape[::-1], dtype=dtype).t(),
        torch.empty(shape[0], shape[1] + 5, dtype=dtype)[:, 2:-3],
        torch.empty(2 * shape[0], 3 * shape[1], dtype=dtype)[::2, ::3],
        torch.empty(size + 1, dtype=dtype)[1:].view(shape),
    ):
        assert np.array_equal(bits(sparse(memory, count, 0.7, place=place)), bits(expected))


def test_a_matrix_that_is_written_around_the_caches():
    for shape in ((1100, 1001), (400_000, 3)):  # more than 8 MB
        matrix = sparse(torch.empty(shape, dtype=torch.float64), shape[0] // 2, 1.0)
        normal = draw("normal", shape[0] * shape[1], torch.float64, 0, 1.0).view(shape).numpy()
        zeros = zeros_of(shape, shape[0] // 2)
        assert np.array_equal(matrix.numpy(), np.where(zeros, 0, normal))


# Each shape with seeds, found by trying, and a column of each.
FAR = {
    (20_000, 16): [("below", 737, 1), ("above", 3859, 3)],
    (20_000, 3): [("below", 9412, 2), ("above", 2196, 1)],  # rows are joined
    (20_000, 62): [("above", 1083, 48), ("below", 145, 39)],  # no row begins with a block
    (70_000, 4): [("above", 2377, 3), ("below", 11559, 0)],
}


@everywhere
@pytest.mark.parametrize("shape", FAR, ids=str)
def test_a_threshold_far_from_where_it_is_expected(shape, place):
    # More than four standard deviations from it: one column in 16000.
    count = shape[0] // 2
    half = 12 + int(np.ceil(4 * np.sqrt(shape[0] / 4)))
    ends = [(count + way * half) / shape[0] * 2**32 for way in (-1, 1)]
    # The emulated devices are slow: they share the seeds.
    for side, seed, column in (
        FAR[shape] if place.architecture is None else [FAR[shape][place.device]]
    ):
        key = Key(seed, 1)
        order = words(shape[0] * shape[1], reference.SPARSE, key=key).reshape(shape)[:, column]
        threshold = np.partition(order, count - 1)[count - 1]
        assert threshold < ends[0] if side == "below" else threshold > ends[1]
        expected = zeros_of(shape, count, key)
        for threads in (1, 2) if place.device < 0 else (1,):
            matrix = sparse(torch.empty(shape), count, 1.0, key=key, place=place, threads=threads)
            assert np.array_equal(is_zero(matrix), expected)


@either_way
@pytest.mark.parametrize("count", [-1, 6])
def test_impossible_counts(count, place):
    matrix = torch.ones(5, 4)
    with pytest.raises(ValueError, match=r"zeros_per_column must be in \[0, rows\]"):
        sparse(matrix, count, 1.0, place=place)
    assert (matrix == 1).all()


@either_way
def test_no_elements(place):
    for shape in ((0, 5), (5, 0), (0, 0)):
        sparse(torch.empty(shape), 0, 1.0, place=place)


def test_words_of_another_domain():
    # The order of the entries never meets the words of their values.
    assert not np.array_equal(words(100, reference.SPARSE), words(100, reference.ELEMENT))
