"""`verify`: whether a model or a checkpoint has the weights that a plan gives with a seed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed, nn

from .._core.checks import deviation, is_bool, told_as, wrong
from .._distributed.shard import Shard, Shards
from .._keys.keys import Key, int64_or_uint64, key
from .._model.plan import Plan
from .checkpoint import opened
from .compare import Finding, Item, compare, is_random, together
from .found import Found, of_mapping, of_module
from .verdict import Difference, Verification


def verify(
    model: nn.Module | Mapping[str, Any] | str | Path,
    plan: Plan,
    seed: int | Key,
    *,
    seeds: Iterable[int] = (),
    strict: bool = True,
    buffers: bool = True,
    shards: Mapping[str, Shard | Shards] | None = None,
    prefix: str | None = None,
    tolerance: float = 2e-5,
    group: Any = None,
) -> Verification:
    """Return whether tensors have the weights that `plan.run` gives with a seed.

    Each tensor is compared with its law bit for bit, in the dtype that it has: that of a lower
    precision has the float32 values rounded once. Where these differ, values of the planned dtype
    that were cast afterwards count, too. A NaN equals itself, and -0.0 is not 0.0. What is
    orthogonal, computed or parametrized, whose bits are not promised, may differ by
    `tolerance` times its largest magnitude, and by the spacing of its dtype.

    Weights are filled once more in tiles of a few MB, and no model is in memory twice. An
    orthogonal matrix is one tile, with twice its size to compute it, and computed values are
    computed as a whole, one tensor after the other.

    Nothing is written. Of DTensors each rank verifies its part; all ranks of the group call it and
    get one result.

    Args:
        model: A Module, a mapping of names to tensors, nested or not, such as a state dict, or the
            path of a checkpoint: a file of safetensors or its index, a file of `torch.save`, or the
            folder of a distributed checkpoint. No file is unpickled beyond tensors.
        plan: The plan.
        seed: What `plan.run` was given.
        seeds: Other seeds. What differs is compared with their weights, too.
        strict: Whether names that only one side has count as a difference. The parameters of one
            stage of a pipeline are some of a plan's: False.
        buffers: Whether the buffers that the plan has are compared.
        shards: For tensors that are parts of larger ones but no DTensors, by name, which part.
        prefix: What stands before the names of the plan in a mapping or a checkpoint, such as
            "model."; None to find it. What wrappers put into names is ignored.
        tolerance: What rounding may change, relative to the largest magnitude of a tensor.
        group: The process group whose ranks verify together, each its own parts. None is the
            default group where there are DTensors, and else this process alone.

    Raises:
        TypeError: `model`, `plan`, `seed`, `seeds`, `tolerance` or a shard is of another type.
        ValueError: A file is none of these kinds or damaged, or holds more than tensors; the names
            of the plan stand behind several prefixes; a shard is none of the tensor; a number is
            out of range.
        RuntimeError: A parameter is on meta, or on a device that takes no key.
        OSError: A file cannot be read.

    Example:
        >>> import torch, winit_cuda as winit
        >>> factory = lambda: torch.nn.Linear(4, 8)
        >>> plan, model = winit.plan(factory), winit.build(factory, seed=0)
        >>> winit.verify(model, plan, seed=0).ok
        True
        >>> with torch.no_grad():
        ...     model.weight[3, 2] = 0.25
        >>> result = winit.verify(model.state_dict(), plan, seed=0)
        >>> result.different[0].name, result.different[0].index, result.different[0].count
        ('weight', 14, 1)
    """
    laws: Any = plan
    given: Any = model
    if not isinstance(laws, Plan):
        raise wrong("verify", "plan", "a winit_cuda.Plan", laws, TypeError)
    with told_as("verify", "key"):
        base = seed if isinstance(seed, Key) else key(seed)
    others = {other: own for other, own in _keys_of(seeds).items() if own != base}
    if is_bool(tolerance):
        raise wrong("verify", "tolerance", "a number", tolerance, TypeError)
    tolerance = deviation("verify", "tolerance", tolerance)
    with ExitStack() as stack:
        if isinstance(given, nn.Module):
            found = of_module(given, list(plan), buffers, shards or {})
        else:
            if isinstance(given, (str, Path)):
                given = stack.enter_context(opened(Path(given)))
            elif not isinstance(given, Mapping):
                requirement = "a torch.nn.Module, a mapping of tensors or a path"
                raise wrong("verify", "model", requirement, given, TypeError)
            found = of_mapping(given, list(plan), buffers, shards or {}, prefix)
        ranks = _Ranks(group, any(item.stored.is_shared for item in found.items))
        findings, rounded = _findings(found.items, base, tolerance, ranks)
        differing = {name for name, one in findings.items() if one.count}
        suspects = [item for item in found.items if item.name in differing]
        of_seeds = _of_seeds(suspects, others, tolerance, ranks)
    name = f"seed {seed}" if isinstance(seed, int) else str(seed)
    return _result(found, findings, rounded, of_seeds, name, strict, ranks)


def _keys_of(seeds: Any) -> dict[int, Key]:
    """Each of the seeds once, with its key."""
    try:
        found = list(seeds)
    except TypeError:
        found = [None]
    if isinstance(seeds, str) or not all(type(one) is int for one in found):
        raise wrong("verify", "seeds", "a list of integers", seeds, TypeError)
    return {one: key(int64_or_uint64("verify", "seeds", one)) for one in found}


class _Ranks:
    """The processes that verify together; alone, nothing is sent."""

    def __init__(self, group: Any, are_shared: bool) -> None:
        self._group = group
        is_there = distributed.is_available() and distributed.is_initialized()
        self._are_many = is_there and (group is not None or are_shared)

    def gather(self, value: Any) -> list[Any]:
        """What each of them has."""
        if not self._are_many:
            return [value]
        values = [None] * distributed.get_world_size(self._group)
        distributed.all_gather_object(values, value, group=self._group)
        return values


class _Head(NamedTuple):
    """What all ranks are to know of a tensor that one has."""

    shape: tuple[int, ...]
    dtype: str
    is_random: bool
    is_misshapen: bool


def _findings(
    items: list[Item], base: Key, tolerance: float, ranks: _Ranks
) -> tuple[dict[str, Finding], list[str]]:
    """What is seen of each tensor, and which have the values of the planned dtype, cast."""
    fit = [item for item in items if item.stored.shape == item.entry.shape]
    findings = _gathered(compare(fit, base, tolerance), ranks)
    cast = [item for item in fit if findings[item.name].count and _is_of_another_dtype(item)]
    rounded = []
    for name, one in _gathered(compare(cast, base, tolerance, as_planned=True), ranks).items():
        if not one.reason and one.count < findings[name].count:
            findings[name] = one  # the nearer of both, also where it differs
            if not one.count:
                rounded.append(name)
    return findings, rounded


def _of_seeds(
    suspects: list[Item], others: dict[int, Key], tolerance: float, ranks: _Ranks
) -> dict[str, tuple[int, ...]]:
    """For each tensor that differs, the other seeds whose weights it has."""
    seeds: dict[str, tuple[int, ...]] = {}
    cast = [item for item in suspects if _is_of_another_dtype(item)]
    for seed, base in others.items():
        own = _with_values_of(suspects, base, tolerance, ranks, as_planned=False)
        own |= _with_values_of(cast, base, tolerance, ranks, as_planned=True)
        for name in own:
            seeds[name] = (*seeds.get(name, ()), seed)
    return seeds


def _with_values_of(
    items: list[Item], base: Key, tolerance: float, ranks: _Ranks, *, as_planned: bool
) -> set[str]:
    """The names of those that have the values of a key."""
    # The first elements tell nearly always; of tensors that pass, all are compared.
    found = compare(items, base, tolerance, as_planned=as_planned, is_probe=True)
    rest = [item for item in items if found[item.name].is_equal]
    found |= compare(rest, base, tolerance, as_planned=as_planned)
    return {name for name, one in _gathered(found, ranks).items() if one.is_equal}


def _is_of_another_dtype(item: Item) -> bool:
    return item.stored.dtype is not getattr(torch, item.entry.dtype)


def _gathered(findings: dict[str, Finding], ranks: _Ranks) -> dict[str, Finding]:
    """What all ranks have seen of each tensor."""
    of_name: dict[str, list[Finding]] = {}
    for own in ranks.gather(findings):
        for name, finding in own.items():
            of_name.setdefault(name, []).append(finding)
    return {name: together(each) for name, each in of_name.items()}


def _result(
    found: Found,
    findings: dict[str, Finding],
    rounded: list[str],
    of_seeds: dict[str, tuple[int, ...]],
    seed: str,
    strict: bool,
    ranks: _Ranks,
) -> Verification:
    """The same on all ranks."""
    own = {
        item.name: _Head(
            item.stored.shape,
            str(item.stored.dtype).removeprefix("torch."),
            is_random(item.entry),
            item.stored.shape != item.entry.shape,
        )
        for item in found.items
    }
    planned = {item.name: item.entry.shape for item in found.items}
    rows = ranks.gather((own, planned, found.missing, found.extra, found.unplanned))
    heads: dict[str, _Head] = {}
    unplanned: dict[str, str] = {}
    for each, shapes, _, _, reasons in rows:
        heads |= each
        planned |= shapes
        unplanned |= reasons
    different = []
    for name, head in heads.items():
        one = findings.get(name)
        if head.is_misshapen or one is None:
            one = Finding((), reason=f"has shape {head.shape}, planned is {planned[name]}")
        if not one.is_equal:
            numbers = one.count, one.index, one.found, one.planned
            seeds = of_seeds.get(name, ())
            difference = Difference(name, head.dtype, head.shape, *numbers, seeds, one.reason)
            different.append(difference)
    wrong_ones = {one.name for one in different}
    same = {name: findings[name] for name in heads if name not in wrong_ones}
    is_missing = set.intersection(*(set(row[2]) for row in rows))
    return Verification(
        seed,
        matched=tuple(name for name, one in same.items() if not one.deviation),
        close={name: one.deviation for name, one in same.items() if one.deviation},
        rounded={name: heads[name].dtype for name in rounded},
        different=tuple(different),
        missing=tuple(name for name in found.missing if name in is_missing),
        extra=tuple(dict.fromkeys(name for row in rows for name in row[3])),
        unplanned=unplanned,
        constant=sum(not heads[name].is_random for name in same),
        elements=sum(one.elements for one in findings.values()),
        dtypes=dict(Counter(head.dtype for head in heads.values())),
        is_strict=strict,
    )
