"""Parts of a larger tensor: a fill with a shard, in the terms of operators and of the core.

A fill with a shard is `fill.part(shard)`. Every element has the value that it has in the whole
tensor, so an elementwise fill hands the core the place of each box in the whole, and no more.
"""

from __future__ import annotations

import itertools
from array import array
from typing import TYPE_CHECKING, Any

from .._core import backend
from .._core.target import MAX_RANK, row_major_strides
from .._distributed.shard import Box, Shard, Shards
from .._keys.generators import drawn, is_on_device
from .fill import Fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from .._core.target import Place
    from .._keys.generators import Words
    from .fill import Numbers

AnyShard = Shard | Shards


def integers_of(shard: AnyShard | None) -> tuple[int, ...]:
    """The integers that `shard_of` makes the shard of again: operators take no other."""
    if shard is None:
        return ()
    shape = shard.global_shape
    if isinstance(shard, Shard):
        return (len(shape), *shape, *shard.offsets)
    integers = (len(shape), *shape)
    for box in shard.boxes:
        integers = (*integers, *box.offsets, *box.sizes, *box.local_offsets)
    return integers


def shard_of(integers: tuple[int, ...]) -> AnyShard | None:
    """The shard of `integers_of`."""
    if not integers:
        return None
    rank = integers[0]
    shape, rest = integers[1 : rank + 1], integers[rank + 1 :]
    if len(rest) == rank:
        return Shard(shape, rest)
    parts = [rest[i : i + rank] for i in range(0, len(rest), rank)]
    boxes = [Box(*parts[i : i + 3]) for i in range(0, len(parts), 3)]
    return Shards(tuple(boxes), shape)


def boxes(shard: AnyShard, tensor: torch.Tensor) -> list[Box]:
    """The boxes that a local tensor is, but for those without elements."""
    return [box for box in shard.boxes_of(tensor.shape) if 0 not in box.sizes]


def view(tensor: torch.Tensor, box: Box) -> torch.Tensor:
    """The box in the local tensor."""
    for dimension, (begin, size) in enumerate(zip(box.local_offsets, box.sizes, strict=True)):
        tensor = tensor.narrow(dimension, begin, size)
    return tensor


def places(shard: AnyShard, pointer: int, code: int, tensor: torch.Tensor) -> list[Any]:
    """(pointer, dtype, numel, box) of each box, as the core takes them: disjoint, none empty."""
    strides, item_size = tensor.stride(), tensor.element_size()
    index_strides = row_major_strides(shard.global_shape)
    found = []
    for box in boxes(shard, tensor):
        first = _dot(box.local_offsets, strides)
        index = _dot(box.offsets, index_strides)
        for index_step, step, dimensions in _described(box.sizes, strides, index_strides):
            sizes = tuple(box.sizes[d] for d in dimensions)
            numel = 1
            for size in sizes:
                numel *= size
            described = (
                sizes,
                tuple(strides[d] for d in dimensions),
                tuple(index_strides[d] for d in dimensions),
                index + index_step,
            )
            found.append((pointer + (first + step) * item_size, code, numel, described))
    return found


def _dot(numbers: tuple[int, ...], others: tuple[int, ...]) -> int:
    return sum(number * other for number, other in zip(numbers, others, strict=True))


def _described(
    sizes: tuple[int, ...], strides: tuple[int, ...], index_strides: tuple[int, ...]
) -> Iterator[tuple[int, int, list[int]]]:
    """A box cut into such of no more dimensions than the core takes; nearly always it is one.

    How far each lies behind the first element, in the index and in memory, and its dimensions.
    """
    dimensions = [d for d, size in enumerate(sizes) if size > 1]
    cut = dimensions[: max(len(dimensions) - MAX_RANK, 0)]
    for index in itertools.product(*(range(sizes[d]) for d in cut)):
        steps = [(i * index_strides[d], i * strides[d]) for i, d in zip(index, cut, strict=True)]
        index_step, step = sum(s[0] for s in steps), sum(s[1] for s in steps)
        yield index_step, step, dimensions[len(cut) :]


class ElementwiseFill(Fill):
    """A fill that writes each element from one word, or all with one value."""

    def part(self, shard: AnyShard) -> Fill:
        """The same fill of a part of a larger tensor."""
        return PartFill(self, shard)

    def structured(self, structure: tuple[int, ...]) -> Fill:
        """The fill of the part that the integers describe."""
        shard = shard_of(structure)
        return self if shard is None else PartFill(self, shard)

    def core_numbers(self, numbers: Numbers) -> Numbers:
        """The numbers as the core takes them."""
        return numbers


class PartFill(Fill):
    """An elementwise fill of a part of a larger tensor; numbers: those of the fill."""

    def __init__(self, whole: ElementwiseFill, shard: AnyShard) -> None:
        self.whole, self._shard = whole, shard
        self.shard = shard
        self.name, self.number_count, self.arguments = (
            whole.name,
            whole.number_count,
            whole.arguments,
        )
        self.structure = integers_of(shard)

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """As of the whole tensor; the short way is for whole tensors only."""
        self.whole.check(function, code, numbers)
        return False

    def prepared(self, function: str, dtype: torch.dtype, numbers: Numbers) -> Numbers:
        """As of the whole tensor."""
        return self.whole.prepared(function, dtype, numbers)

    def only_value(self, code: int, numbers: Numbers) -> float | None:
        """As of the whole tensor."""
        return self.whole.only_value(code, numbers)

    def places(self, pointer: int, code: int, tensor: torch.Tensor) -> list[Any]:
        """(pointer, dtype, numel, box) of each box of the tensor."""
        return places(self._shard, pointer, code, tensor)

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """The boxes, with one key."""
        pointer, code, _, _, device, stream, threads = place
        if self.whole.only_value(code, numbers) is not None:
            self.whole.write(place, words, numbers, tensor)
            return
        found = self.places(pointer, code, tensor)
        if len(found) == 1:
            one = (*found[0], device, stream, threads)
            self.whole.write(one, words, numbers, tensor)
            return
        numbers = self.whole.core_numbers(numbers)
        fills = backend.loaded.FillList(device, [(self.name, *each, *numbers) for each in found])
        if is_on_device(words):
            captured: Any = words
            keys_there = captured.owner.repeat(len(found))
            fills.run(keys_there.data_ptr(), True, stream, threads, 0)
            return
        keys = array("Q", bytes(16 * len(found)))
        _, seed, key_stream = drawn(words)
        for i in range(len(found)):
            keys[2 * i], keys[2 * i + 1] = seed, key_stream
        fills.run(keys.buffer_info()[0], False, stream, threads, 0)
