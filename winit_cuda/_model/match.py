"""A model beside a plan: which entry each tensor has, and what is left over on either side.

Most tensors are filled by one law, and the core does the rest, finding them by name included
(`PlannedFills`). Others are slots with their entries.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .._core.checks import wrong
from .._core.torch_internals import own_buffers, own_parameters
from .._dispatch.items import planned_item
from .._dispatch.planned import PlannedFills
from .entries import NEVER_WRITTEN
from .slots import buffers_of, identity, is_plain, make_slot, own_slots, with_alias
from .table import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._dispatch.planned import NamedFills, Other, PlannedItem
    from .entries import Entry
    from .slots import Modules, Slot


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


def listed(names: list[str]) -> str:
    """The first of the names."""
    return ", ".join(map(printable, names[:5])) + (
        f", ... ({len(names)} in all)" if len(names) > 5 else ""
    )


class Index:
    """The entries of a plan, by all of their names."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)
        self.by_name = {name: entry for entry in self.entries for name in entry.aliases}
        self.by_name.update({entry.name: entry for entry in self.entries})

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles make anew what the core has."""
        return Index, (self.entries,)

    @cached_property
    def without_buffers(self) -> Index:
        return Index(entry for entry in self.entries if not entry.is_buffer)

    @cached_property
    def fills(self) -> PlannedFills:
        """The fills of entries that one does all of.

        Without those of tied entries: they are looked for under all of their names.
        """
        entries = [entry for entry in self.entries if not entry.aliases]
        items = [item for item in map(_planned, entries) if item is not None]
        return PlannedFills(items, doubts=(_is_loaded,))


def _planned(entry: Entry) -> PlannedItem | None:
    law = entry.law
    if law is None or law.is_negative or entry.pieces or entry.program is not None:
        return None
    if entry.no_text is not None:  # the core reads names as UTF-8
        return None
    item = planned_item(law.fill, getattr(torch, entry.dtype), entry.elements, law.numbers)
    return None if item is None else (entry.name, entry.key_name or entry.name, entry.shape, item)


_LOADED = "_is_hf_initialized"  # as transformers marks a tensor


def _is_loaded(tensor: torch.Tensor) -> object:
    return getattr(tensor, _LOADED, False)


class Match:
    """The tensors of a model that are to be filled, and a report on the others.

    Args:
        ordinary: Those that the core fills by itself.
    """

    def __init__(self, ordinary: NamedFills | None) -> None:
        self.ordinary = ordinary
        self.others: list[tuple[Slot, Entry]] = []
        self.report = Report()
        self._names = [] if ordinary is None else ordinary.names
        self._done = 0  # of the names, how many the report has

    def add(self, place: int, slot: Slot, entry: Entry) -> None:
        """Add another tensor to be filled, before that of the ordinary ones."""
        self.others.append((slot, entry))
        self.report.filled += [*self._names[self._done : place], slot.name]
        self._done = place

    def end(self) -> None:
        """Say that there are no more."""
        self.report.filled += self._names[self._done :]


# Before which of the ordinary tensors another one comes, that, and whether it is a buffer.
_Candidate = tuple[int, "Slot", bool]


def _gathered(
    index: Index, modules: Modules, buffers: bool, quick: bool
) -> tuple[NamedFills | None, list[_Candidate]]:
    """The ordinary tensors, if it is to be quick, and all others, each once."""
    owners: list[tuple[str, Any]] = []
    others: Iterable[Other]
    if quick:
        owners += [
            (name, _in_dict(own_parameters(module)) if is_plain(module) else None)
            for name, module, _ in modules
        ]
        if buffers:
            owners += [(name, _in_dict(own_buffers(module))) for name, module, _ in modules]
        ordinary, others = index.fills.of(owners)
    else:
        ordinary = None
        count = len(modules) * (2 if buffers else 1)
        others = [(number, 0, None, None) for number in range(count)]
    found: dict[Any, _Candidate] = {}
    inside: set[nn.Module] = set()
    for owner, place, path, tensor in others:
        is_buffer = owner >= len(modules)
        name, module, around = modules[owner % len(modules)]
        if path is not None:
            slots: Iterable[Slot] = (make_slot((path, tensor, module, (), False, around)),)
        elif is_buffer:
            slots = buffers_of(name, module)
        else:
            slots = own_slots(name, module, around, inside, index.by_name.__contains__)
        for slot in slots:
            key = is_buffer, identity(slot) if slot.is_computed else id(slot.tensor)
            first, same, _ = found.setdefault(key, (place, slot, is_buffer))
            if same is not slot:
                found[key] = first, with_alias(same, slot.name), is_buffer
    return ordinary, list(found.values())


def _in_dict(tensors: Any) -> dict[str, torch.Tensor | None] | None:
    """As the core reads them; None of what is no dict, as modules of TorchScript have it."""
    return tensors if isinstance(tensors, dict) else None


def matched(
    index: Index,
    modules: Modules,
    patterns: dict[str, bool],
    buffers: bool,
    *,
    quick: bool = False,
    loaded: bool = False,
) -> Match:
    """The tensors with their entries, and what is left over on either side.

    Those that transformers marks as loaded are skipped, unless `loaded`. It is quick with the
    ordinary tensors, of which two may be the same; those are not looked for in the patterns.
    """
    ordinary, candidates = _gathered(index, modules, buffers, quick)
    if ordinary is not None:
        tensors = {id(slot.tensor) for _, slot, _ in candidates}
        is_tied = not tensors.isdisjoint(map(id, ordinary.tensors))  # under other names
        # Parametrizations are code of others, which may do anything to the model as it is filled.
        if is_tied or any(slot.is_computed for _, slot, _ in candidates):
            return matched(index, modules, patterns, buffers, loaded=loaded)
    by_name, match = index.by_name, Match(ordinary)
    report = match.report
    seen = set(() if ordinary is None else ordinary.names)
    for place, slot, is_buffer in candidates:
        own = by_name.get(slot.name)
        if own is None:
            own = next((by_name[name] for name in slot.aliases if name in by_name), None)
            if own is None and is_buffer:
                continue  # a plan need not have every buffer
        if own is not None:
            seen.add(own.name)
        is_loaded = not loaded and getattr(slot.tensor, _LOADED, False)
        if (patterns and _is_skipped(slot, patterns)) or is_loaded:
            report.skipped.append(slot.name)
        elif own is None:
            report.only_in_model.append(slot.name)
        elif own.initializer or own.is_planned:
            match.add(place, slot, own)
        elif not (own.is_buffer and own.note == NEVER_WRITTEN):  # nor is that in a plain build
            report.without_law.append(slot.name)
    match.end()
    if len(seen) < len(index.entries):
        report.only_in_plan = [entry.name for entry in index.entries if entry.name not in seen]
    return match


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
