"""A model built now: constructed once, on fake tensors, which then become real and are filled."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from .._core.checks import told_as, wrong
from .._keys.keys import Key, key
from .entries import NEVER_WRITTEN, Entry
from .fill import fill
from .plan import Plan, check_arguments, ruled
from .rules import Rules

Model = TypeVar("Model", bound=nn.Module)


def build(
    factory: Callable[[], Model],
    seed: int | Key,
    rules: Rules | str | Path | None = None,
    *,
    strict: bool = True,
) -> Model:
    """Return the model that a factory makes, each parameter filled once, with the key of its name.

    It has the values of `plan(factory).run(factory(), seed)`, but is constructed once, and what the
    constructor draws and overwrites is never drawn.

    The factory is called on fake tensors, as by `plan`. Then every tensor that it has left becomes
    a real one where it is: tied, shared and viewed as it was, with its attributes and hooks, and
    so do tensors that are neither parameters nor buffers. These have the values of the
    constructor, too, with the key of the path of attributes that leads to them. Generators are
    left as they were.

    Args:
        factory: A callable that makes the model.
        seed: The seed, or the key itself.
        rules: Initializers that replace those of the constructor, as for `plan`.
        strict: Whether rules that decide nothing are errors; else they are a warning.

    Raises:
        TypeError: `factory` is a Module or not callable, it returns no Module, or `seed` is neither
            an integer nor a Key.
        ValueError: `factory` hands out a model that exists, a tensor has no values, as a parameter
            of `torch.empty` that nothing writes, or a rule is wrong.
        RuntimeError: The factory fails on fake tensors, or makes what cannot be made real.

    Example:
        >>> import torch, winit_cuda as winit
        >>> model = winit.build(lambda: torch.nn.Linear(64, 64), seed=0)
        >>> key = winit.fold_in(winit.key(0), "weight")
        >>> expected = winit.kaiming_uniform_(torch.empty(64, 64), a=5**0.5, key=key)
        >>> torch.equal(model.weight, expected)
        True
    """
    if isinstance(factory, nn.Module) or not callable(factory):
        requirement = "a callable that makes a torch.nn.Module (initialize takes one that exists)"
        raise wrong("build", "factory", requirement, factory, TypeError)
    check_arguments("build", "factory", factory)
    with told_as("build", "key", "plan", "Plan.run"):
        base = seed if isinstance(seed, Key) else key(seed)
        return _built(factory, base, rules, strict)


def _built(
    factory: Callable[[], Model], base: Key, rules: Rules | str | Path | None, strict: bool
) -> Model:
    # Imported where it is needed: it needs torch's fake tensors.
    realize = importlib.import_module(".realize", __package__)
    made = realize.traced(factory, "build")
    entries = all_planned("build", made.entries, rules, strict)
    made.become_real()
    fill_made(made, entries, base)
    model: Model = made.model
    return model


def fill_made(made: Any, entries: list[Entry], base: Key) -> None:
    """Fill all tensors of a traced model that has become real, but those that have values."""
    jobs = [
        (slot, new) if new.is_planned and (id(slot.tensor) in made.empty or new != old) else None
        for slot, old, new in zip(made.slots, made.entries, entries, strict=True)
    ]
    # What is no parameter may be in the memory of one, which then has the last word.
    for job in filter(None, jobs[made.planned :]):
        fill([job], base, {})
    fill(list(filter(None, jobs[: made.planned])), base, {})


def all_planned(
    function: str, entries: list[Entry], rules: Rules | str | Path | None, strict: bool
) -> list[Entry]:
    """The entries with the laws of rules; raise where what is no scratch memory has no values."""
    if rules is not None:
        entries = list(ruled(function, Plan(entries), rules, strict))
    faults = [
        f"{_described(entry)} has no law{f' ({entry.note})' if entry.note else ''}"
        for entry in entries
        if not entry.is_planned and not (entry.is_buffer and entry.note == NEVER_WRITTEN)
    ]
    if faults:
        hint = "rules may give parameters one"
        raise ValueError(f"{function}: {'; '.join(faults[:5])} ({len(faults)} in all); {hint}")
    return entries


def _described(entry: Entry) -> str:
    """Where a tensor is, or its shape where no path of attributes leads to it."""
    is_named = not entry.name.startswith("#")
    return entry.name if is_named else f"a tensor of shape {entry.shape} that no attribute leads to"
