"""How a case is measured: both sides and ``fill_`` in turns, with ``torch.utils.benchmark``.

All sides run in one process, on the same tensor, with the same number of threads. They take turns,
and a ratio is the median of the ratios of single rounds, so that a clock that slows down while a
case runs slows all sides down and leaves the ratio as it was.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import torch

import winit_cuda
from winit_cuda import machine

from .cases import DTYPES, Case, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.utils.benchmark import Timer

SIDES = ("winit_cuda", "torch.nn.init", "fill_")


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median, interquartile range and how many runs they come from."""

    median: float
    iqr: float
    runs: int
    capped: bool  # the time budget allowed fewer runs than rounds


@dataclass(frozen=True)
class Row:
    """The result of a case; a side is None where it cannot do the case, and ``note`` says why."""

    case: Case
    winit_cuda: Timing | None
    torch: Timing | None
    fill: Timing | None
    ratio: float | None  # torch.nn.init / winit_cuda
    ratio_iqr: float | None
    fill_ratio: float | None  # fill_ / winit_cuda: the part of the speed of memory that is reached
    note: str


def measure(case: Case, plan: Plan) -> Row:
    """Measure one case as the plan says."""
    short_of = _memory_missing(case)
    if short_of:
        return Row(case, None, None, None, None, None, None, short_of)
    timers, notes = {}, []
    tensor = torch.empty(case.shape, dtype=DTYPES[case.dtype], device=case.device)
    for side in SIDES:
        reason = _why_not(side, case)
        if reason:
            notes.append(reason)
        else:
            timers[side] = _timer(side, case, tensor)
    rounds = _take_turns(timers, plan)
    timings = {side: _timing(turns, len(turns) < plan.rounds) for side, turns in rounds.items()}
    ratios = _ratios(rounds, "torch.nn.init")
    fill_ratios = _ratios(rounds, "fill_")
    return Row(
        case,
        timings.get("winit_cuda"),
        timings.get("torch.nn.init"),
        timings.get("fill_"),
        statistics.median(ratios) if ratios else None,
        _iqr(ratios) if ratios else None,
        statistics.median(fill_ratios) if fill_ratios else None,
        "; ".join(notes),
    )


def _statement(side: str, case: Case) -> str:
    return "tensor.fill_(0.5)" if side == "fill_" else case.initializer.statement


def _timer(side: str, case: Case, tensor: torch.Tensor) -> Timer:
    from torch.utils.benchmark import Timer  # with torch 2.4 it needs NumPy: not for `info`

    init = torch.nn.init if side == "torch.nn.init" else winit_cuda
    return Timer(
        _statement(side, case),
        globals={"init": init, "tensor": tensor},
        num_threads=case.threads,
    )


def _why_not(side: str, case: Case) -> str:
    """Tries the call on a small tensor; the reason where it is not supported, else nothing."""
    small = replace(case, exponent=4)
    tensor = torch.empty(small.shape, dtype=DTYPES[case.dtype], device=case.device)
    try:
        _timer(side, small, tensor).timeit(1)
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return f"{side} raises {type(error).__name__}"
    return ""


def _memory_missing(case: Case) -> str:
    """Why the case does not fit into memory; torch.nn.init needs a few times the tensor."""
    available = machine.available_bytes() if case.device == "cpu" else torch.cuda.mem_get_info()[0]
    needed = 5 * case.bytes
    if available is None or needed < available:
        return ""
    return f"skipped: needs {needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free"


def _take_turns(timers: dict[str, Timer], plan: Plan) -> dict[str, list[list[float]]]:
    """Seconds of single runs for each side and round; a side over its budget drops out."""
    rounds: dict[str, list[list[float]]] = {side: [] for side in timers}
    spent = dict.fromkeys(timers, 0.0)
    turns = list(timers.items())
    for number in range(plan.rounds):
        # Back and forth, so that no side always runs in the wake of the same other.
        for side, timer in reversed(turns) if number % 2 else turns:
            if spent[side] < plan.budget:
                measured = timer.blocked_autorange(min_run_time=plan.seconds_per_round)
                rounds[side].append(measured.times)
                # Half of the work is finding the block size, which warms up the caches.
                spent[side] += 2 * sum(measured.raw_times)
    return rounds


def _timing(turns: list[list[float]], capped: bool) -> Timing:
    times = list(chain.from_iterable(turns))
    return Timing(statistics.median(times), _iqr(times), len(times), capped)


def _iqr(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first


def _ratios(rounds: dict[str, list[list[float]]], side: str) -> list[float]:
    pairs = zip(rounds.get(side, []), rounds.get("winit_cuda", []), strict=False)
    return [statistics.median(theirs) / statistics.median(ours) for theirs, ours in pairs]


def measure_all(plan: Plan, begin: Callable[[Case], None]) -> tuple[list[Row], bool]:
    """All rows of the plan, and whether it came to its end; Ctrl-C keeps what was measured."""
    rows = []
    try:
        for case in plan.cases:
            begin(case)
            rows.append(measure(case, plan))
    except KeyboardInterrupt:
        return rows, False
    return rows, True
