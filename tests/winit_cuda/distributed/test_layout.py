"""Which rows a rank has, against what torch.chunk and torch's own placements give.

`distribute_tensor` splits a tensor of numbered elements without sending anything; the elements that
it leaves tell the part. The ranks are those of one process (`meshes`).
"""

from __future__ import annotations

import functools
import itertools
import random

import pytest
import torch

import dtensors
from meshes import coordinates, mesh_at, numbered, taken
from winit_cuda import Shard, Shards
from winit_cuda._core.torch_internals import strided_blocks
from winit_cuda._distributed import layout
from winit_cuda._distributed.layout import part

pytestmark = [pytest.mark.usefixtures("fake_ranks"), dtensors.needs_strided]

Split = functools.partial(layout.Split, are_blocks=strided_blocks)


def placement(split):
    """Torch's word for a split."""
    if split is None:
        return dtensors.Replicate()
    if split.factor == 1:
        return dtensors.Shard(split.dim)
    return dtensors.Strided(split.dim, split_factor=split.factor)


def distributed(whole, mesh_shape, coordinate, splits):
    """What torch makes of the whole on this rank."""
    mesh = mesh_at(mesh_shape, coordinate)
    placements = [placement(split) for split in splits]
    return dtensors.distributed(whole, mesh, placements)._local_tensor


def count_of_compared(shape, mesh_shape, splits):
    """Compare every rank's part with torch's, unless the layout is doubtful on all of them."""
    whole = numbered(shape)
    parts = {at: part(shape, mesh_shape, at, splits) for at in coordinates(mesh_shape)}
    assert len({found.doubtful for found in parts.values()}) == 1
    if next(iter(parts.values())).doubtful is not None:
        return 0
    for at, found in parts.items():
        expected = distributed(whole, mesh_shape, at, splits)
        assert found.local_shape == expected.shape, (shape, mesh_shape, at, splits)
        found.shard.check("fill_", found.local_shape)
        local = taken(whole, found.local_shape, found.shard)
        assert torch.equal(local, expected), (shape, mesh_shape, at, splits)
    return len(parts)


ROWS = [None, Split(0), Split(0, 2), Split(0, 3)]
BOTH = [*ROWS, Split(1), Split(1, 2)]


def test_meshes_of_one_dimension():
    compared = 0
    for size, ranks, split in itertools.product(range(14), (1, 2, 3, 5), ROWS):
        compared += count_of_compared((size, 2), (ranks,), (split,))
    assert compared == 14 * 11 * 4  # nothing is doubtful


def test_meshes_of_two_dimensions():
    compared = 0
    for mesh_shape in ((2, 3), (3, 2), (4, 2), (1, 3)):
        for shape in ((12, 12), (24, 2), (5, 4), (7, 9), (1, 7), (0, 3)):
            for splits in itertools.product(BOTH, repeat=2):
                compared += count_of_compared(shape, mesh_shape, splits)
    assert compared > 4600


def test_meshes_of_three_dimensions():
    chance = random.Random(3)
    compared = 0
    for _ in range(400):
        shape = tuple(chance.choice((0, 1, 5, 6, 8, 12, 24)) for _ in range(2))
        mesh_shape = tuple(chance.choice((1, 2, 3)) for _ in range(3))
        compared += count_of_compared(shape, mesh_shape, tuple(chance.choices(BOTH, k=3)))
    assert compared > 2400


def fsdp_over_tensor_parallel(whole, dp, tp, at):
    """The rows as the two split them, one after the other."""
    for ranks, index in ((tp, at[1]), (dp, at[0])):
        chunks = whole.chunk(ranks)
        whole = chunks[index] if index < len(chunks) else whole[:0]
    return whole


