"""A model that exists, initialized again by its own functions."""

import fnmatch
import importlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn
from torch.nn.parameter import is_lazy

from .._core.checks import told_as, wrong
from .._distributed.fsdp import reshard
from .._keys.keys import Key, key
from .compare import Summary, summaries
from .entries import NEVER_WRITTEN, Entry
from .match import Report, globs, listed
from .plan import Plan, ruled
from .rules import Rules
from .slots import buffer_slots, slots
from .table import as_one, in_words, template


@dataclass
class InitializeReport(Report):
    """What `initialize` has done, by name."""

    unwritten: list[str] = field(default_factory=list)
    """Parameters and buffers that no function of the model writes, left as they are."""
    differs: dict[str, str] = field(default_factory=dict)
    """What stood there, of those filled whose values were of another law than they have now.

    Means and scales are compared, in up to 16,384 elements of each.
    """
    plan: Plan = field(default_factory=lambda: Plan(()))
    """What was read of the model's functions."""

    def __str__(self) -> str:
        lines = [super().__str__()]
        if self.unwritten:
            lines.append(f"left, no function writes them: {listed(self.unwritten)}")
        groups: dict[tuple[str, str], list[str]] = {}
        for name in self.differs:
            groups.setdefault((template(name), in_words(self.plan[name])), []).append(name)
        for (_, law), names in groups.items():
            count = f" ({len(names)})" if len(names) > 1 else ""
            had = self.differs[names[0]]
            lines.append(f"differs: {as_one(names)}{count} had {had}, now {law}")
        return "\n".join(lines)


def initialize(
    model: nn.Module,
    seed: int | Key,
    *,
    rules: Rules | str | Path | None = None,
    strict: bool = False,
    buffers: bool = True,
    skip: Iterable[str] = (),
) -> InitializeReport:
    """Initialize a model that exists, by its own functions, each parameter with a key by its name.

    The functions are those that modules have for it: `reset_parameters` of each, the nearest
    `_init_weights(module)`, and `init_weights`, `initialize_weights` and the like that take no
    argument. They are called on fake tensors and read as `plan` reads a constructor; then
    `Plan.run` fills the model. So a parameter that the constructor leaves to them has the values
    of `plan` and `Plan.run`. What the body of a constructor does is not repeated: what it draws
    itself is left as it is, and what it draws again or scales gets the law from before that. The
    report says both, the second by the values: where those that stood there were of another law.

    Torch's generators are neither used nor changed. After an error all is as it was.

    Args:
        model: The model, wrapped, sharded and tied as you like, with memory.
        seed: The seed, or the key itself.
        rules: Initializers in the place of those that were read, or for what no function writes,
            as `Plan.with_rules` takes them.
        strict: Whether a parameter that no function writes is an error.
        buffers: Whether the buffers that functions write are filled, too.
        skip: Globs of names to leave as they are. Parameters that transformers marks as loaded
            are left, too.

    Returns:
        What was filled, what was left, and whose law differs from what stood there. `print` shows
        it.

    Raises:
        TypeError: `model` is not a Module, or `seed` neither an integer nor a Key.
        ValueError: A glob of `skip` or a rule matches nothing; or, if `strict`, a parameter has no
            law.
        RuntimeError: A function of the model fails on fake tensors, or a parameter is on meta or
            cannot be filled.

    Example:
        >>> import torch, winit_cuda as winit
        >>> model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
        >>> _ = torch.nn.init.zeros_(model[1].weight)
        >>> print(winit.initialize(model, seed=0))
        filled 4 tensors, 8,320 elements
        differs: 1.weight had 0, now KaimingUniform(a=2.236)
    """
    function = "initialize"
    if not isinstance(model, nn.Module):
        raise wrong(function, "model", "a torch.nn.Module", model, TypeError)
    lazy = [name for name, tensor in model.named_parameters() if is_lazy(tensor)]
    if lazy:
        raise RuntimeError(f"initialize: lazy, call the model first: {listed(lazy)}")
    skipped = list(globs(function, skip))
    with told_as(function, "key", "plan", "Plan.run"):
        base = seed if isinstance(seed, Key) else key(seed)
        return _initialized(model, base, rules, strict, buffers, skipped)


def _initialized(
    model: nn.Module,
    base: Key,
    rules: Rules | str | Path | None,
    strict: bool,
    buffers: bool,
    skipped: list[str],
) -> InitializeReport:
    reshard(model.modules())
    # Imported where it is needed: it is the only part that needs torch's fake tensors.
    plan = Plan(importlib.import_module(".resets", __package__).entries_of_model(model))
    for glob in skipped:
        if not any(fnmatch.filter((entry.name, *entry.aliases), glob) for entry in plan):
            raise wrong("initialize", "skip", "globs that match names of the model", glob)
    if rules is not None:
        plan = ruled("initialize", plan, rules, strict=True)
    planned = {entry.name for entry in plan if entry.is_planned}
    before = _summaries(model, planned)
    buffers_before = {slot.name: slot.tensor for slot in buffer_slots(model)}
    report = plan.run(model, base, strict=strict, buffers=buffers, skip=skipped)
    after = _summaries(model, planned.intersection(report.filled))
    differs = {
        name: str(before[name])
        for name, found in after.items()
        if before[name].differs(found, *_bounds(plan[name]))
    }
    # Some parametrizations replace theirs when the weight is set.
    new = {
        slot.name
        for slot in buffer_slots(model)
        if slot.tensor is not buffers_before.get(slot.name)
    }
    unwritten = [name for name in _unwritten(plan, report, buffers) if name not in new]
    return InitializeReport(**vars(report), unwritten=unwritten, differs=differs, plan=plan)


def _summaries(model: nn.Module, names: set[str]) -> dict[str, Summary]:
    """What stands in the tensors of these names."""
    tensors = {
        slot.name: slot.tensor
        for slot in [*slots(model), *buffer_slots(model)]
        if slot.name in names
    }
    found = zip(tensors, summaries(list(tensors.values())), strict=True)
    return {name: each for name, each in found if each is not None}


def _bounds(entry: Entry) -> tuple[float, float]:
    """What all values are between, with room for rounding."""
    law = None if entry.initializer is None or entry.pieces else entry.initializer.law(entry.shape)
    if law is None or law.is_negative or law.fill.name not in ("uniform", "trunc_normal"):
        return -math.inf, math.inf
    low, high = law.numbers[-2:]
    room = 0.002 * (high - low)  # of bfloat16
    return low - room, high + room


def _unwritten(plan: Plan, report: Report, buffers: bool) -> list[str]:
    """Those that nothing writes; the report has them no longer among those without a law."""
    names = {
        entry.name: None
        for entry in plan
        if entry.note == NEVER_WRITTEN and (buffers or not entry.is_buffer)
    }
    report.without_law = [name for name in report.without_law if name not in names]
    others = {*report.skipped, *report.filled}
    return [name for name in names if name not in others]
