"""Shards: the part of a larger tensor that a local tensor is, one box of it or several.

A `Shard` is one box, of the size of the local tensor. `Shards` are several, each with its place in
the local tensor. What writes a part asks either of them for `global_shape` and `boxes_of(shape)`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from .._core.checks import count, integer, unfit, wrong
from .._core.weak_reference import WeaklyReferenced

_LARGEST = 2**63 - 1

_CHECKPOINTABLE = ("global_shape", "global_offsets", "local_sizes", "local_offsets")

Integers = tuple[int, ...]  # not in the fields, whose hints are resolved in `winit_cuda`


@dataclass(frozen=True, slots=True)
class Box(WeaklyReferenced):
    """One box of a larger tensor and its place in the local tensor, for `Shards`.

    local[local_offsets[0] + i, ...] = whole[offsets[0] + i, ...] for i, ... below `sizes`.

    Args:
        offsets: Where the box begins in the whole tensor, in each dimension.
        sizes: How long it is in each dimension, at least 0.
        local_offsets: Where it begins in the local tensor, in each dimension.

    Raises:
        TypeError: An argument is not a sequence of integers.
        ValueError: The three differ in length, or an integer is negative.

    Example:
        >>> import winit_cuda as winit
        >>> winit.Box(offsets=(4, 0), sizes=(2, 6), local_offsets=(0, 0))
        Box(offsets=(4, 0), sizes=(2, 6), local_offsets=(0, 0))
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    local_offsets: tuple[int, ...]

    if TYPE_CHECKING:  # any sequence will do

        def __init__(
            self, offsets: Sequence[int], sizes: Sequence[int], local_offsets: Sequence[int]
        ) -> None: ...

    def __post_init__(self) -> None:
        offsets = _integers("Box", "offsets", self.offsets)
        sizes = _integers("Box", "sizes", self.sizes)
        local_offsets = _integers("Box", "local_offsets", self.local_offsets)
        for argument, values in (("sizes", sizes), ("local_offsets", local_offsets)):
            if len(values) != len(offsets):
                raise wrong("Box", argument, f"as long as offsets, {len(offsets)}", values)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "local_offsets", local_offsets)

    def __reduce__(self) -> tuple[type[Box], tuple[Integers, Integers, Integers]]:
        return Box, (self.offsets, self.sizes, self.local_offsets)


