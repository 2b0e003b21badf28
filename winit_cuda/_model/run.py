"""The run of a plan: an instance of the model is matched by name, checked, and filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.parameter import is_lazy

from .._core.checks import told_as, wrong
from .._core.torch_internals import is_dtensor, is_tracing_tensor
from .._dispatch.planned import can_run
from .._distributed.fsdp import reshard
from .._distributed.shard import Shard, Shards
from .._keys.keys import Key, key
from .fill import SharedMemory, fill
from .match import globs, listed, matched
from .slots import modules_of
from .spectral import vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .entries import Entry
    from .match import Index, Match, Report
    from .slots import Slot


def run(
    index: Index,
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
    modules = modules_of(model)
    reshard(module for _, module, _ in modules)
    patterns = {} if skip == () else globs("Plan.run", skip)
    for name, shard in _items(shards):
        if not isinstance(shard, (Shard, Shards)):
            requirement = "a winit_cuda.Shard or winit_cuda.Shards"
            raise wrong("Plan.run", f"shards[{name!r}]", requirement, shard, TypeError)
    index = index if buffers else index.without_buffers

    def fill_all(quick: bool) -> Report:
        match = matched(index, modules, patterns, buffers, quick=quick)
        return _filled(match, base, _left_over(index, match, patterns) if strict else [], shards)

    # What is skipped, or only a part, is looked at by itself.
    if patterns or shards or not can_run():
        return fill_all(quick=False)
    try:
        return fill_all(quick=True)
    except SharedMemory:  # looked at by themselves, they are one tensor, or an error says which
        return fill_all(quick=False)


def _filled(
    match: Match, base: Key, faults: list[str], shards: Mapping[str, Shard | Shards]
) -> Report:
    """Fill what was matched, unless there are faults."""
    ordinary, others = match.ordinary, match.others
    faults += _misfits(others, shards)
    if faults:
        raise ValueError(f"Plan.run: {'; '.join(faults[:5])} ({len(faults)} in all)")
    _check_memory(others)
    report = match.report
    found_anew = fill(others, base, shards, ordinary=ordinary)
    report.elements = sum([entry.elements for _, entry in others])
    if ordinary is not None:
        report.elements += ordinary.elements
    for own in found_anew:
        for name, tensor in zip(own.names, (own.u, own.v), strict=True):
            if name not in report.filled:
                report.filled.append(name)
                report.elements += tensor.numel()
        report.skipped = [name for name in report.skipped if name not in own.names]
    return report


def _left_over(index: Index, match: Match, patterns: dict[str, bool]) -> list[str]:
    """What a strict run does not leave alone."""
    report, by_name = match.report, index.by_name
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
