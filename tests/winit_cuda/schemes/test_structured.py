"""eye_, dirac_, sparse_ and orthogonal_: structure, layouts, edge shapes."""

from __future__ import annotations

import math

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core

KEY = winit.Key(1, 2)
DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.int32,
    torch.bool,
]
LOW_PRECISION = DTYPES[2:6]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (1, 1), (1, 4)])
def test_eye_is_torch_s(shape, dtype):
    expected = torch.eye(*shape)
    assert torch.equal(winit.eye_(torch.ones(shape).to(dtype)).float(), expected)
    transposed = torch.ones(shape[::-1]).to(dtype).t()
    assert torch.equal(winit.eye_(transposed).float(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64], ids=str)
@pytest.mark.parametrize("kernel", [(3,), (4,), (1,), (3, 3), (2, 5), (3, 1, 2), (4, 4, 4)])
@pytest.mark.parametrize(
    ("outputs", "inputs", "groups"),
    [(4, 4, 1), (6, 2, 1), (2, 6, 1), (6, 3, 2), (6, 1, 3), (6, 4, 6)],
)
def test_dirac_is_torch_s(outputs, inputs, groups, kernel, dtype):
    shape = (outputs, inputs, *kernel)
    ours = winit.dirac_(torch.full(shape, 7, dtype=dtype), groups)
    theirs = torch.nn.init.dirac_(torch.full(shape, 7, dtype=dtype), groups)
    assert torch.equal(ours, theirs)
    reversed_memory = torch.full(shape[::-1], 7, dtype=dtype).permute(*range(len(shape))[::-1])
    assert torch.equal(winit.dirac_(reversed_memory, groups), theirs)


@needs_core
@pytest.mark.parametrize("shape", [(10, 4), (1, 5), (7, 1), (100, 33), (3, 1000)])
@pytest.mark.parametrize("sparsity", [0, 0.1, 0.25, 0.5, 0.9, 1, 1.0])
def test_zeros_in_each_column(shape, sparsity):
    values = winit.sparse_(torch.ones(shape), sparsity, std=0.5, key=KEY)
    assert ((values == 0).sum(0) == math.ceil(sparsity * shape[0])).all()


@needs_core
def test_the_rest_is_the_normal_fill():
    values = winit.sparse_(torch.ones(50, 20), 0.3, std=0.5, key=KEY)
    normal = winit.normal_(torch.ones(50, 20), std=0.5, key=KEY)
    assert torch.equal(values[values != 0], normal[values != 0])


@needs_core
def test_the_generator_decides_the_zeros():
    """Unlike in torch, where torch.manual_seed does whatever generator says."""
    zeros = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(zeros))
        generator = torch.Generator().manual_seed(seed)
        zeros.append(winit.sparse_(torch.ones(50, 20), 0.3, generator=generator) == 0)
    assert torch.equal(zeros[0], zeros[1])
    assert not torch.equal(zeros[0], zeros[2])


@needs_core
@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_sparse_in_low_precision(dtype):
    low = winit.sparse_(torch.ones(50, 20).to(dtype), 0.3, std=1.0, key=KEY)
    full = winit.sparse_(torch.ones(50, 20), 0.3, std=1.0, key=KEY)
    assert torch.equal(low.float(), full.to(dtype).float())


@needs_core
def test_sparse_without_deviation():
    assert not winit.sparse_(torch.ones(5, 4), 0.5, std=0.0, key=KEY).any()


@needs_core
@pytest.mark.parametrize(
    "shape", [(1, 1), (5, 1), (1, 5), (4, 4), (7, 3), (3, 7), (4, 2, 3), (16, 3, 3, 3), (40, 300)]
)
@pytest.mark.parametrize("gain", [1, 2.0, -0.5])
def test_rows_or_columns_are_orthonormal(shape, gain):
    matrix = winit.orthogonal_(torch.empty(shape), gain, key=KEY).flatten(1).double()
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    assert torch.allclose(gram, gain**2 * torch.eye(len(gram), dtype=gram.dtype), atol=2e-6)
    opposite = winit.orthogonal_(torch.empty(shape), -gain, key=KEY).flatten(1).double()
    assert torch.equal(matrix, -opposite)


@needs_core
@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_orthogonal_in_low_precision_is_rounded_once(dtype):
    low = winit.orthogonal_(torch.empty(16, 3, 3, 3, dtype=dtype), key=KEY)
    full = winit.orthogonal_(torch.empty(16, 3, 3, 3), key=KEY)
    assert torch.equal(low.float(), full.to(dtype).float())


@needs_core
def test_orthogonal_in_float64():
    matrix = winit.orthogonal_(torch.empty(50, 30, dtype=torch.float64), key=KEY)
    eye = torch.eye(30, dtype=torch.float64)
    assert torch.allclose(matrix.T @ matrix, eye, rtol=0, atol=1e-14)
    single = winit.orthogonal_(torch.empty(50, 30), key=KEY)
    assert torch.allclose(single.double(), matrix, rtol=0, atol=1e-6)


@needs_core
def test_a_wide_matrix_is_a_tall_one_transposed():
    tall = winit.orthogonal_(torch.empty(9, 4), key=KEY)
    assert torch.equal(winit.orthogonal_(torch.empty(4, 9), key=KEY), tall.T)
    assert torch.equal(winit.orthogonal_(torch.empty(4, 3, 3), key=KEY).flatten(1), tall.T)


@needs_core
def test_orthogonal_in_any_memory_layout():
    expected = winit.orthogonal_(torch.empty(8, 4, 3, 3), key=KEY)
    channels_last = torch.empty(8, 4, 3, 3).to(memory_format=torch.channels_last)
    assert torch.equal(winit.orthogonal_(channels_last, key=KEY), expected)
    assert channels_last.is_contiguous(memory_format=torch.channels_last)
    sliced = torch.empty(16, 8, 3, 3)[::2, ::2]
    assert torch.equal(winit.orthogonal_(sliced, key=KEY), expected)


@needs_core
def test_the_sign_of_one_number_is_fair():
    values = [winit.orthogonal_(torch.empty(1, 1), key=winit.key(i)).item() for i in range(200)]
    assert set(values) == {1.0, -1.0}
    assert 70 < values.count(1.0) < 130


@needs_core
def test_the_first_column_points_anywhere():
    """Without the signs of the construction its first element would never be positive."""
    columns = torch.stack(
        [winit.orthogonal_(torch.empty(4, 2), key=winit.key(i))[:, 0] for i in range(400)]
    )
    assert (columns.mean(0).abs() < 0.12).all()
    assert ((columns > 0).float().mean(0) - 0.5).abs().max() < 0.12