@pytest.mark.parametrize(("dp", "tp"), [(2, 2), (3, 2), (4, 3), (2, 4)])
def test_fsdp_over_tensor_parallel(dp, tp):
    """A size is doubtful on every rank if torch's placements are wrong about one of them."""
    splits = (Split(0, tp), Split(0))
    doubtful = []
    for size in (*range(30), 12 * 7):
        whole = numbered((size,))
        agree = True
        for at in coordinates((dp, tp)):
            expected = fsdp_over_tensor_parallel(whole, dp, tp, at)
            agree &= torch.equal(distributed(whole, (dp, tp), at, splits), expected)
            found = part((size,), (dp, tp), at, splits)
            if found.doubtful is None:
                assert torch.equal(taken(whole, found.local_shape, found.shard), expected)
                assert isinstance(found.shard, Shard)  # what is strided in words is one box
        if not agree:
            doubtful.append(size)
        assert all(
            part((size,), (dp, tp), at, splits).doubtful == (None if agree else 0)
            for at in coordinates((dp, tp))
        )
    known = {(3, 2): [7, 13, 19, 25], (4, 3): [14, 16, 25, 26, 28]}
    if strided_blocks:
        assert doubtful == known.get((dp, tp), [])
    assert all(size % (dp * tp) for size in doubtful)


def test_fsdp_over_a_fused_weight():
    """Tensor parallelism of three matrices in one weight has a factor that counts no shards.

    Torch's placements, read from left to right, name other rows than FSDP2 takes.
    """
    splits = (Split(0, 2), Split(0, 3))
    found = [part((24,), (2, 2), at, splits) for at in coordinates((2, 2))]
    assert [each.doubtful for each in found] == [0] * 4
    alone = part((24,), (2, 2), (1, 1), (None, Split(0, 3)))
    assert alone.doubtful is None
    assert isinstance(alone.shard, Shards)
    assert taken(numbered((24,)), (12,), alone.shard).tolist() == [
        *range(4, 8),
        *range(12, 16),
        *range(20, 24),
    ]


def test_chunks_of_one_size():
    """Up to torch 2.9 a strided shard has every so many of the chunks of the whole dimension."""
    for size, ranks, factor in itertools.product(range(14), (1, 2, 3), (2, 3)):
        chunks = [*numbered((size,)).chunk(ranks * factor), *numbered((size,))[:0].chunk(1)]
        for rank in range(ranks):
            split = layout.Split(0, factor, are_blocks=False)
            found = part((size,), (ranks,), (rank,), (split,))
            expected = torch.cat([*chunks[rank:-1:ranks], chunks[-1]])
            assert torch.equal(taken(numbered((size,)), found.local_shape, found.shard), expected)


def test_a_known_order():
    """The second dimension of the mesh may split first, and then nothing is doubtful."""
    splits = (Split(0), Split(0))
    for at in coordinates((3, 2)):
        found = part((7,), (3, 2), at, splits, order=(1, 0))
        assert found.doubtful is None
        expected = fsdp_over_tensor_parallel(numbered((7,)), 3, 2, at)
        assert torch.equal(taken(numbered((7,)), found.local_shape, found.shard), expected)


def test_blocks_that_touch_are_one_box():
    """Blocks of one row each go to the first rank, all of them."""
    assert part((3, 2), (2,), (0,), (layout.Split(0, 3),)).shard == Shard((3, 2), (0, 0))
    assert part((3, 2), (2,), (1,), (layout.Split(0, 3),)).local_shape == (0, 2)


def test_a_tensor_of_no_dimensions():
    found = part((), (2,), (1,), (None,))
    assert found == ((), Shard((), ()), None)


def test_every_element_has_one_rank_of_a_sharded_mesh():
    """Over meshes too large to ask torch about, every element is in one part."""
    for mesh_shape, splits in (
        ((64, 16), (Split(0, 16), Split(0))),
        ((40, 3), (Split(0), Split(1))),
    ):
        shape = (64 * 16 * 2 if splits[1].dim == 0 else 997, 5)
        held = torch.zeros(shape, dtype=torch.int64)
        for at in coordinates(mesh_shape):
            found = part(shape, mesh_shape, at, splits)
            assert found.doubtful is None
            for box in found.shard.boxes_of(found.local_shape):
                held[
                    tuple(slice(o, o + s) for o, s in zip(box.offsets, box.sizes, strict=True))
                ] += 1
        assert bool((held == 1).all())
