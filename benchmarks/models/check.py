"""One constructor: what a plan reads of it, held against a build by torch's own generator."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import winit_cuda as winit
from winit_cuda._model import replay
from winit_cuda._model.laws import constant_value
from winit_cuda._model.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Factory = Callable[[], nn.Module]

# Samples of fewer elements say little of a law.
_FEWEST = 1000
# How many standard errors a sample's mean and std may be off: of 10^5 tensors none is.
_LIMIT = 7.0


def planned(factory: Factory) -> tuple[winit.Plan, dict[str, Any]]:
    """The plan, with how many entries there are of each kind, and the time."""
    start = time.perf_counter()
    plan = winit.plan(factory)
    seconds = time.perf_counter() - start
    found: dict[str, Any] = {"seconds": seconds, "tensors": len(plan)}
    found["elements"] = sum(math.prod(e.shape) for e in plan if not e.is_buffer)
    for what in (False, True):
        kinds = Counter(entry.kind for entry in plan if entry.is_buffer == what)
        found["buffers" if what else "parameters"] = dict(kinds)
    unset = [entry for entry in plan if not entry.is_planned and 0 not in entry.shape]
    found["unset"] = [f"{entry.name}: {entry.note}" for entry in unset][:5]
    return plan, found


def differences(factory: Factory, plan: winit.Plan) -> list[str]:
    """Where the log, run again by torch's generator, or a law of the plan is not the build's."""
    torch.manual_seed(7)
    real = dict(_tensors(factory()))
    found = []
    with trace(factory) as (model, tracer):
        views = {name: tracer.known(tensor) for name, tensor in _tensors(model)}
    torch.manual_seed(7)
    memory = replay.played(tracer.log.nbytes, tracer.log.steps)
    for name, view in views.items():
        if view is None or not _equal(memory.tensor(view), real[name]):
            found.append(f"{name}: not equal in a replay")
    for entry in plan:
        if entry.name not in real:
            continue  # parametrized
        one = real[entry.name]
        if entry.program is not None and not entry.program.keys:
            if not _equal(entry.program.values(winit.key(0)).to(one.dtype), one):
                found.append(f"{entry.name}: computed without a draw, and not equal")
        elif entry.initializer is not None and not entry.pieces:
            found += _of_law(entry, one.detach())
            other = real.get(entry.key_name)
            is_same = other is not None and plan[entry.key_name].initializer == entry.initializer
            if is_same and not _equal(one, real[entry.key_name]):
                found.append(f"{entry.name}: no copy of {entry.key_name}")
    return found


def _of_law(entry: winit.Entry, values: torch.Tensor) -> Iterator[str]:
    """Whether a tensor of a build can have the law."""
    law: Any = entry.initializer
    constant = constant_value(law)
    if constant is not None:
        if not bool((values == constant).all()):
            yield f"{entry.name}: not {law}"
        return
    numbers = law.law(entry.shape).numbers
    name = law.law(entry.shape).fill.name
    if values.numel() < _FEWEST or name not in ("normal", "uniform"):
        return
    mean, std = numbers
    fourth = 3.0
    if name == "uniform":
        mean, std, fourth = sum(numbers) / 2, (numbers[1] - numbers[0]) / math.sqrt(12), 1.8
    sample = values.double()
    error = 1 / math.sqrt(values.numel())
    if abs(sample.mean().item() - mean) > _LIMIT * std * error:
        yield f"{entry.name}: its mean is not that of {law}"
    off = abs(sample.std().item() / std - 1) if std else 0.0
    if off > _LIMIT * error * math.sqrt(fourth - 1) / 2 + 0.01 * (values.dtype.itemsize < 4):
        yield f"{entry.name}: its std is not that of {law}"


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _equal(one: torch.Tensor, two: torch.Tensor) -> bool:
    if one.shape != two.shape or one.dtype != two.dtype:
        return False
    return torch.equal(one, two) or bool(((one == two) | ((one != one) & (two != two))).all())
