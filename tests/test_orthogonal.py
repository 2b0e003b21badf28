"""Small orthogonal matrices in one call: the product of the key's reflectors, rounded once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import KEY, SERIAL, box_of, call, every_dtype, orthogonal, reflectors, same_bits
from reference import Key, householder_product
from winit_cuda import _C

SHAPES = [(1, 1), (1, 5), (5, 1), (2, 2), (7, 7), (9, 4), (4, 9), (40, 33), (64, 64)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def exact(shape, gain=1.0, key=KEY):
    tall = max(shape), min(shape)
    q = gain * householder_product(*reflectors(*tall, torch.float64, key=key))
    return q if shape == tall else q.T


@every_shape
def test_the_product_of_the_reflectors(shape):
    for gain in (1.0, -0.5, 2.0**0.5):
        matrix = orthogonal(torch.empty(shape, dtype=torch.float64), gain).numpy()
        assert np.allclose(matrix, exact(shape, gain), rtol=0, atol=1e-14)
    small = min(shape)
    gram = matrix @ matrix.T if shape[0] < shape[1] else matrix.T @ matrix
    assert np.allclose(gram, 2 * np.eye(small), rtol=0, atol=1e-13)


@every_shape
@every_dtype
def test_every_dtype_rounds_the_same_matrix(shape, dtype):
    double = orthogonal(torch.empty(shape, dtype=torch.float64), 3.0)
    found = orthogonal(torch.empty(shape, dtype=dtype), 3.0)
    expected = double if dtype == torch.float64 else double.float().to(dtype)
    assert same_bits(found, expected)


def test_layouts_and_parts():
    whole = orthogonal(torch.empty(12, 9), 1.0)
    transposed = orthogonal(torch.empty(9, 12).t(), 1.0)
    assert torch.equal(transposed, whole)
    memory = torch.full((400,), 7.0)
    orthogonal(memory.as_strided((12, 9), (30, 2), 3), 1.0)
    assert torch.equal(memory.as_strided((12, 9), (30, 2), 3), whole)
    assert (memory == 7).sum() == 400 - 108
    part = torch.empty(5, 4)
    orthogonal(part, 1.0, (12, 9), box=box_of(part, (12, 9), (6, 5)))
    assert torch.equal(part, whole[6:11, 5:9])


def test_keys():
    first, second = (orthogonal(torch.empty(8, 8), 1.0, key=Key(1, s)) for s in range(2))
    assert not torch.allclose(first, second, atol=0.01)
    cell = np.array(KEY, dtype=np.uint64)
    read = call(_C.orthogonal, torch.empty(8, 8), cell.ctypes.data, 1, 2, 8, 8, 1.0)
    assert torch.equal(read, orthogonal(torch.empty(8, 8), 1.0))


def test_bad_arguments():
    untouched = torch.full((3, 3), 7.0)
    with pytest.raises(ValueError, match="made on the CPU"):
        call(_C.orthogonal, untouched, 0, *KEY, 3, 3, 1.0, place=SERIAL)
    assert (untouched == 7).all()
    for shape in ((0, 4), (4, 0)):
        orthogonal(torch.empty(shape), 1.0)
