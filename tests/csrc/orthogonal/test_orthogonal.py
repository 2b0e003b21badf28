"""Orthogonal matrices on the CPU: the product of the key's reflectors, and parts of it."""

from __future__ import annotations

import ctypes
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core import (
    DTYPES,
    INSTRUCTION_SETS,
    KEY,
    call,
    every_dtype,
    orthogonal,
    reflectors,
    same_bits,
)
from reference import Key, householder_product
from winit_cuda import _C

SHAPES = [(1, 1), (1, 5), (5, 1), (2, 2), (7, 7), (9, 4), (4, 9), (32, 32), (25, 36)]
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


def test_layouts():
    for shape in ((12, 9), (70, 40)):
        whole = orthogonal(torch.empty(shape), 1.0)
        transposed = orthogonal(torch.empty(shape[::-1]).t(), 1.0)
        assert torch.equal(transposed, whole)
        memory = torch.full((3 * math.prod(shape) + 400,), 7.0)
        view = memory.as_strided(shape, (2 * shape[1] + 3, 2), 3)
        assert torch.equal(orthogonal(view, 1.0), whole)
        assert (memory == 7).sum() == memory.numel() - whole.numel()


def parts_of(shape):
    """(first row, rows, first column, columns): lines, blocks that touch no border, all but one."""
    rows, columns = shape
    yield 0, rows, 0, columns
    yield 0, 1, 0, columns
    yield rows - 1, 1, columns - 1, 1
    yield 0, rows, columns // 2, 1
    yield rows // 3, rows // 2, 0, columns
    yield 0, rows, columns // 3, columns // 2
    yield rows // 3, 2 * rows // 5, columns // 4, columns // 5
    yield rows // 4, rows // 5, columns // 3, 3 * columns // 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(9, 12), (12, 9), (150, 150), (400, 130), (130, 400), (64, 64)])
def test_parts(shape, dtype):
    whole = orthogonal(torch.empty(shape, dtype=dtype), 3.0)
    precision = {torch.float32: 1e-6, torch.float64: 1e-14, torch.bfloat16: 2.0**-8}[dtype]
    for row, rows, column, columns in parts_of(shape):
        part = orthogonal(torch.empty(rows, columns, dtype=dtype), 3.0, shape, (row, column))
        expected = whole[row : row + rows, column : column + columns]
        assert torch.allclose(part, expected, rtol=precision, atol=3 * precision)


def test_columns_of_a_tall_matrix_alone_have_the_same_bits():
    whole = orthogonal(torch.empty(400, 150), 1.0)
    part = orthogonal(torch.empty(400, 37), 1.0, (400, 150), (0, 101))
    assert torch.equal(part, whole[:, 101:138])
    turned = orthogonal(torch.empty(37, 400), 1.0, (150, 400), (101, 0))
    assert torch.equal(turned, part.t())


# By the size of a side: the smallest with panels; a panel and one more; several with an odd end.
BLOCKED = [(33, 33), (112, 112), (113, 113), (700, 40), (40, 700), (300, 250), (257, 257)]


