"""The writes of a run: of each tensor the law, then its pieces, in as few calls as may be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .._core.torch_internals import increment_version, is_dtensor
from .._dispatch.items import Job
from .._dispatch.many import Batch
from .._dispatch.single import negate
from .._distributed.dtensor import local_part
from .._initializers.boxes import box_fills, narrowed
from .spectral import stale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._distributed.shard import Shard, Shards
    from .._keys.keys import Key
    from .entries import Entry
    from .slots import Slot
    from .spectral import Vectors


def fill(
    found: list[tuple[Slot, Entry]],
    base: Key,
    shards: Mapping[str, Shard | Shards],
    caller: str = "Plan.run",
) -> list[Vectors]:
    """Write all tensors, in as few calls of the core as there are devices, and so all pieces.

    Errors name the `caller`.

    Returns:
        The vectors of `spectral_norm` that were found anew for their weights.
    """
    jobs: list[Job] = []
    names: list[str] = []
    first: list[Job] = []  # of values that are assigned
    first_names: list[str] = []
    later, later_names = [], []
    negative, negative_later, assigned, computed = [], [], [], []
    for slot, entry in found:
        initializer: Any = entry.initializer
        shard = shards.get(slot.name)
        tensor = slot.tensor
        if slot.is_computed:
            tensor = torch.empty_like(tensor)
            assigned.append((slot, tensor))
        function = f"{caller}: {slot.name}: {type(initializer).__name__}"
        if shard is not None:
            shard.check(function, tensor.shape)
        if initializer is not None:
            law: Any = entry.law
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
            own_law = piece.initializer
            for one in box_fills(piece.offsets, piece.sizes, own_law, tensor, shard):
                later.append(one.job)
                later_names.append(piece.key_name)
                if one.is_negative:
                    negative_later.append(one.job.tensor)
    programs = [
        (tensor, shards.get(slot.name), program.values(base)) for slot, tensor, program in computed
    ]
    # All is checked before anything of the model is written.
    batches = [Batch(first), _batch(jobs, found), Batch(later)]
    batches[0].run_named(base, first_names)
    for slot, values in assigned:
        _check_assigned(slot, values)
    batches[1].run_named(base, names)
    for tensor in negative:
        negate(tensor)
    batches[2].run_named(base, later_names)
    for tensor in negative_later:
        negate(tensor)
    for tensor, shard, values in programs:
        _copy(values, tensor, shard)
    written = tuple(slot.tensor for slot, entry in found if entry.pieces or entry.program)
    increment_version(written)
    for slot, values in assigned:
        slot.assign(values)
    return _find_vectors(found, base, shards)


def _find_vectors(
    found: list[tuple[Slot, Entry]], base: Key, shards: Mapping[str, Shard | Shards]
) -> list[Vectors]:
    """Give the weights of `spectral_norm` the singular vectors of their new values."""
    stale_ones = stale(found)
    for slot, entry, own in stale_ones:
        weight = slot.tensor
        if slot.name in shards or is_dtensor(weight):  # they are of the whole, and nothing is sent
            weight = torch.empty(entry.shape, dtype=weight.dtype, device=weight.device)
            fill([(slot._replace(tensor=weight, owner=nn.Module()), entry)], base, {})
        for values, buffer in zip(own.values(weight, base), (own.u, own.v), strict=True):
            _copy(values, buffer, None)
            increment_version((buffer,))
    return [own for _, _, own in stale_ones]


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
        part = narrowed(values, box.offsets, box.sizes)
        narrowed(local, box.local_offsets, box.sizes).copy_(part)
