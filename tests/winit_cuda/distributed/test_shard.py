"""Boxes of larger tensors: what a shard may be, and that its values are those of the whole."""

from __future__ import annotations

import itertools
import math
import weakref

import numpy as np
import pytest
import torch
from torch._subclasses import FakeTensorMode

import winit_cuda as winit
from initializers import Unchanged, needs_core
from winit_cuda._core.torch_internals import serves_vmap

KEY = winit.Key(3, 4)
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e5m2]


# ------------------------------------------------------------------------- the class


def test_a_shard_is_plain_data():
    shard = winit.Shard(global_shape=torch.Size([4, 6]), offsets=[np.int64(1), 2])
    assert shard == winit.Shard((4, 6), (1, 2))
    assert hash(shard) == hash(winit.Shard((4, 6), (1, 2)))
    assert repr(shard) == "Shard(global_shape=(4, 6), offsets=(1, 2))"
    with pytest.raises(AttributeError):
        shard.offsets = (0, 0)
    box = winit.Box(offsets=(0, 0), sizes=(1, 2), local_offsets=(0, 0))
    for value in (shard, box, winit.Shards((box,), (4, 6))):
        assert weakref.ref(value)() is value  # by which torch 2.4 guards what it compiles


@pytest.mark.parametrize(
    ("shape", "offsets", "error", "message"),
    [
        ((4, 6), (1,), ValueError, "offsets must be as long as global_shape, 2, got (1,)"),
        ((4, 6), (1, 7), ValueError, "offsets must be inside global_shape = (4, 6), got (1, 7)"),
        ((4, 6), (-1, 0), ValueError, "offsets must be of integers that are at least 0"),
        ((-4, 6), (0, 0), ValueError, "global_shape must be of integers that are at least 0"),
        ((4.0, 6), (0, 0), TypeError, "global_shape must be a sequence of integers"),
        ((4, 6), (True, 0), TypeError, "offsets must be a sequence of integers"),
        (4, (0,), TypeError, "global_shape must be a sequence of integers, got 4"),
        ((4, 6), None, TypeError, "offsets must be a sequence of integers, got None"),
        ({4: 0, 6: 0}, (0, 0), TypeError, "global_shape must be a sequence of integers, got {4: "),
        ((4, 6), {0, 1}, TypeError, "offsets must be a sequence of integers, got set"),
        ((2**32, 2**31), (0, 0), ValueError, "global_shape must be of less than 2**63 elements"),
        ((2**32, 2**31, 0), (0, 0, 0), ValueError, "less than 2**63 elements"),
    ],
)
def test_what_a_shard_may_not_be(shape, offsets, error, message):
    with pytest.raises(error, match=r"^Shard: ") as caught:
        winit.Shard(shape, offsets)
    assert message in str(caught.value)


# ------------------------------------------------------------------------- its values


def boxes(shape, count=12):
    """Boxes of a tensor: the whole, slices of each dimension, and some of both."""
    yield (0,) * len(shape), shape
    for dimension, size in enumerate(shape):
        for first, last in ((0, size // 2), (size // 2, size), (size - 1, size)):
            offsets = [0] * len(shape)
            local = list(shape)
            offsets[dimension], local[dimension] = first, last - first
            yield tuple(offsets), tuple(local)
    chance = np.random.default_rng(len(shape))
    for _ in range(count):
        ends = [sorted(chance.choice(size + 1, 2, replace=False)) for size in shape]
        yield tuple(int(a) for a, _ in ends), tuple(int(b - a) for a, b in ends)


def inside(whole, offsets, local):
    return whole[tuple(slice(o, o + size) for o, size in zip(offsets, local, strict=True))]


def views(local, dtype):
    """A contiguous tensor of this shape and one whose dimensions lie in the other order."""
    yield torch.full(local, 7.0).to(dtype)
    yield torch.full(local[::-1], 7.0).to(dtype).permute(*range(len(local))[::-1])


def close(found, expected):
    tolerance = 1e-14 if found.dtype == torch.float64 else max(1e-6, torch.finfo(found.dtype).eps)
    return torch.allclose(found.double(), expected.double(), rtol=0, atol=tolerance)


@needs_core
@pytest.mark.parametrize("shape", [(7, 7), (12, 5), (4, 11), (6, 3, 4), (5, 2, 3, 2), (130, 90)])
def test_boxes_of_an_orthogonal_matrix(shape):
    for dtype in (torch.float32, torch.float64):
        whole = winit.orthogonal_(torch.empty(shape, dtype=dtype), -1.0, key=KEY)
        for offsets, local in boxes(shape):
            shard = winit.Shard(shape, offsets)
            for view in views(local, dtype):
                assert winit.orthogonal_(view, -1.0, key=KEY, shard=shard) is view
                assert close(view, inside(whole, offsets, local)), (offsets, local)


@needs_core
@pytest.mark.parametrize(
    ("shape", "batch_dims", "chunks"),
    [((3, 6, 4), 1, 1), ((12, 5), 0, 3), ((2, 9, 2, 3), 1, 3), ((2, 3, 4, 5), 2, 2)],
)
def test_boxes_of_several_orthogonal_matrices(shape, batch_dims, chunks):
    several = {"key": KEY, "batch_dims": batch_dims, "chunks": chunks}
    whole = winit.orthogonal_(torch.empty(shape), **several)
    for offsets, local in boxes(shape):
        shard = winit.Shard(shape, offsets)
        for view in views(local, torch.float32):
            winit.orthogonal_(view, shard=shard, **several)
            assert close(view, inside(whole, offsets, local)), (offsets, local)


@needs_core
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_orthogonal_boxes_in_every_dtype(dtype):
    shape, offsets, local = (20, 14), (3, 5), (9, 6)
    whole = winit.orthogonal_(torch.empty(shape, dtype=dtype), key=KEY)
    shard = winit.Shard(shape, offsets)
    found = winit.orthogonal_(torch.empty(local, dtype=dtype), key=KEY, shard=shard)
    assert close(found, inside(whole, offsets, local))


@needs_core
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(10, 7), (1, 9), (33, 70), (64, 1)])
def test_boxes_of_a_sparse_matrix_are_equal_bit_for_bit(shape, dtype):
    whole = winit.sparse_(torch.empty(shape, dtype=dtype), 0.3, 1.0, key=KEY)
    for offsets, local in boxes(shape):
        shard = winit.Shard(shape, offsets)
        for view in views(local, dtype):
            assert winit.sparse_(view, 0.3, 1.0, key=KEY, shard=shard) is view
            assert torch.equal(view.float(), inside(whole, offsets, local).float())


