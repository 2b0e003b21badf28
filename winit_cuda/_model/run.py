"""The run of a plan: an instance of the model is matched by name, checked, and filled."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .._core.checks import wrong
from .._dispatch.many import Batch, Job
from .._dispatch.single import negate
from .._keys.keys import Key, fold_in_each, key
from .slots import Slot, slots

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .._distributed.shard import Shard, Shards
    from .entries import Entry


@dataclass
class Report:
    """What a run has done, by name."""

    filled: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Left as they are: `skip` names them, or they were loaded."""
    only_in_plan: list[str] = field(default_factory=list)
    only_in_model: list[str] = field(default_factory=list)
    without_law: list[str] = field(default_factory=list)
    elements: int = 0
    """How many elements were filled, of whole tensors."""

    def __str__(self) -> str:
        lines = [f"filled {len(self.filled)} tensors, {self.elements:,} elements"]
        for what, names in (
            ("skipped", self.skipped),
            ("only in the plan", self.only_in_plan),
            ("only in the model", self.only_in_model),
            ("without a law", self.without_law),
        ):
            if names:
                lines.append(f"{what}: {_listed(names)}")
        return "\n".join(lines)


def run(
    entries: list[Entry],
    model: nn.Module,
    seed: int | Key,
    *,
    strict: bool,
    shards: Mapping[str, Shard | Shards],
    skip: Iterable[str],
) -> Report:
    """Fill the parameters of a model by the entries of a plan."""
    if not isinstance(model, nn.Module):
        raise wrong("Plan.run", "model", "a torch.nn.Module", model, TypeError)
    base = seed if isinstance(seed, Key) else key(seed)
    report, found = _matched(entries, model, list(skip))
    faults = []
    if strict:
        faults += [f"{name} is only in the plan" for name in report.only_in_plan]
        faults += [f"{name} is only in the model" for name in report.only_in_model]
        faults += [f"{name} has no law" for name in report.without_law]
    unknown = set(shards) - {slot.name for slot, _ in found}
    faults += [f"{name}, of shards, is not filled" for name in sorted(unknown)]
    for slot, entry in found:
        shard = shards.get(slot.name)
        shape = tuple(slot.tensor.shape if shard is None else shard.global_shape)
        if shape != entry.shape:
            faults.append(f"{slot.name} has shape {shape}, planned is {entry.shape}")
        if slot.is_computed and not slot.can_be_assigned:
            faults.append(f"{slot.name} has a parametrization without right_inverse")
    if faults:
        raise ValueError(f"Plan.run: {'; '.join(faults[:5])} ({len(faults)} in all)")
    on_meta = [slot.name for slot, _ in found if slot.tensor.is_meta]
    if on_meta:
        raise RuntimeError(f"Plan.run: on meta, call to_empty first: {_listed(on_meta)}")
    _fill(found, base, shards)
    for slot, entry in found:
        report.filled.append(slot.name)
        report.elements += torch.Size(entry.shape).numel()
    return report


def _matched(
    entries: list[Entry], model: nn.Module, skip: list[str]
) -> tuple[Report, list[tuple[Slot, Entry]]]:
    """The parameters with their entries, and what is left over on either side."""
    by_name = {name: entry for entry in entries for name in (entry.name, *entry.aliases)}
    report, found, seen = Report(), [], set()
    for slot in slots(model):
        own = next((by_name[n] for n in (slot.name, *slot.aliases) if n in by_name), None)
        if own is not None:
            seen.add(own.name)
        is_loaded = getattr(slot.tensor, "_is_hf_initialized", False)
        if is_loaded or any(fnmatch.fnmatchcase(slot.name, pattern) for pattern in skip):
            report.skipped.append(slot.name)
        elif own is None:
            report.only_in_model.append(slot.name)
        elif own.initializer is None:
            report.without_law.append(slot.name)
        else:
            found.append((slot, own))
    report.only_in_plan = [entry.name for entry in entries if entry.name not in seen]
    return report, found


def _fill(found: list[tuple[Slot, Entry]], base: Key, shards: Mapping[str, Shard | Shards]) -> None:
    """Write all tensors, in as few calls of the core as there are devices."""
    jobs, negative, assigned = [], [], []
    for slot, entry in found:
        initializer: Any = entry.initializer
        shard = shards.get(slot.name)
        law = initializer.law(entry.shape)
        function = type(initializer).__name__
        tensor = slot.tensor
        if slot.is_computed:
            tensor = torch.empty_like(tensor)
            assigned.append((slot, tensor))
        if shard is not None:
            shard.check(function, tensor.shape)
        fill = law.fill if shard is None else law.fill.part(shard)
        jobs.append(Job(fill, function, tensor, law.numbers))
        if law.is_negative:
            negative.append(tensor)
    Batch(jobs).run(fold_in_each(base, [entry.name for _, entry in found]))
    for tensor in negative:
        negate(tensor)
    for slot, values in assigned:
        slot.assign(values)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")
