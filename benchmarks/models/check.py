"""One constructor: what a plan reads of it, held against a build by torch's own generator.

The log of the constructor, run again by torch's generator, must give the build bit for bit, and an
instance that the plan fills must have the build's distributions and constants.
"""

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
from winit_cuda._model.slots import buffer_slots, slots
from winit_cuda._model.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    Factory = Callable[[], nn.Module]

# Samples of fewer elements say little of a law.
_FEWEST = 1000
# How many standard errors a sample's mean and std may be off: of 10^5 tensors none is.
_LIMIT = 7.0
# Of larger tensors every n-th element is compared.
_MOST = 100_000
# The distance of Kolmogorov and Smirnov between two samples of n is below this / sqrt(n), but for
# one test in 10^8, whatever n is: by Wei and Dudley, e exp(-limit^2) bounds the chance of more.
KS_LIMIT = math.sqrt(1 + 8 * math.log(10))


def planned(factory: Factory) -> tuple[winit.Plan, dict[str, Any]]:
    """The plan, with how many entries there are of each kind, and the time."""
    start = time.perf_counter()
    plan = winit.plan(factory)
    seconds = time.perf_counter() - start
    found: dict[str, Any] = {"seconds": round(seconds, 3), "tensors": len(plan)}
    found["elements"] = sum(math.prod(e.shape) for e in plan if not e.is_buffer)
    for what in (False, True):
        kinds = Counter(entry.kind for entry in plan if entry.is_buffer == what)
        found["buffers" if what else "parameters"] = dict(kinds)
    unset = [entry for entry in plan if not entry.is_planned and 0 not in entry.shape]
    found["unset"] = [f"{entry.name}: {entry.note}" for entry in unset][:5]
    return plan, found


def compared(factory: Factory, plan: winit.Plan) -> dict[str, Any]:
    """What differs between a build, the log run again, and an instance that the plan fills."""
    torch.manual_seed(7)
    start = time.perf_counter()
    model = factory()
    seconds = time.perf_counter() - start
    by_name = {name: entry for entry in plan for name in (entry.name, *entry.aliases)}
    real = {name: tensor.clone() for name, tensor in _slots(model, by_name)}
    found = [*_of_replay(factory, dict(_tensors(model))), *_of_laws(plan, real)]
    instance = _without_values(factory, model)
    report = plan.run(instance, seed=7)
    found += [f"{name}: not filled" for name in report.without_law]
    distances = [0.0]
    for name, filled in _slots(instance, by_name):
        entry = by_name.get(name)
        if entry is None or not entry.is_planned:
            continue  # an empty buffer of a plain build
        for box, is_random in _boxes(entry):
            one, two = filled[box], real[entry.name][box]
            if is_random:
                distances.append(distance(one, two))
                if distances[-1] > KS_LIMIT:
                    found.append(f"{name}: filled by another distribution than a build")
            elif not _equal(one, two):
                found.append(f"{name}: filled with other values than a build")
    return {
        "different": found[:5],
        "ks_tests": len(distances) - 1,
        "ks_largest": round(max(distances), 2),
        "build_seconds": round(seconds, 3),
    }


def distance(one: torch.Tensor, two: torch.Tensor) -> float:
    """The largest distance of two samples' distribution functions, times sqrt(n)."""
    step = max(1, one.numel() // _MOST)
    samples = [each.flatten()[::step].double().sort().values for each in (one, two)]
    points = torch.cat(samples)
    ranks = [torch.searchsorted(sample, points, right=True) for sample in samples]
    n = len(samples[0])
    return float((ranks[0] - ranks[1]).abs().max()) / n * math.sqrt(n) if n else 0.0


def _boxes(entry: winit.Entry) -> Iterator[tuple[tuple[slice, ...], bool]]:
    """The whole and each piece, with whether another seed gives other values there."""
    randoms = []
    for piece in entry.pieces:
        steps = zip(piece.offsets, piece.sizes, strict=True)
        randoms.append(piece.initializer.law(piece.sizes).fill.is_random)
        yield tuple(slice(offset, offset + size) for offset, size in steps), randoms[-1]
    if entry.program is not None:
        randoms.append(bool(entry.program.keys))
    elif entry.initializer is not None:
        randoms.append(entry.initializer.law(entry.shape).fill.is_random)
    yield (), any(randoms)


def _slots(model: nn.Module, names: Container[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers by the names of a plan, those of parametrized weights included."""
    for slot in [*slots(model, names.__contains__), *buffer_slots(model)]:
        yield slot.name, slot.tensor.detach()


def _without_values(factory: Factory, model: nn.Module) -> nn.Module:
    """An instance for a plan to fill, made on meta; where that fails, the model, overwritten."""
    try:
        with torch.device("meta"):
            instance = factory()
        instance.to_empty(device="cpu")
    except Exception:
        instance = model
    with torch.no_grad():
        for _, tensor in _tensors(instance):
            tensor.fill_(77)
    return instance


def _of_replay(factory: Factory, real: dict[str, torch.Tensor]) -> Iterator[str]:
    """Where the log, run again by torch's generator, is not the build."""
    with trace(factory) as (model, tracer):
        views = {name: tracer.known(tensor) for name, tensor in _tensors(model)}
    torch.manual_seed(7)
    memory = replay.played(tracer.log.nbytes, tracer.log.steps)
    for name, view in views.items():
        if view is None or not _equal(memory.tensor(view), real[name]):
            yield f"{name}: not equal in a replay"


def _of_laws(plan: winit.Plan, real: dict[str, torch.Tensor]) -> Iterator[str]:
    """Where the law of an entry, or that it is a copy, is not what the build has."""
    for entry in plan:
        if entry.name not in real or entry.initializer is None or entry.pieces:
            continue  # parametrized, or computed
        one = real[entry.name]
        yield from _of_law(entry, one)
        other = real.get(entry.key_name)
        is_same = other is not None and plan[entry.key_name].initializer == entry.initializer
        if is_same and not _equal(one, real[entry.key_name]):
            yield f"{entry.name}: no copy of {entry.key_name}"


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
