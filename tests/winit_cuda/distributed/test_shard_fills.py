"""Every initializer with `shard=`: the values of the same elements of the whole tensor."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit
from initializers import Initializer, needs_core
from tensor_parts import (
    DTYPES,
    KEY,
    Part,
    cuts,
    every,
    keyed,
    same,
    views,
)


@needs_core
@every
def test_parts_have_the_values_of_the_whole(initializer):
    whole = initializer(initializer.empty(), **keyed(initializer))
    for part in cuts(initializer.shape, len(initializer.name)):
        for view in views(part.shape):
            assert initializer(view, **keyed(initializer, shard=part.shard)) is view
            assert same(initializer, view, part.of(whole)), part


@needs_core
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("boxes", [1, 2])
def test_parts_in_every_dtype(dtype, boxes):
    shape = (9, 14)
    rows, columns = [(6, 9), (1, 4)][:boxes], [(3, 8), (9, 14)][:boxes]
    part = Part(shape, rows, columns)
    for name, numbers in (
        ("uniform_", (-1.0, 1.0)),
        ("normal_", (0.0, 0.5)),
        ("trunc_normal_", (0.0, 1.0, -1.0, 2.0)),
        ("orthogonal_", ()),
        ("sparse_", (0.4, 1.0)),
    ):
        initializer = Initializer(name, shape, numbers)
        whole = initializer(initializer.empty(dtype=dtype), key=KEY)
        for view in views(part.shape, dtype):
            found = initializer(view, key=KEY, shard=part.shard)
            assert same(initializer, found.float(), part.of(whole.float())), name


@needs_core
@every
@pytest.mark.parametrize("dim", [0, 1])
def test_ranks_join_to_the_whole(initializer, dim):
    """As Megatron-LM cuts: several pieces of each of several stacked matrices a rank."""
    size = initializer.shape[dim] if dim < len(initializer.shape) else 1
    whole = initializer(initializer.empty(), **keyed(initializer))
    for world, stride in ((2, 1), (2, 2), (2, 3), (3, 2)):
        if size % (world * stride):
            continue
        local = list(initializer.shape)
        local[dim] //= world
        pieces = []
        for rank in range(world):
            shard = winit.Shard.partition(initializer.shape, dim, rank, world, stride)
            tensor = initializer(torch.empty(local), **keyed(initializer, shard=shard))
            pieces.append(tensor.chunk(stride, dim))
        found = torch.cat([own[j] for j in range(stride) for own in pieces], dim)
        assert same(initializer, found, whole)


@needs_core
def test_parts_beyond_2_to_the_32_elements():
    """Of a tensor that no machine holds: element 0 of row r is that of any cut of the row."""
    shape = (2**31, 2**20)
    whole = winit.normal_(torch.empty(4, 6), key=KEY, shard=winit.Shard(shape, (2**30, 2**19)))
    boxes = [
        winit.Box((2**30 + 2, 2**19 + 1), (2, 5), (0, 0)),
        winit.Box((2**30, 2**19 + 1), (1, 5), (2, 0)),
    ]
    found = winit.normal_(torch.empty(3, 5), key=KEY, shard=winit.Shards(boxes, shape))
    assert torch.equal(found, whole[[2, 3, 0], 1:])


@needs_core
@pytest.mark.parametrize("rank", [0, 1, 15, 16, 18])
def test_parts_of_any_number_of_dimensions(rank):
    shape, local = (2,) * rank, (2,) * (rank - 1) + (1,) * min(rank, 1)
    whole = winit.normal_(torch.empty(shape), key=KEY)
    shard = winit.Shard(shape, (0,) * (rank - 1) + (1,) * min(rank, 1))
    expected = whole[..., 1:] if rank else whole
    found = winit.normal_(torch.empty(local), key=KEY, shard=shard)
    assert torch.equal(found, expected)
    if rank > 1:
        shape, offsets = (3, *shape[1:]), (1, *shard.offsets[1:])
        whole = winit.normal_(torch.empty(shape), key=KEY)
        found = winit.normal_(torch.empty(local), key=KEY, shard=winit.Shard(shape, offsets))
        assert torch.equal(found, whole[1:, ..., 1:])


@needs_core
def test_many_boxes():
    shape = (400, 3)
    part = Part(shape, [(row, row + 2) for row in range(0, 400, 4)], [(0, 3)])
    initializer = Initializer("sparse_", shape, (0.3, 1.0))
    whole = initializer(initializer.empty(), key=KEY)
    found = initializer(torch.empty(part.shape), key=KEY, shard=part.shard)
    assert torch.equal(found, part.of(whole))
    torch.manual_seed(3)
    expected = part.of(initializer(initializer.empty()))
    state = torch.get_rng_state()
    torch.manual_seed(3)
    assert torch.equal(initializer(torch.empty(part.shape), shard=part.shard), expected)
    assert torch.equal(torch.get_rng_state(), state)


@needs_core
@pytest.mark.parametrize("name", ["sparse_", "orthogonal_"])
def test_boxes_without_memory_leave_all_as_they_were(name):
    """However many of them there are: all is there before the first is written."""
    from winit_cuda import _C

    shape = (400, 90)
    rows = [(row, row + 2) for row in range(0, 400, 4)]
    part = Part(shape, rows, [(0, 40), (50, 60)])
    initializer = Initializer(name, shape, (0.5,) if name == "sparse_" else ())
    tensor, state = torch.full(part.shape, 7.0), torch.get_rng_state()
    failures = 0
    try:
        while True:
            _C.free_kept_memory()
            _C.fail_after("allocation", failures)
            try:
                initializer(tensor, shard=part.shard)
                break
            except RuntimeError as error:
                message = str(error)
            assert message.startswith(f"{name}: out of memory")
            assert (tensor == 7.0).all()
            assert torch.equal(torch.get_rng_state(), state)
            failures += 1
    finally:
        _C.fail_after("allocation", -1)
    assert failures > 1
    torch.set_rng_state(state)
    assert same(initializer, tensor, part.of(initializer(initializer.empty())))


@needs_core
def test_matrices_of_several_boxes():
    for shape, options in (((12, 5), {"chunks": 3}), ((3, 6, 4), {"batch_dims": 1, "chunks": 2})):
        initializer = Initializer("orthogonal_", shape)
        whole = initializer(initializer.empty(), key=KEY, **options)
        for part in cuts(shape, 5):
            for view in views(part.shape):
                initializer(view, key=KEY, shard=part.shard, **options)
                assert same(initializer, view, part.of(whole)), part
