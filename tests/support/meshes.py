"""Meshes of many ranks in one process, which is the rank of each in turn.

The process group is torch's fake one, which sends nothing. The process is rank 0 of it, and where
that is in a mesh depends on the order of the mesh's ranks (`mesh_at`). FSDP2 asks the group instead
(`as_each_rank`).
"""

from __future__ import annotations

import functools
import itertools
import math
from contextlib import contextmanager

import torch
from torch import distributed
from torch.distributed.device_mesh import DeviceMesh
from torch.testing._internal.distributed.fake_pg import FakeStore

WORLD = 48


@contextmanager
def fake_group(rank=0, world=WORLD):
    """The process is a rank of a group of `world`, and what it sends goes nowhere."""
    distributed.init_process_group("fake", rank=rank, world_size=world, store=FakeStore())
    try:
        yield
    finally:
        mesh_at.cache_clear()
        distributed.destroy_process_group()


@functools.cache
def mesh_at(shape, coordinate, names=None):
    """A mesh of this shape in which the process is at this coordinate."""
    index = 0
    for size, place in zip(shape, coordinate, strict=True):
        index = index * size + place
    ranks = torch.arange(math.prod(shape)).roll(index).view(shape)
    mesh = DeviceMesh("cpu", ranks, mesh_dim_names=names)
    assert tuple(mesh.get_coordinate()) == coordinate
    return mesh


def as_each_rank(shape, names):
    """A mesh of this shape for every rank of a group of its own, which the process is in turn.

    Torch keeps layouts of tensors from one group to the next, with the rank that the process was.
    A name of its own for each mesh keeps them apart.
    """
    for rank in range(math.prod(shape)):
        with fake_group(rank, math.prod(shape)):
            own = tuple(f"{name}_of_{rank}" for name in names)
            mesh = distributed.init_device_mesh("cpu", shape, mesh_dim_names=own)
            yield dict(zip(names, own, strict=True)), mesh


def coordinates(shape):
    """Every coordinate of a mesh."""
    return itertools.product(*map(range, shape))


def numbered(shape):
    """A tensor whose elements are their own row-major indices."""
    return torch.arange(math.prod(shape)).view(shape)


def taken(whole, part_shape, shard):
    """The part of a tensor that a shard describes."""
    local = torch.full(part_shape, -1, dtype=whole.dtype)
    for box in shard.boxes_of(part_shape):
        _inside(local, box.local_offsets, box.sizes).copy_(_inside(whole, box.offsets, box.sizes))
    return local


def _inside(tensor, offsets, sizes):
    return tensor[tuple(slice(o, o + size) for o, size in zip(offsets, sizes, strict=True))]
