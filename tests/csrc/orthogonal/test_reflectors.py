"""Stewart's reflectors: lengths, zeros and signs, orthogonal products, and the Haar law."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import float32, float64

import reference
from core import _C, KEY, everywhere, reflectors
from reference import Key, householder_product

SHAPES = [(1, 1), (2, 1), (2, 2), (3, 3), (9, 4), (64, 64), (130, 65), (200, 3)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
both_precisions = pytest.mark.parametrize("dtype", [float32, float64], ids=str)


def normals(shape, dtype, key=KEY):
    """The Gaussian vectors, from the orthogonal domain."""
    count = shape[0] * shape[1]
    word = reference.words(key, reference.ORTHOGONAL, 0, count)
    if dtype == float64:
        low = reference.words(key, reference.ORTHOGONAL_LOW, 0, count)
        word = (word.astype(np.uint64) << np.uint64(32)) | low
    return reference.normal(word, 0.0, 1.0).reshape(shape)


@everywhere
@both_precisions
@every_shape
def test_reflectors_are_those_of_the_normals(shape, dtype, place):
    rows, columns = shape
    x = normals(shape, dtype).astype(np.longdouble)
    vectors, signs = reflectors(*shape, dtype, place=place)
    expected = np.zeros(shape, dtype=np.longdouble)
    expected_signs = np.where(np.diagonal(x) < 0, 1.0, -1.0)
    for i in range(min(columns, rows - 1)):
        v = x[i:, i].copy()
        norm = np.sqrt((v**2).sum())
        v[0] += np.copysign(norm, v[0])
        expected[i:, i] = v * np.sqrt(2 / (v**2).sum())
    if rows == columns:  # the last reflector is the identity, sigma the sign itself
        expected_signs[-1] *= -1
    precision = 2.0**-23 if dtype == float32 else 2.0**-50
    assert np.allclose(vectors.numpy(), expected.astype(np.float64), rtol=precision, atol=0)
    assert np.array_equal(signs.numpy(), expected_signs)


@everywhere
@both_precisions
@every_shape
def test_shape_of_the_reflectors(shape, dtype, place):
    rows, columns = shape
    vectors, signs = (x.double().numpy() for x in reflectors(*shape, dtype, place=place))
    assert np.isfinite(vectors).all()
    assert not np.triu(vectors, 1).any()
    precision = 1e-6 if dtype == float32 else 1e-14
    squares = (vectors**2).sum(axis=0)
    assert np.allclose(squares[: rows - 1], 2, rtol=0, atol=precision)
    assert squares[rows - 1 :].tolist() == ([0.0] if rows == columns else [])
    assert set(signs.tolist()) <= {-1.0, 1.0}


@both_precisions
@every_shape
def test_the_product_is_orthogonal(shape, dtype):
    q = householder_product(*reflectors(*shape, dtype))
    precision = 2e-6 if dtype == float32 else 1e-13
    assert np.abs(q.T @ q - np.eye(shape[1])).max() < precision


def test_the_product_is_gaussian_qr_with_a_positive_diagonal():
    # Q R = X with diag(R) > 0 for a matrix X: Stewart's construction draws X's columns in the
    # turned frames, so the first column of Q is the first normal vector, scaled.
    for shape in ((5, 5), (8, 3)):
        first = normals(shape, float64)[:, 0]
        q = householder_product(*reflectors(*shape, float64))
        assert np.allclose(q[:, 0], first / np.linalg.norm(first), rtol=0, atol=1e-14)


@both_precisions
def test_precisions_agree(dtype):
    exact, signs = reflectors(40, 30, float64)
    single, single_signs = reflectors(40, 30, dtype)
    assert torch.equal(signs, single_signs.double())
    assert torch.allclose(exact, single.double(), rtol=0, atol=1e-6)


@everywhere
@both_precisions
@pytest.mark.parametrize("part", [(0, 5), (3, 4), (17, 18), (34, 1), (30, 5)], ids=str)
@pytest.mark.parametrize("rows", [35, 50])
def test_some_columns_alone(rows, part, dtype, place):
    vectors, signs = reflectors(rows, 35, dtype, place=place)
    found, found_signs = reflectors(rows, 35, dtype, place=place, part=part)
    first, last = part[0], sum(part)
    precision = 2.0**-23 if dtype == float32 else 2.0**-50
    assert torch.allclose(found, vectors[first:, first:last], rtol=precision, atol=0)
    assert torch.equal(found_signs, signs[first:last])


def test_a_column_of_zeros_is_reflected_too():
    assert _C.reflector_head(0.0, 0.0, False) == (-1.0, np.sqrt(2.0), 0.0)
    assert _C.reflector_head(3.0, 25.0, False) == pytest.approx((-1, 8 / 40**0.5, 1 / 40**0.5))
    assert _C.reflector_head(-3.0, 25.0, False) == pytest.approx((1, -8 / 40**0.5, 1 / 40**0.5))
    assert _C.reflector_head(-3.0, 9.0, True) == (-1.0, 0.0, 0.0)


def test_any_number_of_threads():
    expected = reflectors(300, 290, float32, threads=1)
    for threads in (2, 3, 8):
        found = reflectors(300, 290, float32, threads=threads)
        assert all(map(torch.equal, found, expected))


def sample(rows, columns, count):
    """Orthogonal matrices of `count` keys."""
    pairs = [reflectors(rows, columns, float64, key=Key(42, stream)) for stream in range(count)]
    vectors, signs = (torch.stack(parts).numpy() for parts in zip(*pairs, strict=True))
    return householder_product(vectors, signs)


def test_one_by_one():
    signs = sample(1, 1, 2000)[:, 0, 0]
    assert set(signs) == {-1.0, 1.0}
    assert abs(signs.sum()) < 4 * np.sqrt(2000)


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_square_matrices_follow_the_haar_law(n):
    # Diaconis and Shahshahani (1994): traces of powers of a Haar matrix have the moments of
    # normals, exactly so for low orders.
    count = 4000
    q = sample(n, n, count)
    trace = np.trace(q, axis1=1, axis2=2)
    determinant = np.linalg.det(q)
    assert np.allclose(np.abs(determinant), 1)
    for values, mean, variance in (
        (determinant, 0, 1),
        (trace, 0, 1),
        (trace**2, 1, 2),
        (np.trace(q @ q, axis1=1, axis2=2), 1, 2),
        (determinant * trace, 0, 1),
    ):
        assert abs(values.mean() - mean) < 4.5 * np.sqrt(1.5 * variance / count)
    # Every entry, whatever its place, has the same law: (q + 1) / 2 is Beta((n - 1) / 2, ...).
    law = stats.beta((n - 1) / 2, (n - 1) / 2, loc=-1, scale=2)
    for i in range(n):
        for j in range(n):
            assert stats.kstest(q[:, i, j], law.cdf).pvalue > 1e-4
    # Row and column signs are free: mixed moments of entries vanish.
    mixed = np.einsum("ki,kj->ij", q.reshape(count, -1), q.reshape(count, -1)) / count
    np.fill_diagonal(mixed, 0)
    assert np.abs(mixed).max() < 5 / n / np.sqrt(count) * 1.5


def test_tall_matrices_have_uniform_columns():
    q = sample(5, 2, 4000)
    law = stats.beta(2, 2, loc=-1, scale=2)
    for i in range(5):
        for j in range(2):
            assert stats.kstest(q[:, i, j], law.cdf).pvalue > 1e-4


def test_bad_arguments():
    with pytest.raises(ValueError, match="rows >= columns"):
        reflectors(2, 3, float32)
    for part in ((-1, 2), (0, 4), (2, 2), (4, 0), (0, -1)):
        with pytest.raises(ValueError, match=r"must be in \[0, columns\)"):
            _C.reflectors(0, 0, 4, 3, *part, 0, -1, 0, 1, 0, 0, 0)
    with pytest.raises(ValueError, match="float32 or float64"):
        reflectors(3, 2, torch.float16)
    reflectors(3, 0, float32)
