"""The matrix of a product of Householder reflectors, against the product itself."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from winit_cuda import backend, householder
from winit_cuda.dtypes import CODES


def made_by_the_core(rows, columns, dtype, key):
    vectors = torch.full((rows, columns), 7, dtype=dtype)
    signs = torch.full((columns,), 7, dtype=dtype)
    backend.loaded.reflectors(
        vectors.data_ptr(), CODES[dtype], rows, columns, 0, columns, signs.data_ptr(),
        -1, 0, 1, 0, key.seed, key.stream,
    )  # fmt: skip
    return vectors, signs


def product(vectors: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    """H_0 H_1 ... [I; 0] diag(sigma), one reflector at a time."""
    rows, columns = vectors.shape
    matrix = torch.eye(rows, columns, dtype=vectors.dtype)
    for vector in vectors.T.flip(0):
        matrix -= torch.outer(vector, vector @ matrix)
    return matrix * signs


@needs_core
@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (4, 4), (9, 5), (60, 60), (70, 33)])
def test_accumulated_is_the_product(shape):
    vectors, signs = made_by_the_core(*shape, torch.float64, winit.Key(3, 4))
    expected = product(vectors, signs)
    matrix = householder.accumulate(vectors, signs.clone(), 1.0)
    assert torch.allclose(matrix, expected, rtol=0, atol=1e-14)
    assert torch.allclose(
        matrix.T @ matrix, torch.eye(shape[1], dtype=torch.float64), rtol=0, atol=1e-14
    )
    scaled = householder.accumulate(vectors, signs.clone(), -2.5)
    assert torch.allclose(scaled, -2.5 * expected, rtol=0, atol=1e-13)


@needs_core
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (9, 5), (40, 40), (60, 45)])
def test_the_tensor_holds_the_matrix_of_its_key(shape):
    key = winit.Key(3, 4)
    expected = product(*made_by_the_core(*shape, torch.float64, key))
    values = winit.orthogonal_(torch.empty(shape, dtype=torch.float64), key=key)
    assert torch.allclose(values, expected, rtol=0, atol=1e-14)
    if shape[0] > shape[1]:
        wide = winit.orthogonal_(torch.empty(shape[::-1], dtype=torch.float64), key=key)
        assert torch.equal(wide, values.T)


@needs_core
@pytest.mark.parametrize("shape", [(300, 300), (520, 300), (300, 520)])
def test_large_matrices_are_orthogonal_to_float32(shape):
    matrix = winit.orthogonal_(torch.empty(shape), key=winit.key(0)).double()
    gram = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
    assert (gram - torch.eye(len(gram))).abs().max() < 1e-6


@needs_core
def test_large_matrices_agree_in_every_precision():
    single = winit.orthogonal_(torch.empty(300, 280), key=winit.key(0))
    double = winit.orthogonal_(torch.empty(300, 280, dtype=torch.float64), key=winit.key(0))
    assert (single - double).abs().max() < 1e-6


def test_what_is_computed_in_float32(monkeypatch):
    """Large float32 matrices on the CPU, unless float32 products may be rounded further."""
    tensor = torch.empty(2, 2)
    assert householder._compute_dtype(tensor, 257) == torch.float32
    assert householder._compute_dtype(tensor.half(), 257) == torch.float32
    assert householder._compute_dtype(tensor, 256) == torch.float64
    assert householder._compute_dtype(tensor.double(), 257) == torch.float64
    for precision in ("high", "medium"):
        monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)  # noqa: B023
        assert householder._compute_dtype(tensor, 257) == torch.float64


@needs_core
@pytest.mark.parametrize("size", [8, 300])
def test_neither_matmul_precision_nor_autocast_shows(size):
    expected = winit.orthogonal_(torch.empty(size, size), key=winit.key(0))
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        values = winit.orthogonal_(torch.empty(size, size), key=winit.key(0))
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.allclose(values, expected, rtol=0, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = winit.orthogonal_(torch.empty(size, size), key=winit.key(0))
    assert torch.equal(values, expected)
