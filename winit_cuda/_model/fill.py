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
from .._keys.keys import Key, fold_in
from .spectral import stale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .._distributed.shard import Shard, Shards
    from .entries import Entry
    from .program import Program
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
    fill_members([(found, base)], shards, caller)
    return _find_vectors(found, base, shards)


def fill_members(
    members: Sequence[tuple[list[tuple[Slot, Entry]], Key]],
    shards: Mapping[str, Shard | Shards],
    caller: str,
) -> None:
    """Write the tensors of several models, each with the children of its own key, in one go."""
    first = _Writes()  # of values that are assigned
    own, later = _Writes(), _Writes()
    assigned, computed = [], []
    for found, base in members:
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
                job = Job(whole_or_part, function, tensor, law.numbers)
                name = entry.key_name or entry.name
                (first if slot.is_computed else own).add(job, base, name, law.is_negative)
            if entry.program is not None:
                computed.append((slot, tensor, entry.program, base))
            for piece in entry.pieces:
                own_law = piece.initializer
                for one in box_fills(piece.offsets, piece.sizes, own_law, tensor, shard):
                    later.add(one.job, base, piece.key_name, one.is_negative)
    fixed: dict[Program, torch.Tensor] = {}  # what has no draws, and is the same for all members
    programs = []
    for slot, tensor, program, base in computed:
        values = fixed[program] if program in fixed else program.values(base)
        if len(members) > 1 and not program.keys:
            fixed[program] = values
        programs.append((tensor, shards.get(slot.name), values))
    # All is checked before anything of the models is written.
    pairs = [pair for found, _ in members for pair in found]
    batches = [Batch(first.jobs), _batch(own.jobs, pairs), Batch(later.jobs)]
    first.run(batches[0])
    for slot, values in assigned:
        _check_assigned(slot, values)
    own.run(batches[1])
    later.run(batches[2])
    for tensor, shard, values in programs:
        _copy(values, tensor, shard)
    increment_version(tuple(slot.tensor for slot, entry in pairs if entry.pieces or entry.program))
    for slot, values in assigned:
        slot.assign(values)


class _Writes:
    """Fills that are done together, each with a child of its model's key."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._bases: list[Key] = []
        self._names: list[str] = []
        self._negative: list[torch.Tensor] = []

    def add(self, job: Job, base: Key, name: str, is_negative: bool) -> None:
        """Add a fill, with the name of its key."""
        self.jobs.append(job)
        self._bases.append(base)
        self._names.append(name)
        if is_negative:
            self._negative.append(job.tensor)

    def run(self, batch: Batch) -> None:
        """Write the tensors."""
        if len(set(map(id, self._bases))) == 1:
            batch.run_named(self._bases[0], self._names)
        else:
            batch.run(list(map(fold_in, self._bases, self._names)))
        for tensor in self._negative:
            negate(tensor)


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
