"""The writes of a run: of each tensor the law, then its pieces, in as few calls as may be."""

from __future__ import annotations

import re
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .._core.checks import WrongValueError, unfit
from .._core.torch_internals import increment_version, is_dtensor
from .._dispatch.items import Job
from .._dispatch.many import Batch
from .._dispatch.single import negate
from .._distributed.dtensor import local_part
from .._initializers.boxes import box_fills, narrowed
from .._keys.keys import Key, fold_in
from .spectral import stale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .._dispatch.planned import NamedFills
    from .._distributed.shard import Shard, Shards
    from .entries import Entry
    from .program import Program
    from .slots import Slot
    from .spectral import Vectors


class SharedMemory(Exception):  # noqa: N818  (it may be none)
    """Ordinary tensors share memory, with each other or with others; nothing is written yet.

    One tensor under two names is none of the errors that this may be.
    """


def fill(
    found: list[tuple[Slot, Entry]],
    base: Key,
    shards: Mapping[str, Shard | Shards],
    caller: str = "Plan.run",
    ordinary: NamedFills | None = None,
) -> list[Vectors]:
    """Write all tensors, in as few calls of the core as there are devices, and so all pieces.

    Args:
        found: The tensors with their entries.
        base: The key that the others are children of.
        shards: Which parts the tensors with these names are.
        caller: What errors name.
        ordinary: The fills of further tensors, of which nothing is to be checked but whether they
            share memory.

    Raises:
        SharedMemory: They do.

    Returns:
        The vectors of `spectral_norm` that were found anew for their weights.
    """
    if ordinary is not None and ordinary.overlap:
        raise SharedMemory
    if not found:
        if ordinary is not None:
            ordinary.run(base)
        return []
    fill_members([(found, base)], shards, caller, ordinary)
    return _find_vectors(found, base, shards)


def fill_members(
    members: Sequence[tuple[list[tuple[Slot, Entry]], Key]],
    shards: Mapping[str, Shard | Shards],
    caller: str,
    ordinary: NamedFills | None = None,
) -> None:
    """Write the tensors of several models, each with the children of its own key, in one go.

    Those of `ordinary` are written with the children of the first.
    """
    for entry in (entry for found, _ in members for _, entry in found):
        if entry.no_text is not None:
            requirement = "text that UTF-8 can encode"
            name = ascii(entry.no_text)
            raise unfit(caller, "the name of a parameter", requirement, name, WrongValueError)
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
                assigned.append((slot, tensor, base))
            function = f"{caller}: {slot.name}: {type(initializer).__name__}"
            if shard is not None:
                shard.check(function, tensor.shape)
            if initializer is not None:
                law: Any = entry.law
                whole_or_part = law.fill if shard is None else law.fill.part(shard)
                job = Job(whole_or_part, function, tensor, law.numbers)
                name = entry.key_name or entry.name
                (first if slot.is_computed else own).add(job, name, law.is_negative)
            if entry.program is not None:
                computed.append((slot, tensor, entry.program, base))
            for piece in entry.pieces:
                own_law = piece.initializer
                for one in box_fills(piece.offsets, piece.sizes, own_law, tensor, shard):
                    later.add(one.job, piece.key_name, one.is_negative)
        for writes in (first, own, later):
            writes.end_member(base)
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
    if ordinary is not None and batches[1].overlaps(ordinary):
        raise SharedMemory
    first.run(batches[0])
    for slot, values, base in assigned:
        with _own_draws(slot, values, base):
            _check_assigned(slot, values)
    # Parametrizations are code of others, which may do anything to the model.
    own.run(batches[1], may_have_moved=bool(assigned))
    if ordinary is not None:  # after the last check
        ordinary.run(members[0][1])
    later.run(batches[2])
    for tensor, shard, values in programs:
        _copy(values, tensor, shard)
    increment_version(tuple(slot.tensor for slot, entry in pairs if entry.pieces or entry.program))
    for slot, values, base in assigned:
        with _own_draws(slot, values, base):
            slot.assign(values)


class _Writes:
    """Fills that are done together, each with a child of its model's key."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.names: list[str] = []
        """Those of the keys."""
        self._ends: list[tuple[Key, int]] = []  # the key of each model, and where its fills end
        self._negative: list[torch.Tensor] = []

    def add(self, job: Job, name: str, is_negative: bool) -> None:
        """Add a fill, with the name of its key."""
        self.jobs.append(job)
        self.names.append(name)
        if is_negative:
            self._negative.append(job.tensor)

    def end_member(self, base: Key) -> None:
        """Say that what was added since the last model is filled by the children of a key."""
        self._ends.append((base, len(self.jobs)))

    def run(self, batch: Batch, *, may_have_moved: bool = True) -> None:
        """Write the tensors."""
        if len(self._ends) == 1:
            batch.run_named(self._ends[0][0], self.names, may_have_moved=may_have_moved)
        else:
            batch.run(list(map(fold_in, self._bases(), self.names)))
        for tensor in self._negative:
            negate(tensor)

    def _bases(self) -> Iterator[Key]:
        start = 0
        for base, end in self._ends:
            yield from repeat(base, end - start)
            start = end


def _find_vectors(
    found: list[tuple[Slot, Entry]], base: Key, shards: Mapping[str, Shard | Shards]
) -> list[Vectors]:
    """Give the weights of `spectral_norm` the singular vectors of their new values."""
    stale_ones = stale(found)
    for slot, entry, own in stale_ones:
        weight = own.weight(slot)
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


@contextmanager
def _own_draws(slot: Slot, values: torch.Tensor, base: Key) -> Iterator[None]:
    """Seed what some parametrizations draw to be set, and leave torch's generators as they were."""
    own = fold_in(base, slot.name)
    with torch.random.fork_rng([values.device] if values.is_cuda else []):
        torch.default_generator.manual_seed((own.seed ^ own.stream) >> 1)
        yield


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
