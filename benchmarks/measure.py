"""How a case is measured: both sides and ``fill_`` in turns, with ``torch.utils.benchmark``.

All sides run in one process, on the same tensor, with the same number of threads. They take turns,
and a ratio is the median of the ratios of single rounds, so that a clock that slows down while a
case runs slows all sides down and leaves the ratio as it was. A case whose times scatter, because
other programs had the cores, is measured again.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch

from winit_cuda._command import machine

from .isa import forced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch.utils.benchmark import Timer

    from .cases import Case
    from .plans import Plan

Result = TypeVar("Result")

# The interquartile range, as a part of the median, from which on a case counts as disturbed. Calm
# runs stay below 0.05, only fill_ and other constants at the limit of memory come near.
DISTURBED = 0.15
# How many times as fast as fill_ a case may be before it counts as disturbed, too: where another
# program holds one core, each parallel fill_ waits for it, equally long every time. Zeros written
# past the caches reach 3.3.
IMPLAUSIBLE = 4.0


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median and interquartile range over rounds of several calls."""

    median: float
    iqr: float
    rounds: int
    capped: bool  # the time budget allowed fewer rounds than planned

    @property
    def spread(self) -> float:
        """The interquartile range as a part of the median."""
        return self.iqr / self.median


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
    reruns: int = 0  # how often it was measured again; these are the calmest times
    contiguous: Timing | None = None  # of a layout: a contiguous tensor of its shape
    of_contiguous: float | None = None  # winit_cuda / contiguous

    @property
    def spread(self) -> float:
        """The largest spread of its sides."""
        sides = (self.winit_cuda, self.torch, self.fill, self.contiguous)
        return max((side.spread for side in sides if side), default=0.0)

    @property
    def implausible(self) -> bool:
        """Whether it seems much faster than memory."""
        return self.fill_ratio is not None and self.fill_ratio > IMPLAUSIBLE

    @property
    def disturbed(self) -> bool:
        """Whether the times say that other programs had the cores."""
        return self.spread > DISTURBED or self.implausible


def measure(case: Case, plan: Plan) -> Row:
    """Measure one case as the plan says, again if it was disturbed, and keep the calmest times."""
    with forced(case.isa):
        calmest = _measure_once(case, plan)
        reruns = 0
        while calmest.disturbed and reruns < plan.reruns:
            reruns += 1
            again = _measure_once(case, plan)
            calmest = min(calmest, again, key=lambda row: (row.implausible, row.spread))
    return replace(calmest, reruns=reruns)


def _measure_once(case: Case, plan: Plan) -> Row:
    short_of = memory_missing(case)
    if short_of:
        return Row(case, None, None, None, None, None, None, short_of)
    reasons = _unsupported(case)
    calls = case.setup()
    timers = {side: _timer(calls[side], case.threads) for side in calls if side not in reasons}
    rounds = take_turns(timers, plan)
    timings = {side: timing_of(turns, len(turns) < plan.rounds) for side, turns in rounds.items()}
    ratios = ratios_of(rounds, "torch.nn.init")
    fill_ratios = ratios_of(rounds, "fill_")
    contiguous_ratios = ratios_of(rounds, "contiguous")
    return Row(
        case,
        timings.get("winit_cuda"),
        timings.get("torch.nn.init"),
        timings.get("fill_"),
        statistics.median(ratios) if ratios else None,
        _iqr(ratios) if ratios else None,
        statistics.median(fill_ratios) if fill_ratios else None,
        "; ".join(reasons.values()),
        contiguous=timings.get("contiguous"),
        of_contiguous=1 / statistics.median(contiguous_ratios) if contiguous_ratios else None,
    )


def _timer(call: Callable[[], object], threads: int) -> Timer:
    from torch.utils.benchmark import Timer  # with torch 2.4 it needs NumPy: not for `info`

    return Timer("call()", globals={"call": call}, num_threads=threads)


def _unsupported(case: Case) -> Mapping[str, str]:
    """Tries each side on a small case; for those that do not support it, the reason."""
    tried = {side: _error(call, case.threads) for side, call in case.small.setup().items()}
    return {side: f"{side} raises {error}" for side, error in tried.items() if error}


def _error(call: Callable[[], object], threads: int) -> str:
    try:
        _timer(call, threads).timeit(1)
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return type(error).__name__
    return ""


def memory_missing(case: Case) -> str:
    """Why the case does not fit into memory; torch.nn.init needs a few times the tensor."""
    available = machine.available_bytes() if case.device == "cpu" else torch.cuda.mem_get_info()[0]
    needed = 5 * case.bytes
    if available is None or needed < available:
        return ""
    return f"skipped: needs {needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free"


def take_turns(timers: Mapping[str, Timer], plan: Plan) -> dict[str, list[float]]:
    """Seconds of a call, for each side and round; a side over its budget drops out in the end."""
    rounds: dict[str, list[float]] = {side: [] for side in timers}
    spent = dict.fromkeys(timers, 0.0)
    calls: dict[str, int] = {}
    turns = list(timers.items())
    for number in range(plan.rounds):
        # Back and forth, so that no side always runs in the wake of the same other.
        for side, timer in reversed(turns) if number % 2 else turns:
            if spent[side] >= plan.budget and len(rounds[side]) >= plan.least_rounds:
                continue
            if side in calls:
                seconds = _time(timer, calls[side])
            else:
                calls[side], seconds = _first_turn(timer, plan.seconds_per_round)
            rounds[side].append(seconds)
            # A single call comes with one that warms up.
            spent[side] += seconds * max(calls[side], 2)
    return rounds


def _first_turn(timer: Timer, seconds_per_round: float) -> tuple[int, float]:
    """How many calls fill a round, at least one, and the seconds of a call."""
    estimate = timer.blocked_autorange(min_run_time=seconds_per_round / 5).median
    calls = max(1, int(seconds_per_round / estimate))
    return calls, estimate if calls == 1 else _time(timer, calls)


def _time(timer: Timer, calls: int) -> float:
    """Seconds of a call, the mean of so many in a row."""
    if calls == 1:  # timeit warms up with two calls, this with one
        return timer.blocked_autorange(min_run_time=0.0).median
    return timer.timeit(calls).median


def timing_of(turns: list[float], capped: bool) -> Timing:
    return Timing(statistics.median(turns), _iqr(turns), len(turns), capped)


def _iqr(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first


def ratios_of(rounds: Mapping[str, list[float]], side: str) -> list[float]:
    pairs = zip(rounds.get(side, []), rounds.get("winit_cuda", []), strict=False)
    return [theirs / ours for theirs, ours in pairs]


def measure_all(
    plan: Plan, measure_one: Callable[[Case, Plan], Result], begin: Callable[[Case], None]
) -> tuple[list[Result], bool]:
    """All rows of the plan, and whether it came to its end; Ctrl-C keeps what was measured."""
    rows: list[Result] = []
    try:
        for case in plan.cases:
            begin(case)
            rows.append(measure_one(case, plan))
    except KeyboardInterrupt:
        return rows, False
    return rows, True
