"""The law of sparse columns: uniform over subsets, columns independent of each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from core import bits, sparse
from reference import Key


def zeros_of(rows, columns, count, seed):
    """Which entries are zero."""
    matrix = sparse(torch.empty(rows, columns), count, 1.0, key=Key(seed, 5))
    return bits(matrix) == 0


def plausible(statistic, degrees):
    """A chi-squared statistic neither too large nor too small to be true."""
    return 1e-4 < stats.chi2.sf(statistic, degrees) < 1 - 1e-4


def agrees_with(counts, expected):
    """A count of each of several outcomes against their expected number."""
    counts = np.asarray(counts, dtype=float).ravel()
    return plausible(((counts - expected) ** 2 / expected).sum(), counts.size - 1)


def subset_counts(zeros, count):
    """How many columns have each subset of `count` rows."""
    rows = zeros.shape[0]
    codes = (zeros * (1 << np.arange(rows))[:, None]).sum(axis=0)
    subsets = [sum(1 << row for row in rows) for rows in itertools.combinations(range(rows), count)]
    assert np.isin(codes, subsets).all()
    return np.bincount(codes, minlength=1 << rows)[subsets]


@pytest.mark.parametrize(
    ("rows", "count"), [(2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (8, 4)], ids=str
)
def test_every_subset_is_equally_likely(rows, count):
    counts = subset_counts(zeros_of(rows, 60_000, count, seed=rows), count)
    assert agrees_with(counts, counts.sum() / len(counts))


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 64, 67])
def test_every_subset_is_equally_likely_in_narrow_matrices(columns):
    # Rows of narrow matrices are joined, and lanes go round the columns. Over many keys.
    counts = np.zeros(10)
    for seed in range(6000 // columns):
        counts += subset_counts(zeros_of(5, columns, 2, seed), 2)
    assert agrees_with(counts, counts.sum() / 10)


def test_pairs_of_rows_are_zero_together_as_often_as_subsets_have_them():
    # Of 40 rows with 15 zeros, any two are zero together with probability 15 14 / (40 39).
    rows, columns, count = 40, 50_000, 15
    zeros = zeros_of(rows, columns, count, seed=11).astype(np.float64)
    together = zeros @ zeros.T
    pairs = together[np.triu_indices(rows, 1)]
    p = count * (count - 1) / (rows * (rows - 1))
    expected = columns * p
    assert abs(pairs.sum() - expected * pairs.size) < 1e-6 * pairs.sum()  # exact counts
    assert abs(pairs - expected).max() < 5 * np.sqrt(expected * (1 - p))
    # The covariance of the inclusions has eigenvalue q (1 - q) rows / (rows - 1) but for the sum.
    q = count / rows
    centered = zeros - q
    variances = np.linalg.eigvalsh(centered @ centered.T / columns)[1:]
    edge = 2.5 * np.sqrt(rows / columns)  # of the spectrum of a sample covariance
    assert np.all(abs(variances / (q * (1 - q) * rows / (rows - 1)) - 1) < edge)


@pytest.mark.parametrize(("rows", "count"), [(400, 100), (4096, 2048), (5000, 30)], ids=str)
def test_rows_are_zero_equally_often(rows, count):
    columns = 4_000_000 // rows
    per_row = zeros_of(rows, columns, count, seed=rows).sum(axis=1)
    variance = columns * count / rows * (1 - count / rows) * rows / (rows - 1)
    mean = columns * count / rows
    assert plausible(((per_row - mean) ** 2).sum() / variance, rows - 1)


def test_neighboring_rows_of_long_columns_are_independent():
    # Whole runs of rows: neither the lanes of a tile nor the threads leave a trace.
    zeros = zeros_of(4096, 500, 2048, seed=3).astype(np.float64) - 0.5
    for lag in (1, 2, 3, 4, 16, 64, 256, 1024):
        products = (zeros[lag:] * zeros[:-lag]).sum() / 0.25
        expected = -zeros[lag:].size / 4095  # without replacement
        assert abs(products - expected) < 5 * np.sqrt(zeros[lag:].size)


def overlaps(one, other):
    """How many rows two columns have zero together, of columns side by side."""
    return (one & other).sum(axis=0)


def is_hypergeometric(found, rows, count):
    outcomes = np.arange(max(0, 2 * count - rows), count + 1)
    expected = stats.hypergeom(rows, count, count).pmf(outcomes) * found.size
    counts = np.array([(found == outcome).sum() for outcome in outcomes])
    common = expected >= 5
    rest = [counts[~common].sum()], [expected[~common].sum()]
    counts = np.concatenate([counts[common], rest[0]])
    expected = np.concatenate([expected[common], rest[1]])
    return plausible(((counts - expected) ** 2 / np.maximum(expected, 1e-9)).sum(), common.sum())


@pytest.mark.parametrize("apart", [1, 2, 3, 4, 61, 64])
def test_columns_are_independent(apart):
    # Neighbors, of one Philox block or not, and the same lane of neighboring tiles.
    rows, count = 20, 8
    zeros = zeros_of(rows, 40_000, count, seed=20)
    assert is_hypergeometric(overlaps(zeros[:, apart:], zeros[:, :-apart]), rows, count)


def test_columns_of_different_keys_are_independent():
    rows, count = 20, 8
    one, other = (zeros_of(rows, 40_000, count, seed) for seed in (100, 101))
    assert is_hypergeometric(overlaps(one, other), rows, count)


def test_values_beside_a_zero_are_as_all_others():
    # What stays is normal, wherever the zeros of its column and of its block of words lie.
    matrix = sparse(torch.empty(64, 20_000), 32, 1.0, key=Key(8, 8)).numpy()
    zeros = matrix == 0
    beside = np.zeros_like(zeros)
    beside[:, 1:] |= zeros[:, :-1]
    assert stats.kstest(matrix[~zeros & beside], "norm").pvalue > 1e-4
    assert stats.kstest(matrix[~zeros & ~beside], "norm").pvalue > 1e-4
