"""A model beside a plan: which entry each tensor has, and what is left over on either side.

Most tensors are filled by one law, and the core does the rest (`PlannedFills`): of these there are
the name, the tensor and the number of its fill, no more. Others are slots with their entries.
"""

from __future__ import annotations

import fnmatch
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import torch

from .._core.checks import wrong
from .._core.torch_internals import own_buffers, own_parameters
from .._dispatch.items import planned_item
from .._dispatch.planned import PlannedFills
from .entries import NEVER_WRITTEN
from .slots import Slot, identity, is_plain, make_slot, own_slots, with_alias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import nn

    from .._dispatch.planned import PlannedItem
    from .entries import Entry
    from .slots import Modules


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
    return ", ".join(names[:5]) + (f", ... ({len(names)} in all)" if len(names) > 5 else "")


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
    def places(self) -> dict[str, int]:
        """Where the entries are, by their names."""
        return {entry.name: place for place, entry in enumerate(self.entries)}

    @cached_property
    def without_buffers(self) -> Index:
        return Index(entry for entry in self.entries if not entry.is_buffer)

    @cached_property
    def fills(self) -> PlannedFills:
        """The fills of entries that one does all of, under their places."""
        return PlannedFills(self._items)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The numbers of these fills, by the names of their entries.

        Without those of tied entries: they are looked for under all of their names.
        """
        pairs = zip(self.entries, self._items, strict=True)
        return {
            entry.name: number
            for number, (entry, item) in enumerate(pairs)
            if item is not None and not entry.aliases
        }

    @cached_property
    def _items(self) -> list[PlannedItem | None]:
        return list(map(_planned, self.entries))


def _planned(entry: Entry) -> PlannedItem | None:
    law = entry.law
    if law is None or law.is_negative or entry.pieces or entry.program is not None:
        return None
    item = planned_item(law.fill, getattr(torch, entry.dtype), entry.elements, law.numbers)
    return None if item is None else (entry.key_name or entry.name, entry.shape, item)


class Match:
    """The tensors of a model that are to be filled, and a report on the others."""

    def __init__(self) -> None:
        self.report = Report()
        self.names: list[str] = []
        self.tensors: list[torch.Tensor] = []
        self.numbers: list[int] = []
        """Of tensors that one fill is for, with its number."""
        self.others: list[tuple[Slot, Entry]] = []
        self._places: list[int] = []  # of others, in these lists
        self._owners: list[tuple[int, nn.Module, tuple[nn.Module, ...]]] = []
        """From where on in these lists tensors are of a module, and the modules around it."""

    def add(self, place: int, slot: Slot, entry: Entry) -> None:
        """Add another tensor to be filled, before those from `place` on in the lists."""
        self.others.append((slot, entry))
        self._places.append(place)
        done = self._places[-2] if len(self._places) > 1 else 0
        self.report.filled += [*self.names[done:place], slot.name]

    def end(self) -> None:
        """Say that there are no more."""
        self.report.filled += self.names[self._places[-1] if self._places else 0 :]

    def with_odd(self, places: Iterable[int], entries: list[Entry]) -> list[tuple[Slot, Entry]]:
        """The others and some of the lists, in the order of the model."""
        found = list(zip(self._places, self.others, strict=True))
        for place in places:
            owner = bisect_right(self._owners, place, key=itemgetter(0)) - 1
            _, module, around = self._owners[owner]
            slot = Slot(self.names[place], self.tensors[place], module, around=around)
            found.append((place, (slot, entries[self.numbers[place]])))
        return [pair for _, pair in sorted(found, key=itemgetter(0))]

    def gather(
        self,
        modules: Modules,
        registry: Callable[[nn.Module], Mapping[str, torch.Tensor | None]],
        numbers: Mapping[str, int],
        is_wanted: Callable[[str], bool],
    ) -> list[tuple[int, Slot]]:
        """Note the tensors that have numbers; return others, each with where it is among them.

        A loop of few steps: it is most of what a run of small tensors takes, besides the fills.
        """
        names, tensors, found = self.names, self.tensors, self.numbers
        others: dict[Any, tuple[int, Slot]] = {}

        def add(slot: Slot) -> None:
            place, same = others.setdefault(identity(slot), (len(names), slot))
            if same is not slot:
                others[identity(slot)] = place, with_alias(same, slot.name)

        inside: set[nn.Module] = set()
        for prefix, module, around in modules:
            if registry is own_parameters and not is_plain(module):
                for slot in own_slots(prefix, module, around, inside, is_wanted):
                    add(slot)
                continue
            own = registry(module)
            if not own:
                continue
            self._owners.append((len(names), module, around))
            head = f"{prefix}." if prefix else ""
            for step, tensor in own.items():
                if tensor is None:
                    continue
                name = head + step
                number = numbers.get(name)
                if number is None or getattr(tensor, "_is_hf_initialized", False):
                    add(make_slot((name, tensor, module, (), False, around)))
                    continue
                names.append(name)
                tensors.append(tensor)
                found.append(number)
        return list(others.values())


def matched(
    index: Index,
    modules: Modules,
    patterns: dict[str, bool],
    buffers: bool,
    *,
    numbers: Mapping[str, int] | None = None,
    loaded: bool = False,
) -> Match:
    """The tensors with their entries, and what is left over on either side.

    Those that transformers marks as loaded are skipped, unless `loaded`. Patterns are for tensors
    that have no number. Of those that have one, two may be the same.
    """
    by_name, match = index.by_name, Match()
    report, numbers = match.report, numbers or {}
    slots = match.gather(modules, own_parameters, numbers, by_name.__contains__)
    parameters = len(slots)
    if buffers:
        slots += match.gather(modules, own_buffers, numbers, by_name.__contains__)
    if slots and not {id(slot.tensor) for _, slot in slots}.isdisjoint(map(id, match.tensors)):
        return matched(index, modules, patterns, buffers, loaded=loaded)  # tied, under other names
    seen = set(match.numbers)
    for count, (place, slot) in enumerate(slots):
        own = by_name.get(slot.name)
        if own is None:
            own = next((by_name[name] for name in slot.aliases if name in by_name), None)
            if own is None and count >= parameters:
                continue  # a plan need not have every buffer
        if own is not None:
            seen.add(index.places[own.name])
        is_loaded = not loaded and getattr(slot.tensor, "_is_hf_initialized", False)
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
        report.only_in_plan = [
            entry.name for place, entry in enumerate(index.entries) if place not in seen
        ]
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
