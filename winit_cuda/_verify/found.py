"""What there is of a plan's tensors: in a model, in a state dict, or in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from .._core.checks import unfit, wrong
from .._core.torch_internals import is_dtensor
from .._distributed.fsdp import reshard
from .._distributed.shard import Shard, Shards
from .._model.match import Index, matched
from .._model.slots import modules_of
from .._model.spectral import stale, vectors_found_anew
from .compare import Item, is_exact
from .names import matches
from .stored import Stored, check_values, of_tensor

if TYPE_CHECKING:
    from torch import nn

    from .._model.entries import Entry


_OF_SPECTRAL_NORM = "of spectral_norm"
# Of one mapping in a checkpoint.
_MOST_PLACES = 100


class Found(NamedTuple):
    """What is there, and what is not."""

    items: list[Item]
    missing: list[str]
    extra: list[str]
    unplanned: dict[str, str]
    """What the plan has no values for, each with why."""


def of_module(
    model: nn.Module,
    entries: list[Entry],
    buffers: bool,
    shards: Mapping[str, Shard | Shards],
) -> Found:
    """The parameters and buffers of a model."""
    modules = modules_of(model)
    reshard(module for _, module, _ in modules)
    if not buffers:
        entries = [entry for entry in entries if not entry.is_buffer]
    match = matched(Index(entries), modules, {}, buffers, loaded=True)
    report, pairs = match.report, match.others
    for slot, _ in pairs:
        check_values("verify", slot.name, slot.tensor)
    follow = {name for _, _, vectors in stale(pairs) for name in vectors.names}
    _check_shards(shards, {slot.name for slot, _ in pairs})
    items = [
        Item(
            slot.name,
            entry,
            _stored(slot.name, slot.tensor, shards.get(slot.name)),
            is_exact(entry) and not slot.is_computed,
        )
        for slot, entry in pairs
        if slot.name not in follow
    ]
    notes = {entry.name: entry.note for entry in entries}
    unplanned = {name: notes.get(name) or "no law" for name in report.without_law}
    unplanned |= {slot.name: _OF_SPECTRAL_NORM for slot, _ in pairs if slot.name in follow}
    return Found(items, report.only_in_plan, report.only_in_model, unplanned)


def of_mapping(
    given: Mapping[str, Any],
    entries: list[Entry],
    buffers: bool,
    shards: Mapping[str, Shard | Shards],
    prefix: str | None,
) -> Found:
    """The tensors of a state dict, or of a checkpoint."""
    try:
        tensors = _flat(given)
    except RecursionError as error:  # a file may even have one that contains itself
        raise ValueError("verify: mappings that are nested too deeply") from error
    names = matches(entries, tensors, prefix)
    for entry in names.missing:
        if entry.name in given and entry.name not in tensors:
            raise wrong("verify", entry.name, "a torch.Tensor", given[entry.name], TypeError)
    pairs = [(name, entry) for name, entry in names.pairs if buffers or not entry.is_buffer]
    _check_shards(shards, {name for name, _ in pairs})
    anew = vectors_found_anew(entries)
    items, unplanned = [], {}
    for name, entry in pairs:
        if entry.name in anew:
            unplanned[name] = _OF_SPECTRAL_NORM
        elif entry.is_planned:
            stored = _stored(name, tensors[name], shards.get(name))
            items.append(Item(name, entry, stored, is_exact(entry)))
        else:
            unplanned[name] = entry.note or "no law"
    # A buffer may be one that is not saved; a state dict does not say which are.
    missing = [entry.name for entry in names.missing if not entry.is_buffer]
    if buffers:
        unplanned |= {entry.name: "not saved" for entry in names.missing if entry.is_buffer}
    return Found(items, missing, names.extra, unplanned)


def _check_shards(shards: Mapping[str, Any], names: set[str]) -> None:
    """Raise where a shard is none, or of no tensor that is compared."""
    for name, shard in shards.items():
        if not isinstance(shard, (Shard, Shards)):
            requirement = "a winit_cuda.Shard or winit_cuda.Shards"
            raise wrong("verify", f"shards[{name!r}]", requirement, shard, TypeError)
    unknown = sorted(set(shards) - names)
    if unknown:
        raise ValueError(f"verify: {unknown[0]}, of shards, is not compared")


def _stored(name: str, tensor: Any, shard: Shard | Shards | None) -> Stored:
    if isinstance(tensor, Stored):
        if shard is not None:
            raise unfit(
                "verify", f"shards[{name!r}]", "of a tensor in memory", "a file", ValueError
            )
        return tensor
    if shard is not None and is_dtensor(tensor):
        raise ValueError(f"verify: {name}, of shards, is a DTensor, which says itself what it is")
    check_values("verify", name, tensor)
    if tensor.layout is not torch.strided:
        requirement = "of memory laid out by strides"
        raise unfit("verify", name, requirement, str(tensor.layout), TypeError)
    return of_tensor(f"verify: {name}", tensor, shard)


def _flat(
    given: Mapping[str, Any], prefix: str = "", seen: dict[int, list[Any]] | None = None
) -> dict[str, Any]:
    """The tensors of nested mappings, under names with dots."""
    seen = {} if seen is None else seen
    places = seen.setdefault(id(given), [])  # which keep it, and so its identity, alive
    places.append(given)
    if len(places) > _MOST_PLACES:  # such are names without end
        raise ValueError("verify: mappings that share their parts at too many places")
    found: dict[str, Any] = {}
    for name, value in given.items():
        own: dict[str, Any] = {}
        if isinstance(value, (torch.Tensor, Stored)):
            own = {f"{prefix}{name}": value}
        elif isinstance(value, Mapping):
            own = _flat(value, f"{prefix}{name}.", seen)
        twice = found.keys() & own.keys()
        if twice:
            raise ValueError(f"verify: {min(twice)} is the name of two tensors")
        found |= own
    return found