@pytest.mark.parametrize("shape", BLOCKED, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_panels_give_the_same_bits_on_every_processor(shape, dtype):
    expected = orthogonal(torch.empty(shape, dtype=dtype), 1.0)
    for place in INSTRUCTION_SETS:
        found = orthogonal(torch.empty(shape, dtype=dtype), 1.0, place=place)
        assert same_bits(found, expected), place.name


@pytest.mark.parametrize("shape", [(300, 250), (40, 700), (1000, 64)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_any_number_of_threads(shape, dtype):
    expected = orthogonal(torch.empty(shape, dtype=dtype), 1.0, threads=1)
    for threads in (2, 3, 16):
        assert same_bits(
            orthogonal(torch.empty(shape, dtype=dtype), 1.0, threads=threads), expected
        )


@pytest.mark.parametrize("shape", [*BLOCKED, (600, 600), (3000, 64)], ids=str)
def test_panels_multiply_the_reflectors_out(shape):
    """Against the same reflectors, one after the other, in float64."""
    reference = exact(shape)
    double = orthogonal(torch.empty(shape, dtype=torch.float64), 1.0).numpy()
    assert np.abs(double - reference).max() < 1e-14
    single = orthogonal(torch.empty(shape), 1.0).double().numpy()
    assert np.abs(single - reference).max() < 5e-7
    upright = double if shape[0] >= shape[1] else double.T
    assert np.abs(upright.T @ upright - np.eye(min(shape))).max() < 1e-14


@pytest.mark.parametrize("shape", [(1024, 1024), (4096, 128)], ids=str)
def test_accuracy_in_float32(shape):
    matrix = orthogonal(torch.empty(shape), 1.0).double()
    gram = matrix.T @ matrix
    assert (gram - torch.eye(shape[1], dtype=torch.float64)).abs().max() < 1e-6
    double = orthogonal(torch.empty(shape, dtype=torch.float64), 1.0)
    assert (matrix - double).abs().max() < 5e-7  # also on the diagonal, where 1 is taken off


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (40, 40), (2000, 16), (16, 2000)], ids=str)
def test_low_precision_is_float32_rounded_once(shape, dtype):
    """Also where memory is too short for all panels at once, as in the last two."""
    expected = orthogonal(torch.empty(shape), 0.7).to(dtype)
    if dtype != torch.float64:
        assert same_bits(orthogonal(torch.empty(shape, dtype=dtype), 0.7), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_largest_gain_stays_finite(dtype):
    largest = torch.finfo(dtype).max
    for shape in ((1, 1), (2, 2), (40, 40)):
        matrix = orthogonal(torch.empty(shape, dtype=dtype), largest)
        assert matrix.double().isfinite().all()
        assert matrix.double().abs().max() <= largest


@pytest.mark.parametrize("shape", [(2, 1), (1, 2)], ids=str)
def test_an_entry_above_one_does_not_pass_the_largest_value(shape):
    """One key of a hundred million: its vector has an entry of 1 + 4e-16."""
    key, largest = Key(88, 15862218662695067658), torch.finfo(torch.float64).max
    matrix = torch.empty(shape, dtype=torch.float64)
    assert orthogonal(matrix, 1.0, key=key).flatten()[0] < -1
    assert orthogonal(matrix, largest, key=key).flatten()[0] == -largest
    assert orthogonal(matrix, -largest, key=key).flatten()[0] == largest


def test_keys():
    for n in (8, 40):
        first, second = (orthogonal(torch.empty(n, n), 1.0, key=Key(1, s)) for s in range(2))
        assert not torch.allclose(first, second, atol=0.01)
        cell = np.array(KEY, dtype=np.uint64)
        read = call("orthogonal", torch.empty(n, n), cell.ctypes.data, 1, 2, n, n, 0, n, 0, n, 1.0)
        assert torch.equal(read, orthogonal(torch.empty(n, n), 1.0))


def test_bad_arguments():
    untouched = torch.full((3, 3), 7.0)
    where = (untouched.data_ptr(), 0, 9, None, 0, 0, 1)
    with pytest.raises(ValueError, match="made on the CPU"):
        _C.orthogonal(*where, 0, *KEY, 3, 3, 0, 3, 0, 3, 1.0)
    with pytest.raises(ValueError, match="the rows of the part must be in"):
        orthogonal(untouched, 1.0, (5, 5), (3, 0))
    with pytest.raises(ValueError, match="the columns of the part must be in"):
        orthogonal(untouched, 1.0, (5, 5), (0, -1))
    with pytest.raises(ValueError, match="as many elements as the tensor, 9"):
        call("orthogonal", untouched, 0, *KEY, 3, 3, 0, 2, 0, 3, 1.0)
    assert (untouched == 7).all()
    for shape in ((0, 4), (4, 0)):
        orthogonal(torch.empty(shape), 1.0)


# malloc_trim is glibc's own.
MEASURABLE = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


def peak_of(action):
    """Bytes of resident memory that the action had at its peak beyond what was there before."""

    def status(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    # Or freed memory would be taken without being seen.
    _C.free_kept_memory()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
    before = status("VmRSS")
    action()
    return status("VmHWM") - before


@pytest.mark.skipif(not MEASURABLE, reason="memory is measured with glibc, in /proc")
@pytest.mark.parametrize("shape", [(2048, 2048), (16384, 256), (256, 16384)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_memory_is_at_most_twice_the_tensor(shape, dtype):
    tensor = torch.zeros(math.prod(shape) * dtype.itemsize, dtype=torch.uint8)
    tensor = tensor.view(dtype).view(shape)
    orthogonal(tensor[:64, :64].contiguous(), 1.0)  # threads and code are there
    slack = 3 << 20  # huge pages, the threads' stacks
    assert peak_of(lambda: orthogonal(tensor, 1.0)) <= 2 * tensor.nbytes + slack
