"""Shards: the box of a larger tensor that a local tensor is."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import torch

from .._core.checks import wrong

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Shard:
    """A local tensor is the box at `offsets` of a tensor of shape `global_shape`.

    local[i, j, ...] = whole[offsets[0] + i, offsets[1] + j, ...]. A function that takes a shard
    writes this box of the tensor that it would fill as a whole with the same key, without the rest:
    what it computes grows with the box, not with the whole. (Of an orthogonal matrix whose columns
    are several dimensions, it computes all of those beyond the first.) The size of the box is that
    of the local tensor, which may be empty.

    Args:
        global_shape: The sizes of the whole tensor, at least 0.
        offsets: Where the local tensor begins in each dimension, at least 0 and at most its size.

    Raises:
        TypeError: `global_shape` or `offsets` is not a sequence of integers.
        ValueError: They differ in length, or an integer is out of range.

    Example:
        >>> import torch, winit_cuda as winit
        >>> k = winit.key(0)
        >>> whole = winit.sparse_(torch.empty(6, 4), 0.5, key=k)
        >>> right = winit.Shard(global_shape=(6, 4), offsets=(0, 2))
        >>> torch.equal(winit.sparse_(torch.empty(6, 2), 0.5, key=k, shard=right), whole[:, 2:])
        True
    """

    global_shape: tuple[int, ...]
    offsets: tuple[int, ...]

    def __post_init__(self) -> None:
        sizes = _integers("global_shape", self.global_shape)
        offsets = _integers("offsets", self.offsets)
        if len(offsets) != len(sizes):
            requirement = f"as long as global_shape, {len(sizes)}"
            raise wrong("Shard", "offsets", requirement, offsets)
        if math.prod(max(size, 1) for size in sizes) > _LARGEST:
            raise wrong("Shard", "global_shape", "of less than 2**63 elements", sizes)
        if any(offset > size for offset, size in zip(offsets, sizes, strict=True)):
            raise wrong("Shard", "offsets", f"inside global_shape = {sizes}", offsets)
        object.__setattr__(self, "global_shape", sizes)
        object.__setattr__(self, "offsets", offsets)

    def __reduce__(self) -> tuple[type[Shard], tuple[tuple[int, ...], tuple[int, ...]]]:
        return Shard, (self.global_shape, self.offsets)

    def check(self, function: str, shape: Sequence[int]) -> None:
        """Raise, for the public `function`, unless a local tensor of this shape fits in."""
        if len(shape) != len(self.global_shape):
            requirement = f"of {len(shape)} dimensions, as the tensor is"
            raise wrong(function, "shard.global_shape", requirement, self.global_shape)
        for dimension, size in enumerate(shape):
            room = self.global_shape[dimension] - size
            if room < 0:
                requirement = f"at least {size} in dimension {dimension}, as the tensor is"
                raise wrong(function, "shard.global_shape", requirement, self.global_shape)
            if self.offsets[dimension] > room:
                requirement = (
                    f"at most {room} in dimension {dimension}, where the tensor has {size} of "
                    f"{self.global_shape[dimension]}"
                )
                raise wrong(function, "shard.offsets", requirement, self.offsets)


# Files name the class by its public place.
Shard.__module__ = "winit_cuda"
torch.serialization.add_safe_globals([Shard])


def _integers(argument: str, values: Any) -> tuple[int, ...]:
    """The values as integers of at least 0."""
    requirement = "a sequence of integers"
    if isinstance(values, (Mapping, AbstractSet)):  # these have no order of their own
        raise wrong("Shard", argument, requirement, values, TypeError)
    try:
        given = tuple(values)
        if any(isinstance(value, bool) for value in given):
            raise wrong("Shard", argument, requirement, values, TypeError)
        integers = tuple(map(operator.index, given))
    except TypeError as error:
        raise wrong("Shard", argument, requirement, values, TypeError) from error
    if any(value < 0 for value in integers):
        raise wrong("Shard", argument, "of integers that are at least 0", integers)
    return integers
