"""The part of a tensor that a rank of a mesh has: arithmetic on intervals of indices.

A dimension of the mesh splits a dimension of the tensor as `torch.chunk` does, or first into
`factor` blocks each of which is split so, the rank's chunks of which are then joined (or all of it
into `factor` times as many chunks of one size, of which each block has the next). Splits are
applied one after the other to what is left. What a rank has of a dimension is a list of intervals,
and its part of the tensor is the boxes that the intervals of all dimensions span.

In which order is the question. A mesh is read from left to right. But FSDP2 splits what tensor
parallelism left, and its mesh dimension comes first; so it says how many shards there were before
it, in `factor`, such that a reader from left to right finds the same rows. He does where the sizes
divide evenly, and not always where they do not (pytorch#168134): then nobody can tell which rows
the local tensor is, and `Part.doubtful` names the dimension.

Nothing here knows torch. All ranks get the same answer to what does not depend on their coordinate.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from typing import TYPE_CHECKING, NamedTuple

from .shard import Box, Shard, Shards

if TYPE_CHECKING:
    from collections.abc import Sequence

Interval = tuple[int, int]
"""The first index and the one after the last; none is empty."""


class Split(NamedTuple):
    """How one dimension of the mesh splits the tensor."""

    dim: int
    """The dimension of the tensor."""
    factor: int = 1
    """Into how many blocks that dimension is cut before each is split."""
    are_blocks: bool = True
    """Whether each block is split alone; else all are, as one, into chunks of one size."""


class Part(NamedTuple):
    """What one rank has."""

    local_shape: tuple[int, ...]
    shard: Shard | Shards
    doubtful: int | None
    """The dimension of the tensor of whose rows nobody can be sure, on any rank."""


class _Step(NamedTuple):
    """One split of the dimension at hand."""

    ranks: int
    factor: int
    mesh_dim: int
    are_blocks: bool


@functools.lru_cache(maxsize=1 << 14)
def part(
    global_shape: tuple[int, ...],
    mesh_shape: tuple[int, ...],
    coordinate: tuple[int, ...],
    splits: tuple[Split | None, ...],
    order: tuple[int, ...] | None = None,
) -> Part:
    """The part of the rank at `coordinate` of a mesh, whose dimensions split the tensor.

    Args:
        global_shape: The sizes of the whole tensor.
        mesh_shape: The sizes of the mesh.
        coordinate: Where the rank is in the mesh.
        splits: For each dimension of the mesh how it splits the tensor; None where it does not.
        order: The dimensions of the mesh in the order in which they split, where that is known;
            else it is from left to right, or as the factors have it.
    """
    doubtful = None
    intervals: list[list[Interval]] = []
    for dim, size in enumerate(global_shape):
        steps = tuple(
            _Step(ranks, split.factor, mesh_dim, split.are_blocks)
            for mesh_dim, (ranks, split) in enumerate(zip(mesh_shape, splits, strict=True))
            if split is not None and split.dim == dim and ranks > 1
        )
        if order is not None:
            steps = tuple(sorted(steps, key=lambda step: order.index(step.mesh_dim)))
        elif doubtful is None and not _is_certain(size, steps):
            doubtful = dim
        intervals.append(_owned(size, steps, coordinate))
    local_shape = tuple(sum(end - begin for begin, end in parts) for parts in intervals)
    return Part(local_shape, _shard(global_shape, intervals), doubtful)


def _shard(global_shape: tuple[int, ...], intervals: list[list[Interval]]) -> Shard | Shards:
    """The boxes that the intervals span; where there are none, one that is empty."""
    if all(len(parts) <= 1 for parts in intervals) or not all(intervals):
        offsets = tuple(parts[0][0] if parts else 0 for parts in intervals)
        return Shard(global_shape, offsets)
    # For each dimension: where an interval begins, how long it is, where it begins locally.
    placed = [
        [
            (begin, end - begin, local)
            for (begin, end), local in zip(
                parts, itertools.accumulate((e - b for b, e in parts), initial=0), strict=False
            )
        ]
        for parts in intervals
    ]
    return Shards(
        tuple(Box(*zip(*place, strict=True)) for place in itertools.product(*placed)), global_shape
    )


def _owned(size: int, steps: Sequence[_Step], coordinate: tuple[int, ...]) -> list[Interval]:
    """What a rank has of a dimension, in ascending order, none next to the one before."""
    owned = [(0, size)] if size else []
    for step in steps:
        owned = _joined(_chunks(owned, step, coordinate[step.mesh_dim]))
    return owned


def _chunks(owned: list[Interval], step: _Step, index: int) -> list[Interval]:
    """Chunk `index` of each block, one after the other."""
    total = sum(end - begin for begin, end in owned)
    of_all = -(-total // (step.factor * step.ranks))
    block = -(-total // step.factor) if step.are_blocks else of_all * step.ranks
    found = []
    for first in range(0, total, max(block, 1)):
        last = min(first + block, total)
        chunk = -(-(last - first) // step.ranks) if step.are_blocks else of_all
        begin = min(first + index * chunk, last)
        found += _cut(owned, begin, min(begin + chunk, last))
    return found


def _cut(owned: list[Interval], first: int, last: int) -> list[Interval]:
    """The indices from number `first` to before number `last` of those in the intervals."""
    found = []
    before = 0
    for begin, end in owned:
        cut = (max(begin, begin + first - before), min(end, begin + last - before))
        if cut[0] < cut[1]:
            found.append(cut)
        before += end - begin
    return found


def _joined(owned: list[Interval]) -> list[Interval]:
    """The intervals, with those that touch made one."""
    joined: list[Interval] = []
    for begin, end in owned:
        if joined and joined[-1][1] == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


@functools.lru_cache(maxsize=1 << 12)
def _is_certain(size: int, steps: tuple[_Step, ...]) -> bool:
    """Whether every rank has the same rows, read from left to right and as FSDP2 splits."""
    applied = _in_order_of_application(steps)
    if applied == list(steps):
        return True
    is_even = size % math.prod(step.ranks for step in steps) == 0
    if is_even and all(step.factor == 1 for step in applied):
        return True
    ranks: list[tuple[int, ...]] = [()]  # coordinates of the mesh, 0 where it splits others
    for step in steps:
        gap = (0,) * (step.mesh_dim - len(ranks[0]))
        ranks = [(*rank, *gap, index) for rank in ranks for index in range(step.ranks)]
    return all(_owned(size, steps, rank) == _owned(size, applied, rank) for rank in ranks)


def _in_order_of_application(steps: Sequence[_Step]) -> list[_Step]:
    """The steps as they were taken, if a factor is the number of shards that there were before.

    From right to left, each goes behind those that make as many shards as its factor; it is then
    an ordinary split. A factor that counts no shards is one of its own (the matrices of a fused
    weight): that step goes first and keeps it.
    """
    applied: list[_Step] = []
    for step in reversed(steps):
        shards = itertools.accumulate((one.ranks for one in applied), operator.mul, initial=1)
        counts = list(shards)
        if step.factor in counts:
            applied.insert(counts.index(step.factor), step._replace(factor=1))
        else:
            applied.insert(0, step)
    return applied
