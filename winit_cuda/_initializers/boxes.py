"""A box of a tensor with a law of its own: the fills of what a memory has of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .._core.torch_internals import is_dtensor
from .._dispatch.items import Job
from .._distributed.dtensor import local_part
from .._distributed.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from .._distributed.shard import Box, Shards
    from .base import Initializer


class BoxFill(NamedTuple):
    """The fill of a part of a box."""

    job: Job
    is_negative: bool
    """Whether the signs are flipped afterwards."""


def box_fills(
    offsets: Sequence[int],
    sizes: Sequence[int],
    initializer: Initializer,
    tensor: torch.Tensor,
    shard: Shard | Shards | None,
) -> Iterator[BoxFill]:
    """The fills of what this memory has of the box at `offsets` of these `sizes`."""
    function = type(initializer).__name__
    if is_dtensor(tensor):
        tensor, shard = local_part(function, tensor)
    law = initializer.law(sizes)
    local = tensor.detach()
    if shard is None:
        there = narrowed(local, offsets, sizes)
        yield BoxFill(Job(law.fill, function, there, law.numbers), law.is_negative)
        return
    for box in shard.boxes_of(local.shape):
        common = _common(offsets, sizes, box)
        if common is not None:
            starts, shape = common
            inside = [a - b for a, b in zip(starts, offsets, strict=True)]
            dims = zip(starts, box.offsets, box.local_offsets, strict=True)
            there = narrowed(local, [a - b + c for a, b, c in dims], shape)
            part = law.fill.part(Shard(tuple(sizes), tuple(inside)))
            yield BoxFill(Job(part, function, there, law.numbers), law.is_negative)


def narrowed(tensor: torch.Tensor, offsets: Sequence[int], sizes: Sequence[int]) -> torch.Tensor:
    """The view of a box of a tensor."""
    for dim, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        tensor = tensor.narrow(dim, offset, size)
    return tensor


def _common(
    offsets: Sequence[int], sizes: Sequence[int], box: Box
) -> tuple[list[int], list[int]] | None:
    """What a box has in common with one of a shard: where it begins, and its sizes."""
    dims = list(zip(offsets, sizes, box.offsets, box.sizes, strict=True))
    starts = [max(a, b) for a, _, b, _ in dims]
    ends = [min(a + n, b + m) for a, n, b, m in dims]
    shape = [end - start for start, end in zip(starts, ends, strict=True)]
    return (starts, shape) if min(shape, default=1) > 0 else None
