"""The run of a plan: an instance of the model is matched by name, checked, and filled."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.parameter import is_lazy

from .._core import target
from .._core.checks import told_as, wrong
from .._core.torch_internals import is_dtensor, is_tracing_tensor
from .._distributed.fsdp import reshard
from .._distributed.shard import Shard, Shards
from .._keys.keys import Key, key
from .entries import NEVER_WRITTEN
from .fill import fill
from .slots import Slot, buffer_slots, slots
from .spectral import vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
                lines.append(f"{what}: {listed(names)}")
        return "\n".join(lines)


def run(
    by_name: Mapping[str, Entry],
    model: nn.Module,
    seed: int | Key,
    *,
    strict: bool,
    buffers: bool,
    shards: Mapping[str, Shard | Shards],
    skip: Iterable[str],
) -> Report:
    """Fill the parameters of a model by the entries of a plan, each under all of its names."""
    if not isinstance(model, nn.Module):
        raise wrong("Plan.run", "model", "a torch.nn.Module", model, TypeError)
    with told_as("Plan.run", "key"):
        base = seed if isinstance(seed, Key) else key(seed)
    reshard(model)
    if not buffers:
        by_name = {name: entry for name, entry in by_name.items() if not entry.is_buffer}
    patterns = globs("Plan.run", skip)
    report, found = matched(by_name, model, patterns, buffers)
    faults = _left_over(by_name, report, patterns) if strict else []
    for name, shard in _items(shards):
        if not isinstance(shard, (Shard, Shards)):
            requirement = "a winit_cuda.Shard or winit_cuda.Shards"
            raise wrong("Plan.run", f"shards[{name!r}]", requirement, shard, TypeError)
    addresses = [0] * len(found) if shards else _addresses(found)
    others = list(compress(found, map(not_, addresses)))  # few, which have more to check
    faults += _misfits(others, shards)
    if faults:
        raise ValueError(f"Plan.run: {'; '.join(faults[:5])} ({len(faults)} in all)")
    _check_memory(others)
    found_anew = fill(found, base, shards, addresses=addresses)
    report.filled = [slot.name for slot, _ in found]
    report.elements = sum([entry.elements for _, entry in found])
    for own in found_anew:
        for name, tensor in zip(own.names, (own.u, own.v), strict=True):
            if name not in report.filled:
                report.filled.append(name)
                report.elements += tensor.numel()
        report.skipped = [name for name in report.skipped if name not in own.names]
    return report


def _left_over(
    by_name: Mapping[str, Entry], report: Report, patterns: dict[str, bool]
) -> list[str]:
    """What a strict run does not leave alone."""
    notes = {name: by_name[name].note if name in by_name else "" for name in report.without_law}
    return [
        *(f"{pattern!r}, of skip, matches nothing" for pattern, idle in patterns.items() if idle),
        *(f"{name} is only in the plan" for name in report.only_in_plan),
        *(f"{name} is only in the model" for name in report.only_in_model),
        *(
            f"{name} has no law{f' ({notes[name]})' if notes[name] else ''}"
            for name in report.without_law
        ),
    ]


def _addresses(found: list[tuple[Slot, Entry]]) -> list[int]:
    """The addresses of what fits its entry and one fill writes; 0 for others."""
    return target.addresses(
        [slot.tensor for slot, _ in found],
        [entry.shape for _, entry in found],
        [
            -1 if slot.is_computed or entry.whole is None else entry.whole.rest[0]
            for slot, entry in found
        ],
    )


def _misfits(found: list[tuple[Slot, Entry]], shards: Mapping[str, Shard | Shards]) -> list[str]:
    """Parameters that are not what was planned, and shards of none."""
    unknown = set(shards).difference(slot.name for slot, _ in found) if shards else ()
    faults = [f"{name}, of shards, is not filled" for name in sorted(unknown)]
    for slot, entry in found:
        tensor = slot.tensor
        if is_lazy(tensor):
            faults.append(f"{slot.name} is lazy, and has no shape yet: call the model once before")
            continue
        shard = shards.get(slot.name)
        if shard is not None and is_dtensor(tensor):
            faults.append(f"{slot.name}, of shards, is a DTensor, which says itself what it is")
            continue
        shape: tuple[int, ...] = tensor.shape if shard is None else shard.global_shape
        if shape != entry.shape:
            faults.append(f"{slot.name} has shape {tuple(shape)}, planned is {entry.shape}")
        if shard is not None and any(own.chain is not None for own in vectors(slot)):
            faults.append(f"{slot.name}, of shards, is under spectral_norm and others at once")
        if slot.is_computed and not slot.can_be_assigned:
            faults.append(f"{slot.name} has a parametrization without right_inverse")
    return faults


def _check_memory(found: list[tuple[Slot, Entry]]) -> None:
    fakes = [slot.name for slot, _ in found if is_tracing_tensor(slot.tensor)]
    if fakes:
        hint = (
            "does a constructor that a plan reads fill its own model, or keep tensors, such as by "
            "lru_cache, that a plan has made?"
        )
        raise RuntimeError(f"Plan.run: fake tensors: {listed(fakes)}; {hint}")
    on_meta = [slot.name for slot, _ in found if slot.tensor.is_meta]
    if on_meta:
        raise RuntimeError(f"Plan.run: on meta, call to_empty first: {listed(on_meta)}")


def _items(shards: Any) -> Any:
    try:
        return shards.items()
    except AttributeError as error:
        requirement = "a mapping from names to shards"
        raise wrong("Plan.run", "shards", requirement, shards, TypeError) from error


def globs(function: str, skip: Any) -> dict[str, bool]:
    """The globs, each with whether it is idle so far."""
    try:
        patterns = None if isinstance(skip, str) else list(skip)
    except TypeError:
        patterns = None
    if patterns is None or not all(isinstance(pattern, str) for pattern in patterns):
        raise wrong(function, "skip", "a list of globs", skip, TypeError)
    return dict.fromkeys(patterns, True)


def _is_skipped(slot: Slot, patterns: dict[str, bool]) -> bool:
    """Whether a glob matches one of the names."""
    names = (slot.name, *slot.aliases)
    matching = [
        pattern for pattern in patterns if any(fnmatch.fnmatchcase(name, pattern) for name in names)
    ]
    patterns.update(dict.fromkeys(matching, False))
    return bool(matching)


def matched(
    by_name: Mapping[str, Entry],
    model: nn.Module,
    patterns: dict[str, bool],
    buffers: bool,
    *,
    loaded: bool = False,
) -> tuple[Report, list[tuple[Slot, Entry]]]:
    """The parameters with their entries, and what is left over on either side.

    Those that transformers marks as loaded are skipped, unless `loaded`.
    """
    report, found, seen = Report(), [], set()
    own_buffers = buffer_slots(model) if buffers else []
    is_buffer = {id(slot.tensor) for slot in own_buffers}
    for slot in [*slots(model, by_name.__contains__), *own_buffers]:
        own = by_name.get(slot.name)
        if own is None:
            own = next((by_name[name] for name in slot.aliases if name in by_name), None)
            if own is None and id(slot.tensor) in is_buffer:
                continue  # a plan need not have it
        if own is not None:
            seen.add(own.name)
        is_loaded = not loaded and getattr(slot.tensor, "_is_hf_initialized", False)
        if (patterns and _is_skipped(slot, patterns)) or is_loaded:
            report.skipped.append(slot.name)
        elif own is None:
            report.only_in_model.append(slot.name)
        elif own.initializer or own.is_planned:
            found.append((slot, own))
        elif not (own.is_buffer and own.note == NEVER_WRITTEN):  # nor is that in a plain build
            report.without_law.append(slot.name)
    if unseen := by_name.keys() - seen:
        own_names = [name for name, entry in by_name.items() if name == entry.name]
        report.only_in_plan = [name for name in own_names if name in unseen]
    return report, found


def listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")