@needs_core
def test_zeros_are_counted_in_the_columns_of_the_whole():
    parts = [
        winit.sparse_(torch.ones(5, 8), 0.5, key=KEY, shard=winit.Shard((20, 8), (row, 0)))
        for row in range(0, 20, 5)
    ]
    assert (torch.cat(parts) == 0).sum(0).tolist() == [10] * 8
    assert len({tuple((part == 0).sum(0).tolist()) for part in parts}) > 1


@needs_core
def test_one_seed_gives_shards_of_one_tensor():
    """Every rank draws the same key from a generator in the same state."""
    for function, numbers in ((winit.orthogonal_, ()), (winit.sparse_, (0.5,))):
        torch.manual_seed(0)
        whole = function(torch.empty(6, 6), *numbers)
        halves = []
        for column in (0, 3):
            torch.manual_seed(0)
            shard = winit.Shard((6, 6), (0, column))
            halves.append(function(torch.empty(6, 3), *numbers, shard=shard))
        assert close(torch.cat(halves, 1), whole)
        state = torch.get_rng_state()
        torch.manual_seed(0)
        winit.normal_(torch.empty(1))
        assert torch.equal(torch.get_rng_state(), state)


@needs_core
def test_chunks_of_a_shard_draw_one_key():
    generator = torch.Generator().manual_seed(5)
    shard = winit.Shard((8, 4), (2, 0))
    found = winit.orthogonal_(torch.empty(4, 4), generator=generator, chunks=2, shard=shard)
    generator = torch.Generator().manual_seed(5)
    whole = winit.orthogonal_(torch.empty(8, 4), generator=generator, chunks=2)
    assert close(found, whole[2:6])


# ------------------------------------------------------------------------- around them

LOCAL = (4, 3)
CALLS = [
    ("orthogonal_", {}, winit.Shard((8, 6), (2, 3))),
    ("orthogonal_", {"chunks": 2}, winit.Shard((8, 6), (2, 3))),
    ("sparse_", {"sparsity": 0.5}, winit.Shard((8, 6), (2, 3))),
]
every_function = pytest.mark.parametrize(
    ("name", "arguments"), [call[:2] for call in CALLS], ids=str
)
every_call = pytest.mark.parametrize(("name", "arguments", "shard"), CALLS, ids=str)


@every_function
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ((8, 6), TypeError, "a winit_cuda.Shard, winit_cuda.Shards or None, got (8, 6)"),
        (winit.Shard((8,), (0,)), ValueError, "shard.global_shape must be of 2 dimensions"),
        (winit.Shard((8, 6, 1), (0, 0, 0)), ValueError, "shard.global_shape must be of 2 dimens"),
        (winit.Shard((8, 6), (5, 0)), ValueError, "at most 4 in dimension 0, where the tensor has"),
        (winit.Shard((8, 6), (0, 4)), ValueError, "shard.offsets must be at most 3 in dimension 1"),
        (winit.Shard((2, 6), (0, 0)), ValueError, "shard.global_shape must be at least 4 in dimen"),
    ],
)
def test_bad_shards(name, arguments, bad, error, message):
    tensor = torch.full(LOCAL, 7.0)
    for target in (tensor, tensor.mT.contiguous().mT):
        with Unchanged(target), pytest.raises(error, match=f"^{name}: ") as caught:
            getattr(winit, name)(target, **arguments, shard=bad)
        assert message in str(caught.value)


