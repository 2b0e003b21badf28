"""Tensors as verification reads them: in parts, of each of which tiles can be read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from torch.nn.parameter import is_lazy

from .._core.torch_internals import is_dtensor, is_tracing_tensor
from .._distributed.dtensor import local_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

    from .._distributed.shard import Shard, Shards


class Part(NamedTuple):
    """A box of a tensor that lies somewhere as a whole: in memory or in a file."""

    offsets: tuple[int, ...]
    """Where it begins in each dimension."""
    sizes: tuple[int, ...]
    read: Callable[[tuple[slice, ...]], torch.Tensor]
    """What it has between these indices, which count from its own beginning."""


class Stored(NamedTuple):
    """A tensor, or what this process has of it."""

    shape: tuple[int, ...]
    """That of the whole."""
    dtype: torch.dtype
    device: torch.device
    """Where what is read lies."""
    parts: tuple[Part, ...]
    """What there is of it: disjoint boxes."""
    is_shared: bool = False
    """Whether other processes have other parts."""


class Tile(NamedTuple):
    """A box of a part, small enough to be filled once more."""

    part: Part
    offsets: tuple[int, ...]
    """Where it begins in the whole tensor."""
    sizes: tuple[int, ...]

    @property
    def numel(self) -> int:
        """How many elements it has."""
        return math.prod(self.sizes)

    def found(self) -> torch.Tensor:
        """Its values, as they are stored."""
        starts = [a - b for a, b in zip(self.offsets, self.part.offsets, strict=True)]
        ends = [start + size for start, size in zip(starts, self.sizes, strict=True)]
        return self.part.read(tuple(map(slice, starts, ends)))


def check_values(function: str, name: str, tensor: torch.Tensor) -> None:
    """Raise where a tensor has no values."""
    if is_lazy(tensor):
        raise RuntimeError(f"{function}: {name} is lazy: call the model once before")
    if is_tracing_tensor(tensor):
        raise RuntimeError(f"{function}: {name} is a fake tensor, which has no values")
    if tensor.is_meta:
        raise RuntimeError(f"{function}: {name} is on meta: fill the model before")


def of_tensor(function: str, tensor: torch.Tensor, shard: Shard | Shards | None = None) -> Stored:
    """A tensor in memory: a whole one, a DTensor, or, with a shard, a part of a larger one."""
    is_shared = is_dtensor(tensor)
    if is_shared:
        tensor, shard = local_part(function, tensor)
    local = tensor.detach()
    if shard is None:
        zeros, sizes = (0,) * local.dim(), tuple(local.shape)
        return Stored(sizes, local.dtype, local.device, (Part(zeros, sizes, local.__getitem__),))
    shard.check(function, local.shape)
    parts = []
    for box in shard.boxes_of(local.shape):
        ends = [begin + size for begin, size in zip(box.local_offsets, box.sizes, strict=True)]
        there: Any = local[tuple(map(slice, box.local_offsets, ends))]
        parts.append(Part(box.offsets, box.sizes, there.__getitem__))
    return Stored(shard.global_shape, local.dtype, local.device, tuple(parts), is_shared)


def tiles(part: Part, most: int, order: Sequence[int] | None = None) -> Iterator[Tile]:
    """A part cut into tiles of at most so many elements, one after the other.

    Args:
        part: What is cut.
        most: The elements of a tile, where the order allows it.
        order: The dimensions that may be cut, the first one first; None for all from the left.
    """
    if math.prod(part.sizes):
        dims = tuple(range(len(part.sizes))) if order is None else tuple(order)
        yield from _cut(Tile(part, part.offsets, part.sizes), most, dims)


def _cut(tile: Tile, most: int, dims: tuple[int, ...]) -> Iterator[Tile]:
    if tile.numel <= most or not dims:
        yield tile
        return
    dim, *later = dims
    size = tile.sizes[dim]
    step = max(1, most // (tile.numel // size))
    for begin in range(0, size, step):
        offsets, sizes = list(tile.offsets), list(tile.sizes)
        offsets[dim] += begin
        sizes[dim] = min(step, size - begin)
        yield from _cut(Tile(tile.part, tuple(offsets), tuple(sizes)), most, tuple(later))
