"""The report on a model: its parameters against a plan, and a batch through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .._core.checks import wrong
from .._distributed.fsdp import reshard
from .._model.expectation import Expectation, expectation, planned_histogram
from .._model.plan import Plan
from .._model.slots import Slot, slots
from .._model.table import in_words
from .activity import Activity, activity_of, is_dead, is_saturated
from .duplicates import equal_tensors, repeated_keys, same_values
from .findings import Finding, Scores, against_law, facts, limit_of, scores_of, without_law
from .model_report import ModelReport
from .random_batch import random_batch
from .report_data import ParameterReport
from .stored import check_values
from .tensor_statistics import Statistics, has_numbers, statistics_of

if TYPE_CHECKING:
    from .._model.entries import Entry

_FUNCTION = "report"


def report(model: nn.Module, plan: Plan | None = None, batch: Any = None) -> ModelReport:
    """Return what the parameters of a model are like, and what is odd about them.

    Of each parameter the smallest and largest value, mean, standard deviation and a histogram; of
    a DTensor, those of the whole tensor, on every rank, which all must call this. Sums are in
    float64 over tiles, so that no tensor is copied.

    With a plan, mean m and standard deviation s of n elements are tested against the mean M and
    standard deviation S of their law, whose fourth central moment is F:

        z = (m - M) / (S / sqrt(n)),   z = (s^2 - S^2) / sqrt((F - S^4) / n)

    The second is corrected for the skewness of small samples. The histogram is tested, too, by
    Pearson's chi-square, where one law gives all elements. Of a model that is as planned, one
    report in 1,000 has a false alarm, however many parameters there are. Other findings are values
    that are not finite, constants where draws were planned and the reverse, values beyond the
    law's bounds, parameters with the same values that are not tied, keys that the plan gives out
    twice, and names that only one side has. Without a plan there are only facts.

    With a batch, the model runs once forward, in the mode that it is in, and once backward, and is
    left as it was. What comes out of each layer, and the gradient there, is measured, and units
    of ReLU that are 0 for the whole batch and saturated values of tanh and sigmoid are counted.

    Args:
        model: A model with real parameters, dense and not complex.
        plan: What its parameters are to have, as `winit_cuda.plan` makes it.
        batch: What to call the model with: a tensor, a tuple of positional arguments or a dict of
            named ones; "random" for token ids or standard normal numbers, as the first layer or
            the config of a model of transformers says. In a model of DTensors each rank has its own
            batch, and its own activations.

    Raises:
        TypeError: `model` is not a Module or `plan` not a Plan, or a parameter is sparse or
            complex.
        ValueError: "random" knows no layer of the model.
        RuntimeError: A parameter is on meta, fake or lazy, or the model fails on the batch.

    Example:
        >>> import torch, winit_cuda as winit
        >>> def factory():
        ...     return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 8))
        >>> model, plan = winit.build(factory, seed=0), winit.plan(factory)
        >>> winit.report(model, plan).ok
        True
        >>> torch.nn.init.normal_(model[0].weight).shape
        torch.Size([64, 64])
        >>> [row.name for row in winit.report(model, plan).worst_first if row.findings]
        ['0.weight']

    Paper:
        E. B. Wilson & M. M. Hilferty, "The distribution of chi-square", Proceedings of the National
        Academy of Sciences 17, 1931.
    """
    if not isinstance(model, nn.Module):
        raise wrong(_FUNCTION, "model", "a torch.nn.Module", model, TypeError)
    if plan is not None and not isinstance(plan, Plan):
        raise wrong(_FUNCTION, "plan", "a winit_cuda.Plan", plan, TypeError)
    reshard(model.modules())
    by_name = {name: entry for entry in plan or () for name in (entry.name, *entry.aliases)}
    found = slots(model, by_name.__contains__)
    for slot in found:
        _check(slot)
    entries = [_entry(slot, by_name) for slot in found]
    fitting = [
        entry if entry is not None and entry.shape == tuple(slot.tensor.shape) else None
        for slot, entry in zip(found, entries, strict=True)
    ]
    expected = [None if entry is None else expectation(entry) for entry in fitting]
    centers = [0.0 if each is None else each.mean for each in expected]
    statistics = statistics_of([slot.tensor for slot in found], centers)
    planned = [_planned(*each) for each in zip(fitting, statistics, strict=True)]
    scores = [
        Scores() if each is None else scores_of(own, each, law, slot.tensor.dtype)
        for slot, own, each, law in zip(found, statistics, expected, planned, strict=True)
    ]
    limit = limit_of(sum(each.count for each in scores))
    findings = [
        _own_findings(*each, limit=limit)
        for each in zip(found, statistics, expected, scores, entries, strict=True)
    ]
    _compare(found, statistics, entries, findings)
    if plan is not None:
        repeated = repeated_keys(plan)
        for entry, own in zip(entries, findings, strict=True):
            own += repeated.get(entry.name, []) if entry else []
    rows = [
        _row(*each)
        for each in zip(
            found, statistics, entries, expected, planned, scores, findings, strict=True
        )
    ]
    activity = None if batch is None else _activity(model, batch)
    whole = [] if plan is None else _only_in_plan(plan, entries)
    whole += [] if activity is None else _of_activity(activity)
    title = type(model).__name__
    return ModelReport(title, tuple(rows), tuple(whole), activity, plan is not None, limit)


def _check(slot: Slot) -> None:
    """Raise where a parameter has no values, or none that have statistics."""
    tensor = slot.tensor
    check_values(_FUNCTION, slot.name, tensor)
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        kind = "complex" if tensor.is_complex() else f"{tensor.dtype}, {tensor.layout}"
        raise TypeError(f"{_FUNCTION}: {slot.name} must be dense and real, got {kind}")
    if not has_numbers(tensor.dtype):
        raise TypeError(f"{_FUNCTION}: torch computes nothing of {slot.name}, of {tensor.dtype}")


def _entry(slot: Slot, by_name: dict[str, Entry]) -> Entry | None:
    names = (slot.name, *slot.aliases)
    return next((by_name[name] for name in names if name in by_name), None)


def _planned(entry: Entry | None, own: Statistics) -> list[float]:
    """What the law of an entry expects in the bins."""
    return [] if entry is None else planned_histogram(entry, own.histogram, own.low, own.high)


def _own_findings(
    slot: Slot,
    statistics: Statistics,
    expected: Expectation | None,
    scores: Scores,
    entry: Entry | None,
    limit: float,
) -> list[Finding]:
    """What is odd about a parameter by itself."""
    tensor = slot.tensor
    findings = facts(statistics)
    if expected is not None:
        return findings + against_law(statistics, expected, scores, limit, tensor.dtype)
    shape = tuple(tensor.shape)
    if entry is not None and entry.shape != shape:
        findings.append(Finding("shape", f"shape {shape}, planned {entry.shape}"))
    elif entry is None or entry.program is None:
        findings += without_law(statistics, shape)
    return findings


def _compare(
    found: list[Slot],
    statistics: list[Statistics],
    entries: list[Entry | None],
    findings: list[list[Finding]],
) -> None:
    """Add what parameters have in common that are not tied."""
    index = {slot.name: i for i, slot in enumerate(found)}
    tensors = {slot.name: slot.tensor.detach() for slot in found}
    own = {slot.name: each for slot, each in zip(found, statistics, strict=True)}
    for name, first in equal_tensors(tensors, own).items():
        i, j = index[name], index[first]
        findings[i] += same_values(first, (entries[i], entries[j]))


def _row(
    slot: Slot,
    statistics: Statistics,
    entry: Entry | None,
    expected: Expectation | None,
    planned: list[float],
    scores: Scores,
    findings: list[Finding],
) -> ParameterReport:
    return ParameterReport(
        slot.name,
        tuple(slot.tensor.shape),
        str(slot.tensor.dtype).removeprefix("torch."),
        "" if entry is None else in_words(entry),
        statistics,
        expected,
        tuple(planned),
        scores,
        tuple(sorted(findings, key=lambda finding: finding.severity != "wrong")),
    )


def _only_in_plan(plan: Plan, entries: list[Entry | None]) -> list[Finding]:
    """Names of one side, about the model as a whole."""
    seen = {entry.name for entry in entries if entry is not None}
    missing = [entry.name for entry in plan if not entry.is_buffer and entry.name not in seen]
    found = [Finding("only in the plan", name, "odd") for name in missing]
    count = sum(entry is None for entry in entries)
    if count and count == len(entries):
        text = "no parameter of the model is in the plan: nothing was compared"
        found.append(Finding("not in the plan", text))
    elif count:
        text = f"{count:,} parameters of the model are not in the plan"
        found.append(Finding("not in the plan", text, "odd"))
    return found


def _activity(model: nn.Module, batch: Any) -> Activity:
    given = batch
    if isinstance(batch, str):
        if batch != "random":
            raise wrong(_FUNCTION, "batch", "a tensor, a tuple, a dict or 'random'", batch)
        given = random_batch(model)
    try:
        return activity_of(model, given)
    except Exception as error:
        described = f"{type(error).__name__}: {error}"
        raise RuntimeError(f"{_FUNCTION}: the model fails on the batch: {described}") from error
    finally:
        reshard(model.modules())


def _of_activity(activity: Activity) -> list[Finding]:
    """What is odd about what the batch did."""
    found = []
    for layer in activity.layers:
        if not layer.is_finite:
            text = f"{layer.name} returns values that are not finite"
            found.append(Finding("activations", text))
            break  # what comes after it has them, too
    for seen in activity.nonlinearities:
        if is_dead(seen):
            share = f"{seen.dead:,} of {seen.units:,} units are 0 for the whole batch"
            found.append(Finding("dead units", f"{seen.name}: {share}", "odd"))
        if is_saturated(seen):
            text = f"{seen.name}: {seen.saturated:.0%} of the values of {seen.function}"
            found.append(Finding("saturated", text, "odd"))
    return found
