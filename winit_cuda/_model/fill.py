"""The writes of a run: of each tensor the law, then its pieces, in as few calls as may be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from .._core.torch_internals import increment_version, is_dtensor
from .._dispatch.many import Batch, Job
from .._dispatch.single import negate
from .._distributed.dtensor import local_part
from .._distributed.shard import Shard
from .._keys.keys import Key, fold_in_each

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .._distributed.shard import Box, Shards
    from .entries import Entry, Piece
    from .slots import Slot


def fill(found: list[tuple[Slot, Entry]], base: Key, shards: Mapping[str, Shard | Shards]) -> None:
    """Write all tensors, in as few calls of the core as there are devices, and so all pieces."""
    jobs: list[Job] = []
    names: list[str] = []
    first: list[Job] = []  # of values that are assigned
    first_names: list[str] = []
    later, later_names = [], []
    negative, assigned, computed = [], [], []
    for slot, entry in found:
        initializer: Any = entry.initializer
        shard = shards.get(slot.name)
        tensor = slot.tensor
        if slot.is_computed:
            tensor = torch.empty_like(tensor)
            assigned.append((slot, tensor))
        function = f"Plan.run: {slot.name}: {type(initializer).__name__}"
        if shard is not None:
            shard.check(function, tensor.shape)
        if initializer is not None:
            law = initializer.law(entry.shape)
            whole_or_part = law.fill if shard is None else law.fill.part(shard)
            (first if slot.is_computed else jobs).append(
                Job(whole_or_part, function, tensor, law.numbers)
            )
            (first_names if slot.is_computed else names).append(entry.key_name or entry.name)
            if law.is_negative:
                negative.append(tensor)
        if entry.program is not None:
            computed.append((slot, tensor, entry.program))
        for piece in entry.pieces:
            for job in _jobs_of_piece(piece, tensor, shard):
                later.append(job)
                later_names.append(piece.key_name)
    programs = [
        (tensor, shards.get(slot.name), program.values(base)) for slot, tensor, program in computed
    ]
    # All is checked before anything of the model is written.
    batches = [Batch(first), _batch(jobs, found), Batch(later)]
    batches[0].run(fold_in_each(base, first_names))
    for slot, values in assigned:
        _check_assigned(slot, values)
    for batch, own in zip(batches[1:], (names, later_names), strict=True):
        batch.run(fold_in_each(base, own))
    for tensor, shard, values in programs:
        _copy(values, tensor, shard)
    written = tuple(slot.tensor for slot, entry in found if entry.pieces or entry.program)
    increment_version(written)
    for tensor in negative:
        negate(tensor)
    for slot, values in assigned:
        slot.assign(values)


def _batch(jobs: list[Job], found: list[tuple[Slot, Entry]]) -> Batch:
    """The batch; an error that counts jobs names the parameters instead."""
    try:
        return Batch(jobs)
    except ValueError as error:
        pair = re.match(r"fill_many: fills (\d+) and (\d+) of the jobs", str(error))
        if pair is None:
            raise
        shared = [jobs[int(number)].tensor for number in pair.groups()]
        names = [slot.name for slot, _ in found if any(slot.tensor is one for one in shared)]
        message = f"Plan.run: {' and '.join(names)} are in the same memory, but not one parameter"
        raise ValueError(message) from error


def _check_assigned(slot: Slot, values: torch.Tensor) -> None:
    try:
        slot.check(values)
    except Exception as error:
        message = f"Plan.run: {slot.name} cannot be set through its parametrization"
        raise RuntimeError(f"{message} ({error or type(error).__name__})") from error


def _copy(values: torch.Tensor, tensor: torch.Tensor, shard: Shard | Shards | None) -> None:
    """Write what this memory has of computed values."""
    if is_dtensor(tensor):
        tensor, shard = local_part("Plan.run", tensor)
    local = tensor.detach()
    if shard is None:
        local.copy_(values)
        return
    for box in shard.boxes_of(local.shape):
        part = _narrowed(values, box.offsets, box.sizes)
        _narrowed(local, box.local_offsets, box.sizes).copy_(part)


def _jobs_of_piece(
    piece: Piece, tensor: torch.Tensor, shard: Shard | Shards | None
) -> Iterator[Job]:
    """The fills of what this memory has of a piece."""
    function = type(piece.initializer).__name__
    if is_dtensor(tensor):
        tensor, shard = local_part(function, tensor)
    law = piece.initializer.law(piece.sizes)
    local = tensor.detach()
    if shard is None:
        yield Job(law.fill, function, _narrowed(local, piece.offsets, piece.sizes), law.numbers)
        return
    for box in shard.boxes_of(local.shape):
        common = _common(piece, box)
        if common is not None:
            starts, sizes = common
            inside = [a - b for a, b in zip(starts, piece.offsets, strict=True)]
            dims = zip(starts, box.offsets, box.local_offsets, strict=True)
            there = _narrowed(local, [a - b + c for a, b, c in dims], sizes)
            part = law.fill.part(Shard(piece.sizes, tuple(inside)))
            yield Job(part, function, there, law.numbers)


def _common(piece: Piece, box: Box) -> tuple[list[int], list[int]] | None:
    """What a piece and a box of a shard have in common: where it begins, and its sizes."""
    dims = list(zip(piece.offsets, piece.sizes, box.offsets, box.sizes, strict=True))
    starts = [max(a, b) for a, _, b, _ in dims]
    ends = [min(a + n, b + m) for a, n, b, m in dims]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    return (starts, sizes) if min(sizes, default=1) > 0 else None


def _narrowed(tensor: torch.Tensor, offsets: Any, sizes: Any) -> torch.Tensor:
    for dim, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        tensor = tensor.narrow(dim, offset, size)
    return tensor