def test_chunks_divide_the_rows_of_the_whole():
    tensor = torch.full((3, 4), 7.0)
    with Unchanged(tensor), pytest.raises(ValueError, match="number of rows, 8, got 3"):
        winit.orthogonal_(tensor, chunks=3, shard=winit.Shard((8, 4), (0, 0)))


@every_call
def test_shards_need_the_core(name, arguments, shard):
    tensor = torch.full(LOCAL, 7.0)
    error = pytest.raises(RuntimeError, match=f"{name}: a shard or DTensor needs the native core")
    with winit.use_backend("aten"), Unchanged(tensor), error:
        getattr(winit, name)(tensor, **arguments, shard=shard)


@every_call
@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
def test_empty_shards(name, arguments, shard, shape):
    tensor = torch.empty(shape)
    with Unchanged(tensor):
        assert getattr(winit, name)(tensor, **arguments, key=KEY, shard=shard) is tensor
    at_the_end = winit.Shard((8, 6), (8, 6))
    found = getattr(winit, name)(torch.empty(0, 0), **arguments, key=KEY, shard=at_the_end)
    assert found.numel() == 0


@needs_core
@every_call
def test_shards_in_compiled_and_mapped_functions(name, arguments, shard):
    def fill(tensor):
        return getattr(winit, name)(tensor, **arguments, key=KEY, shard=shard)

    expected = fill(torch.zeros(LOCAL))
    torch._dynamo.reset()
    program = torch.compile(fill, fullgraph=True, backend="aot_eager")
    assert torch.equal(program(torch.zeros(LOCAL)), expected)
    if serves_vmap:
        found = torch.func.vmap(lambda x: fill(x.clone()))(torch.zeros(2, *LOCAL))
        assert torch.equal(found, expected.expand_as(found))


@every_call
def test_shards_without_values(name, arguments, shard):
    function = getattr(winit, name)
    with FakeTensorMode():
        tensor = torch.empty(LOCAL)
        assert function(tensor, **arguments, shard=shard) is tensor
    huge = winit.Shard((2**30, 2**30), (2**20, 2**30 - 3))
    assert function(torch.empty(LOCAL, device="meta"), **arguments, shard=huge).is_meta


@needs_core
@every_call
def test_shards_of_leaves_and_lazy_signs(name, arguments, shard):
    function = getattr(winit, name)
    expected = function(torch.empty(LOCAL), **arguments, key=KEY, shard=shard)
    leaf = torch.zeros(LOCAL, requires_grad=True)
    assert torch.equal(function(leaf, **arguments, key=KEY, shard=shard), expected)
    assert leaf.is_leaf
    assert leaf._version > 0
    view = torch.zeros(LOCAL, dtype=torch.complex64).conj().imag
    assert torch.equal(function(view, **arguments, key=KEY, shard=shard), expected)
    with torch.inference_mode():
        tensor = torch.zeros(LOCAL)
        assert torch.equal(function(tensor, **arguments, key=KEY, shard=shard), expected)


@needs_core
def test_a_grid_of_shards_is_the_whole():
    shape, rows, columns = (24, 18), (0, 5, 6, 24), (0, 9, 18)
    for name, arguments in (("orthogonal_", {"chunks": 4}), ("sparse_", {"sparsity": 0.4})):
        whole = getattr(winit, name)(torch.empty(shape), **arguments, key=KEY)
        joined = torch.full(shape, math.nan)
        for (top, bottom), (left, right) in itertools.product(
            itertools.pairwise(rows), itertools.pairwise(columns)
        ):
            shard = winit.Shard(shape, (top, left))
            local = joined[top:bottom, left:right]
            getattr(winit, name)(local, **arguments, key=KEY, shard=shard)
        assert close(joined, whole)


@pytest.mark.parametrize("shape", [(2**63 - 1, 1), (2**53 + 1, 1), (1, 2**53 + 1)])
def test_matrices_too_long_to_count(shape):
    tensor = torch.full((1, 1), 7.0)
    shard = winit.Shard(shape, (0, 0))
    for fill in (
        winit.orthogonal_,
        lambda tensor, **options: winit.sparse_(tensor, 0.5, **options),
    ):
        with (
            Unchanged(tensor),
            pytest.raises(ValueError, match=r"_: shard\.global_shape must be of"),
        ):
            fill(tensor, shard=shard)


@needs_core
def test_rows_up_to_where_a_float_counts_them():
    """One column of 2**53 rows cannot be looked at; one row of as many columns can."""
    shard = winit.Shard((1, 2**53), (0, 2**53 - 3))
    found = winit.sparse_(torch.empty(1, 3), 0.0, key=winit.key(0), shard=shard)
    assert found.abs().max() < 0.1
    shard = winit.Shard((2**53, 1), (2**53 - 3, 0))
    found = winit.sparse_(torch.empty(3, 1), 1.0, key=winit.key(0), shard=shard)
    assert not found.any()
