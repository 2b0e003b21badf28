"""The law of orthogonal_: Haar's, by exact moments, exact marginals and scipy's ortho_group.

The keys are fixed, so every test gives the same result each time. The limits are those that a
right law exceeds once in about 10^5 tests, and here it does not.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core

DRAWS, LARGE_DRAWS = 3000, 600  # up to 32 rows, and above
SIZES = [1, 2, 3, 4, 5, 8, 16, 33, 64]
TALL = [(2, 1), (3, 2), (5, 3), (9, 1), (33, 32), (64, 10)]
LEAST_P = 1e-5
MOST_DEVIATIONS = 4.5

every_size = pytest.mark.parametrize("n", SIZES)
every_tall = pytest.mark.parametrize("shape", TALL, ids=str)
every_shape = pytest.mark.parametrize("shape", [*((n, n) for n in SIZES[1:]), *TALL], ids=str)


def count(rows):
    return DRAWS if rows <= 32 else LARGE_DRAWS


@cache
def draws(rows, columns):
    """Independent matrices of one shape."""
    tensor = torch.empty(count(rows), rows, columns, dtype=torch.float64)
    return winit.orthogonal_(tensor, key=winit.key(rows), batch_dims=1).numpy()


@cache
def draws_of_scipy(n):
    return stats.ortho_group.rvs(n, size=count(n), random_state=n)


@cache
def power_traces(n):
    """tr(Q^k) of every draw, k = 1 ... 8."""
    power, traces = np.eye(n), {}
    for k in range(1, 9):
        power = power @ draws(n, n)
        traces[k] = power.trace(axis1=1, axis2=2)
    return traces


def check_mean(values, expected):
    """The mean of independent values against the exact one, in units of its deviation."""
    deviation = values.std() / np.sqrt(len(values))
    assert abs(values.mean() - expected) <= MOST_DEVIATIONS * deviation + 1e-12


def check_law(values, law):
    assert stats.kstest(values, law.cdf).pvalue > LEAST_P


def check_same_law(ours, theirs):
    # Half of the traces for n = 2 are 0, but for the rounding.
    assert stats.ks_2samp(ours.round(12), theirs.round(12)).pvalue > LEAST_P


def entry_law(n):
    """An entry of a unit vector that points anywhere in n dimensions."""
    return stats.beta((n - 1) / 2, (n - 1) / 2, loc=-1, scale=2)


# ------------------------------------------------------------------------- moments

# E of the product of tr(Q^k) over the k of a name is the number of perfect matchings of sum(k)
# points that a permutation with cycles of these lengths leaves as they are, for 2n >= sum(k)
# (Diaconis & Shahshahani, "On the eigenvalues of random matrices", J. Appl. Probab. 31A, 1994).
MOMENTS = {
    (1,): 0,
    (2,): 1,
    (1, 1): 1,
    (3,): 0,
    (2, 1): 0,
    (4,): 1,
    (3, 1): 0,
    (2, 2): 3,
    (2, 1, 1): 1,
    (1, 1, 1, 1): 3,
    (1, 1, 1, 1, 1, 1): 15,
}


def kept_matchings(cycles):
    """The count that MOMENTS holds, by going over all matchings."""

    def matchings(points):
        if not points:
            yield frozenset()
            return
        first, *rest = points
        for partner in rest:
            for others in matchings([p for p in rest if p != partner]):
                yield others | {frozenset((first, partner))}

    image, start = {}, 0
    for length in cycles:
        image |= {start + i: start + (i + 1) % length for i in range(length)}
        start += length
    moved = (
        (matching, frozenset(frozenset(map(image.get, pair)) for pair in matching))
        for matching in matchings(list(range(start)))
    )
    return sum(matching == after for matching, after in moved) if start % 2 == 0 else 0


@pytest.mark.parametrize("cycles", MOMENTS, ids=str)
def test_moments_are_counts_of_matchings(cycles):
    assert kept_matchings(cycles) == MOMENTS[cycles]


@pytest.mark.parametrize(
    ("n", "cycles"),
    [(n, cycles) for n in SIZES for cycles in MOMENTS if 2 * n >= sum(cycles)],
    ids=str,
)
def test_trace_moments(n, cycles):
    check_mean(np.prod([power_traces(n)[k] for k in cycles], axis=0), MOMENTS[cycles])


@pytest.mark.parametrize("n", [n for n in SIZES if n >= 4])
@pytest.mark.parametrize("k", range(1, 9))
def test_eigenvalue_angles_are_uniform(n, k):
    """The Fourier coefficients of their density, E sum cos(k angle) = E tr(Q^k), and its spread.

    The angles lie evenly but for the term of even k, which the real axis attracts, and repel each
    other: the variance of a sum over n angles is k, however large n is.
    """
    traces = power_traces(n)[k]
    expected = 1 if k % 2 == 0 else 0
    check_mean(traces, expected)
    if n >= 2 * k:
        check_mean((traces - expected) ** 2, k)


@every_shape
def test_entries_have_the_moments_of_a_direction(shape):
    m = max(shape)
    for entry in (draws(*shape)[:, i, j] for i in (0, -1) for j in (0, -1)):
        check_mean(entry, 0)
        check_mean(entry**2, 1 / m)
        check_mean(entry**4, 3 / (m * (m + 2)))


@pytest.mark.parametrize(
    "shape", [*((n, n) for n in SIZES[1:]), *(shape for shape in TALL if shape[1] > 1)], ids=str
)
def test_entries_are_uncorrelated_but_for_their_lengths(shape):
    """E a b = 0 for entries apart; E a^2 b^2 tells those of one row or column from others."""
    m = shape[0]
    q = draws(*shape)
    same, diagonal = 1 / (m * (m + 2)), (m + 1) / ((m - 1) * m * (m + 2))
    check_mean(q[:, 0, 0] * q[:, -1, -1], 0)
    check_mean(q[:, 0, 0] * q[:, 0, -1], 0)
    check_mean(q[:, 0, 0] * q[:, -1, 0], 0)
    check_mean(q[:, 0, 0] ** 2 * q[:, 0, -1] ** 2, same)
    check_mean(q[:, 0, 0] ** 2 * q[:, -1, 0] ** 2, same)
    check_mean(q[:, 0, 0] ** 2 * q[:, -1, -1] ** 2, diagonal)
    check_mean(q[:, 0, 0] * q[:, 0, -1] * q[:, -1, 0] * q[:, -1, -1], -1 / ((m - 1) * m * (m + 2)))


# ------------------------------------------------------------------------- exact laws


@every_size
def test_the_determinant_s_sign_is_fair(n):
    determinants = np.linalg.det(draws(n, n))
    assert np.allclose(abs(determinants), 1, rtol=0, atol=1e-12)
    positive = int((determinants > 0).sum())
    assert stats.binomtest(positive, len(determinants), 0.5).pvalue > LEAST_P


@every_shape
def test_first_and_last_row_and_column_point_anywhere(shape):
    q = draws(*shape)
    for i, j in {(0, 0), (0, -1), (-1, 0), (-1, -1), (shape[0] // 2, shape[1] // 2)}:
        check_law(q[:, i, j], entry_law(shape[0]))
    signs = int((q[:, 0, 0] > 0).sum())
    assert stats.binomtest(signs, len(q), 0.5).pvalue > LEAST_P


@every_shape
def test_turned_matrices_have_the_same_law(shape):
    """The law of P Q and of Q R is that of Q, for any fixed orthogonal P and R."""
    m, n = shape
    left, right = (np.full(k, k**-0.5) for k in (m, n))  # first rows of P and of R^T
    check_law(np.einsum("i,dij,j->d", left, draws(*shape), right), entry_law(m))


def test_two_by_two_matrices_turn_by_any_angle():
    q = draws(2, 2)
    angles = np.arctan2(q[:, 1, 0], q[:, 0, 0])
    uniform = stats.uniform(-np.pi, 2 * np.pi)
    turns = np.linalg.det(q) > 0
    check_law(angles[turns], uniform)
    check_law(angles[~turns], uniform)


def test_three_by_three_rotations():
    """The angle of a rotation in three dimensions has the density (1 - cos) / pi."""
    q = draws(3, 3) * np.linalg.det(draws(3, 3))[:, None, None]  # -Q has the law of Q
    angles = np.arccos(np.clip((q.trace(axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert stats.kstest(angles, lambda x: (x - np.sin(x)) / np.pi).pvalue > LEAST_P


@every_tall
def test_a_wide_matrix_is_a_tall_one_transposed(shape):
    rows, columns = shape
    wide = torch.empty(50, columns, rows, dtype=torch.float64)
    winit.orthogonal_(wide, key=winit.key(rows), batch_dims=1)
    assert np.allclose(wide.mT.numpy(), draws(*shape)[:50], rtol=0, atol=1e-14)


# ------------------------------------------------------------------------- against scipy


def one_angle(matrices):
    """The eigenvalue angle in [0, pi] that is nearest to 1, and the one in the middle, of each."""
    angles = np.sort(abs(np.angle(np.linalg.eigvals(matrices))), axis=1)
    return angles[:, 0], angles[:, angles.shape[1] // 2]


@pytest.mark.parametrize("n", [n for n in SIZES if 1 < n <= 33])
def test_square_matrices_agree_with_scipy(n):
    ours, theirs = draws(n, n), draws_of_scipy(n)
    half = (n + 1) // 2
    for statistic in (
        lambda q: q[:, 0, 0],
        lambda q: q[:, -1, -1],
        lambda q: q.trace(axis1=1, axis2=2),
        lambda q: q.sum((1, 2)),
        lambda q: abs(q).max((1, 2)),
        lambda q: (q[:, :half, :half] ** 2).sum((1, 2)),
        lambda q: (q[:, half:, half:] ** 2).sum((1, 2)),
        lambda q: np.linalg.det(q[:, :half, :half]),
    ):
        check_same_law(statistic(ours), statistic(theirs))
    for mine, other in zip(one_angle(ours), one_angle(theirs), strict=True):
        check_same_law(mine, other)


@every_tall
def test_tall_matrices_agree_with_scipy(shape):
    rows, columns = shape
    ours, theirs = draws(*shape), draws_of_scipy(rows)[:, :, :columns]
    for statistic in (
        lambda q: q[:, 0, 0],
        lambda q: q[:, -1, -1],
        lambda q: q.sum((1, 2)),
        lambda q: abs(q).max((1, 2)),
        lambda q: (q[:, :columns] ** 2).sum((1, 2)),
        lambda q: np.linalg.det(q[:, :columns]),
    ):
        check_same_law(statistic(ours), statistic(theirs))
