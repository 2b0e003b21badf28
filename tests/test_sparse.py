"""Sparse columns against a sort of their words: counts, ties, parts of a matrix, uniformity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

import reference
from core import CPU, KEY, SERIAL, bits, box_of, draw, every_dtype, everywhere, sparse, words
from reference import Key

on_the_cpu = pytest.mark.parametrize("place", [CPU, SERIAL], ids=lambda place: place.name)
SHAPES = [(1, 1), (1, 9), (5, 1), (7, 3), (64, 64), (130, 67), (33, 200), (1000, 2)]


def zeros_of(shape, count, key=KEY):
    """Which entries are zero: in each column those with the smallest (word, row)."""
    rows, columns = shape
    order = reference.words(key, reference.SPARSE, 0, rows * columns).reshape(shape)
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
        column = reference.words(key, reference.SPARSE, 0, rows)
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


def test_every_subset_is_equally_likely():
    # 3 zeros of 6 rows: 20 subsets.
    columns = 40_000
    zeros = is_zero(sparse(torch.empty(6, columns), 3, 1.0, key=Key(3, 3)))
    codes = (zeros * (1 << np.arange(6))[:, None]).sum(axis=0)
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == 20
    assert 1e-3 < stats.chisquare(counts).pvalue < 1 - 1e-3


def test_rows_and_neighbors_are_zero_equally_often():
    zeros = is_zero(sparse(torch.empty(400, 1000), 100, 1.0, key=Key(4, 4))).astype(float)
    per_row = zeros.sum(axis=1)  # hypergeometric columns: mean 250, variance 187.5
    assert abs(per_row - 250).max() < 5 * np.sqrt(187.5)
    assert abs(np.corrcoef(zeros[:, :-1].ravel(), zeros[:, 1:].ravel())[0, 1]) < 5 / np.sqrt(4e5)


def test_values_that_stay_are_independent_of_the_zeros():
    # The zeros come from another domain: those that stay are an unbiased normal sample.
    matrix = sparse(torch.empty(500, 800), 250, 1.0, key=Key(9, 9)).numpy()
    assert stats.kstest(matrix[matrix != 0], "norm").pvalue > 1e-3


@on_the_cpu
@pytest.mark.parametrize("count", [-1, 6])
def test_impossible_counts(count, place):
    matrix = torch.ones(5, 4)
    with pytest.raises(ValueError, match=r"zeros_per_column must be in \[0, rows\]"):
        sparse(matrix, count, 1.0, place=place)
    assert (matrix == 1).all()


@on_the_cpu
def test_no_elements(place):
    for shape in ((0, 5), (5, 0), (0, 0)):
        sparse(torch.empty(shape), 0, 1.0, place=place)


def test_words_of_another_domain():
    # The order of the entries never meets the words of their values.
    assert not np.array_equal(words(100, reference.SPARSE), words(100, reference.ELEMENT))