@dataclass(frozen=True, slots=True)
class Shard(WeaklyReferenced):
    """A local tensor is the box at `offsets` of a tensor of shape `global_shape`.

    local[i, j, ...] = whole[offsets[0] + i, offsets[1] + j, ...]. A function that takes a shard
    writes this box of the tensor that it would fill as a whole with the same key, without the rest:
    what it computes grows with the box, not with the whole. (`sparse_` looks at whole columns, and
    `orthogonal_` makes the reflectors that the box needs; where its columns are several dimensions,
    all beyond the first.) The size of the box is that of the local tensor, which may be empty.

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

    if TYPE_CHECKING:

        def __init__(self, global_shape: Sequence[int], offsets: Sequence[int]) -> None: ...

    def __post_init__(self) -> None:
        sizes = _shape("Shard", self.global_shape)
        offsets = _integers("Shard", "offsets", self.offsets)
        if len(offsets) != len(sizes):
            requirement = f"as long as global_shape, {len(sizes)}"
            raise wrong("Shard", "offsets", requirement, offsets)
        if any(offset > size for offset, size in zip(offsets, sizes, strict=True)):
            raise wrong("Shard", "offsets", f"inside global_shape = {sizes}", offsets)
        object.__setattr__(self, "global_shape", sizes)
        object.__setattr__(self, "offsets", offsets)

    def __reduce__(self) -> tuple[type[Shard], tuple[Integers, Integers]]:
        return Shard, (self.global_shape, self.offsets)

    @staticmethod
    def partition(
        global_shape: Sequence[int], dim: int, rank: int, world: int, stride: int = 1
    ) -> Shard | Shards:
        """The part of one rank where a dimension is divided evenly, as Megatron-LM divides it.

        Dimension `dim` is cut into world * stride pieces of one size. Rank `rank` has the pieces
        rank, world + rank, 2 * world + rank, ..., one after the other. A stride above 1 is for
        several matrices stacked in one weight, each of which is divided among all ranks.

        Args:
            global_shape: The sizes of the whole tensor.
            dim: The dimension that is divided; a negative one counts from the last.
            rank: The rank, from 0 to world - 1.
            world: How many ranks share the tensor.
            stride: How many pieces a rank has.

        Returns:
            A `Shard`, or `Shards` where the part is several boxes.

        Raises:
            TypeError: `global_shape` is not a sequence of integers, or another argument none.
            ValueError: An argument is out of range, or world * stride does not divide the size.

        Example:
            >>> import winit_cuda as winit
            >>> winit.Shard.partition((8, 6), dim=0, rank=1, world=2)
            Shard(global_shape=(8, 6), offsets=(4, 0))
            >>> parts = winit.Shard.partition((8, 6), dim=0, rank=1, world=2, stride=2)
            >>> [box.offsets for box in parts.boxes]
            [(2, 0), (6, 0)]
        """
        function = "Shard.partition"
        shape = _shape(function, global_shape)
        dim, rank = integer(function, "dim", dim), integer(function, "rank", rank)
        world, stride = count(function, "world", world), count(function, "stride", stride)
        if not -len(shape) <= dim < len(shape):
            requirement = f"a dimension of global_shape = {shape}"
            raise wrong(function, "dim", requirement, dim)
        if not 0 <= rank < world:
            raise wrong(function, "rank", f"at least 0 and below world = {world}", rank)
        dim %= len(shape)
        if shape[dim] % (world * stride):
            requirement = f"divisible by world * stride = {world * stride} in dimension {dim}"
            raise wrong(function, "global_shape", requirement, shape)
        size = shape[dim] // (world * stride)

        def along(value: int) -> Integers:
            """The offsets that are 0 in all dimensions but `dim`."""
            return (*(0,) * dim, value, *(0,) * (len(shape) - dim - 1))

        if world == 1 or stride == 1 or size == 0:  # the pieces follow each other
            return Shard(shape, along(rank * size * stride))
        sizes = (*shape[:dim], size, *shape[dim + 1 :])
        boxes = tuple(
            Box(along((piece * world + rank) * size), sizes, along(piece * size))
            for piece in range(stride)
        )
        return Shards(boxes, shape)

    @staticmethod
    def from_checkpointable(tensor: torch.Tensor) -> Shard | Shards:
        """The part that a tensor says it is, to `torch.distributed.checkpoint`.

        Its attributes are those of `CheckpointableTensor` (torch 2.14): `global_shape` and, for
        each box, `global_offsets`, `local_offsets` and `local_sizes`. Any release of torch will do,
        since they are only read. Operators such as `to_empty` lose them.

        Args:
            tensor: A tensor of any shape with these four attributes.

        Returns:
            A `Shard` where one box is the whole tensor, else `Shards`.

        Raises:
            TypeError: An attribute is missing or is not made of integers.
            ValueError: The attributes contradict each other or the shape of the tensor, or there is
                padding: elements of the tensor in none of the boxes.

        Example:
            >>> import torch, winit_cuda as winit
            >>> rows = torch.empty(2, 6)
            >>> rows.global_shape, rows.global_offsets = (8, 6), ((4, 0),)
            >>> rows.local_offsets, rows.local_sizes = ((0, 0),), ((2, 6),)
            >>> winit.Shard.from_checkpointable(rows)
            Shard(global_shape=(8, 6), offsets=(4, 0))
        """
        function = "Shard.from_checkpointable"
        try:
            global_shape, *lists = (tuple(getattr(tensor, name)) for name in _CHECKPOINTABLE)
        except (AttributeError, TypeError) as error:
            requirement = f"a tensor with the sequences {', '.join(_CHECKPOINTABLE)}"
            raise unfit(function, "tensor", requirement, str(error), TypeError) from error
        if len(set(map(len, lists))) > 1:
            requirement = f"of as many {', '.join(_CHECKPOINTABLE[1:])}"
            raise wrong(function, "tensor", requirement, [len(each) for each in lists])
        boxes = [Box(offsets, sizes, local) for offsets, sizes, local in zip(*lists, strict=True)]
        if not boxes:
            if tensor.numel():
                raise wrong(function, "tensor", "without elements, as it has no box", tensor)
            return Shard(global_shape, (0,) * len(global_shape))
        part = Shards(boxes, global_shape)
        part.check(function, tensor.shape)
        return part if len(boxes) > 1 else Shard(global_shape, boxes[0].offsets)

    def boxes_of(self, shape: Sequence[int]) -> tuple[Box, ...]:
        """The boxes that a local tensor of this shape is: the one that `check` found to fit."""
        box = object.__new__(Box)  # what a Box checks is known; it would take longer than the rest
        object.__setattr__(box, "offsets", self.offsets)
        object.__setattr__(box, "sizes", tuple(shape))
        object.__setattr__(box, "local_offsets", (0,) * len(self.offsets))
        return (box,)

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


@dataclass(frozen=True, slots=True)
class Shards(WeaklyReferenced):
    """A local tensor is several boxes of a tensor of shape `global_shape`.

    Each box says where it lies in the whole and where in the local tensor. Together they are the
    whole local tensor, and no element, of either tensor, is in two of them. A function that takes
    `Shards` writes, in each box, what it would write there in the whole tensor with the same key.

    Args:
        boxes: The boxes, at least one; some may be empty.
        global_shape: The sizes of the whole tensor, at least 0.

    Raises:
        TypeError: `boxes` is not a sequence of `Box`, or `global_shape` not one of integers.
        ValueError: A box is not inside of `global_shape`, two have an element in common, or they
            leave a gap in the local tensor.

    Example:
        Rows 0, 1, 4 and 5 of a tensor of 8 rows:

        >>> import winit_cuda as winit
        >>> first = winit.Box(offsets=(0, 0), sizes=(2, 6), local_offsets=(0, 0))
        >>> second = winit.Box(offsets=(4, 0), sizes=(2, 6), local_offsets=(2, 0))
        >>> winit.Shards([first, second], global_shape=(8, 6)).local_shape
        (4, 6)
    """

    boxes: tuple[Box, ...]
    global_shape: tuple[int, ...]

    if TYPE_CHECKING:

        def __init__(self, boxes: Sequence[Box], global_shape: Sequence[int]) -> None: ...

    def __post_init__(self) -> None:
        boxes = _boxes(self.boxes)
        shape = _shape("Shards", self.global_shape)
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "global_shape", shape)
        for box in boxes:
            if len(box.offsets) != len(shape):
                requirement = f"of {len(shape)} dimensions, as global_shape is"
                raise _wrong_boxes(requirement, box)
            if any(map(operator.gt, map(operator.add, box.offsets, box.sizes), shape)):
                raise _wrong_boxes(f"inside global_shape = {shape}", box)
        full = [box for box in boxes if math.prod(box.sizes)]
        for which in ("offsets", "local_offsets"):
            if (both := _overlap(full, which)) is not None:
                where = "local tensor" if which == "local_offsets" else "whole tensor"
                raise _wrong_boxes(f"disjoint in the {where}", *both)
        # Disjoint boxes fill what they span if their volumes add up to its volume.
        if sum(math.prod(box.sizes) for box in full) != math.prod(self.local_shape):
            requirement = f"without a gap in the local tensor of shape {self.local_shape}"
            raise _wrong_boxes(requirement, *full)

    def __reduce__(self) -> tuple[type[Shards], tuple[tuple[Box, ...], Integers]]:
        return Shards, (self.boxes, self.global_shape)

    @property
    def local_shape(self) -> Integers:
        """The shape of the local tensor: how far the boxes reach."""
        ends = (map(operator.add, box.local_offsets, box.sizes) for box in self.boxes)
        return tuple(map(max, zip(*ends, strict=True)))

    def boxes_of(self, shape: Sequence[int]) -> tuple[Box, ...]:  # noqa: ARG002
        """The boxes that a local tensor of this shape is: those that `check` found to fit."""
        return self.boxes

    def check(self, function: str, shape: Sequence[int]) -> None:
        """Raise, for the public `function`, unless a local tensor of this shape is the boxes."""
        if len(shape) != len(self.global_shape):
            requirement = f"of {len(shape)} dimensions, as the tensor is"
            raise wrong(function, "shard.global_shape", requirement, self.global_shape)
        if tuple(shape) != self.local_shape:
            requirement = f"{tuple(shape)}, as the tensor is"
            raise wrong(function, "shard.local_shape", requirement, self.local_shape)


# Files name the classes by their public place.
for _class in (Box, Shard, Shards):
    _class.__module__ = "winit_cuda"
torch.serialization.add_safe_globals([Box, Shard, Shards])


def _boxes(values: Any) -> tuple[Box, ...]:
    """The values as a tuple of boxes."""
    if not isinstance(values, Sequence) or not all(isinstance(value, Box) for value in values):
        raise wrong("Shards", "boxes", "a sequence of winit_cuda.Box", values, TypeError)
    if not values:
        raise wrong("Shards", "boxes", "at least one box", values)
    return tuple(values)


def _wrong_boxes(requirement: str, *boxes: Box) -> Exception:
    return wrong("Shards", "boxes", requirement, list(boxes[:2]))


def _overlap(boxes: Sequence[Box], which: str) -> tuple[Box, Box] | None:
    """Two of the boxes, none of them empty, that have an element in common.

    Boxes that meet do so in every dimension. Sorted in the one in which most of them begin apart,
    a box is compared with those that begin before it ends, which are few in a layout of any use.
    """
    starts = [getattr(box, which) for box in boxes]
    if len(boxes) < 2 or not starts[0]:  # a tensor of no dimensions has one element
        return (boxes[0], boxes[1]) if len(boxes) > 1 else None
    apart = max(range(len(starts[0])), key=lambda dim: len({start[dim] for start in starts}))
    order = sorted(range(len(boxes)), key=lambda index: starts[index][apart])
    for place, one in enumerate(order):
        end = starts[one][apart] + boxes[one].sizes[apart]
        for later in range(place + 1, len(order)):
            other = order[later]
            if starts[other][apart] >= end:
                break
            if all(
                a < b + other_size and b < a + size
                for a, size, b, other_size in zip(
                    starts[one], boxes[one].sizes, starts[other], boxes[other].sizes, strict=True
                )
            ):
                return boxes[one], boxes[other]
    return None


def _shape(function: str, values: Any) -> Integers:
    """The sizes of a whole tensor, of which there may be less than 2**63 elements."""
    sizes = _integers(function, "global_shape", values)
    if math.prod(max(size, 1) for size in sizes) > _LARGEST:
        raise wrong(function, "global_shape", "of less than 2**63 elements", sizes)
    return sizes


def _integers(function: str, argument: str, values: Any) -> Integers:
    """The values as integers of at least 0."""
    requirement = "a sequence of integers"
    # These have no order of their own, or are text.
    if isinstance(values, (Mapping, AbstractSet, bytes, bytearray)):
        raise wrong(function, argument, requirement, values, TypeError)
    try:
        given = tuple(values)
        if any(isinstance(value, bool) for value in given):
            raise wrong(function, argument, requirement, values, TypeError)
        integers = tuple(map(operator.index, given))
    except TypeError as error:
        raise wrong(function, argument, requirement, values, TypeError) from error
    if any(value < 0 for value in integers):
        raise wrong(function, argument, "of integers that are at least 0", integers)
    return integers
