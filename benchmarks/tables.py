"""The tables of the results: every case, ratios and throughput by size, one thread against more."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from winit_cuda._command.console import format_ratio, format_seconds, format_significant

from .cases import elements, goal
from .layouts import MOST, LayoutFill

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .cases import Case
    from .goals import Goal
    from .measure import Row, Timing

Table = Callable[[Sequence[str], Sequence[Sequence[str]], str], str]
Titled = list[tuple[str, str]]
_Column = tuple[str, int, str]  # a dtype, a number of threads and an instruction set

# How much longer than with one thread a call may take with more of them before it counts as
# slower: two measurements of the same code differ by about that much.
SLOWER = 1.03


def threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def details(rows: Sequence[Row], all_threads: int, table: Table) -> str:
    """One line for each case: both times with their spread, the ratios, the goal."""
    measured = [(row, row.winit_cuda) for row in rows if row.winit_cuda is not None]
    goals = [goal(row.case, all_threads) for row, _ in measured]
    several = len(isas_of(rows)) > 1
    header = ["initializer", "dtype", "shape", "threads", *["isa"] * several]
    header += ["winit_cuda", "torch.nn.init", "ratio"]
    has_layouts = any(row.of_contiguous for row, _ in measured)
    header += ["of fill_", "G/s"] + ["of contiguous"] * has_layouts + ["goal"] * any(goals)
    lines = []
    for (row, ours), wanted in zip(measured, goals, strict=True):
        case = row.case
        line = [
            case.name,
            case.dtype,
            case.size,
            str(case.threads),
            *[case.isa] * several,
            format_timing(ours),
            format_timing(row.torch),
        ]
        line += [
            format_ratio(row.ratio) if row.ratio else "-",
            f"{row.fill_ratio:.2f}" if row.fill_ratio else "-",
            format_significant(case.numel / ours.median / 1e9),
        ]
        line += [f"{row.of_contiguous:.2f}" if row.of_contiguous else "-"] * has_layouts
        lines.append(line + [format_outcomes(row, wanted)] * any(goals))
    return table(header, lines, "lllr" + "l" * several + "r" * (5 + has_layouts) + "l" * any(goals))


def isas_of(rows: Iterable[Row]) -> list[str]:
    """The instruction sets that were measured, in their order."""
    return list(dict.fromkeys(row.case.isa for row in rows))


def by_isa(rows: Sequence[Row], table: Table) -> str:
    """One line for each case, one column for each instruction set; nothing where there is one."""
    isas = isas_of(rows)
    if len(isas) < 2:
        return ""
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        if row.ratio and row.winit_cuda:
            case = row.case
            line = lines.setdefault((case.name, case.dtype, case.size, str(case.threads)), {})
            line[case.isa] = f"{format_ratio(row.ratio)}, {format_seconds(row.winit_cuda.median)}"
    header = ["initializer", "dtype", "shape", "threads", *isas]
    cells = [[*what, *(line.get(isa, "-") for isa in isas)] for what, line in lines.items()]
    return table(header, cells, "lllr" + "r" * len(isas))


def format_timing(timing: Timing | None) -> str:
    """Median and spread: the interquartile range in percent of the median."""
    if timing is None:
        return "-"
    spread = f" ±{timing.spread:.0%}" if timing.rounds > 1 else ""
    return format_seconds(timing.median) + spread + (f" ({timing.rounds})" if timing.capped else "")


@dataclass(frozen=True)
class Outcome:
    """One number that a goal asks for, and what was measured."""

    wanted: str
    measured: str
    reached: bool

    def __str__(self) -> str:
        return f"{self.wanted} {'reached' if self.reached else 'MISSED'}"


class Judged(Protocol):
    """What a goal is held against."""

    @property
    def ratio(self) -> float | None: ...

    @property
    def fill_ratio(self) -> float | None: ...


def outcomes(row: Judged, wanted: Goal | None) -> list[Outcome]:
    """The numbers of a goal against those of a row; what was not measured is missed."""
    if wanted is None:
        return []
    ratio, part = row.ratio or 0.0, row.fill_ratio or 0.0
    found = [Outcome(f"{wanted.ratio:g}x", format_ratio(ratio), ratio >= wanted.ratio)]
    if wanted.of_fill is not None:
        goal_part = f"{wanted.of_fill:.2f} of fill_"
        found.append(Outcome(goal_part, f"{part:.3f} of fill_", part >= wanted.of_fill))
    return found


def format_outcomes(row: Judged, wanted: Goal | None) -> str:
    return ", ".join(map(str, outcomes(row, wanted)))


def goals_line(rows: Iterable[Row], all_threads: int) -> str:
    """How many goals were reached, and which were not; nothing where none is set."""
    judged = [
        (row.case, outcome)
        for row in rows
        for outcome in outcomes(row, goal(row.case, all_threads))
    ]
    missed = [
        f"{case.label} {outcome.measured}, goal {outcome.wanted}"
        for case, outcome in judged
        if not outcome.reached
    ]
    if not judged:
        return ""
    reached = f"Goals: {len(judged) - len(missed)} of {len(judged)} reached"
    return f"{reached}; missed: {'; '.join(missed)}." if missed else f"{reached}."


def by_kind_of_layout(rows: Sequence[Row], table: Table) -> str:
    """For each kind of layout the median and the longest time, in times of the contiguous one."""
    kinds: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.of_contiguous and isinstance(row.case, LayoutFill):
            times = kinds.setdefault(row.case.kind, {})
            times.setdefault(row.case.isa, []).append(row.of_contiguous)
    if not kinds:
        return ""
    isas = isas_of(rows)
    header = ["layouts", "cases", *(f"{isa} median, longest".strip() for isa in isas)]
    lines = []
    for kind, times in kinds.items():
        found = [times.get(isa) for isa in isas]
        cells = [
            f"{statistics.median(each):.2f}, {max(each):.2f}" if each else "-" for each in found
        ]
        lines.append([kind, str(max(map(len, times.values()))), *cells])
    return table(header, lines, "lr" + "r" * len(isas))


def layouts_line(rows: Iterable[Row]) -> str:
    """Which layouts take longer than they may; nothing where none was measured."""
    compared = [(row.case, row.of_contiguous) for row in rows if row.of_contiguous]
    if not compared:
        return ""
    slow = [
        f"{case.label} ({threads(case.threads)}) {times:.2f}"
        for case, times in sorted(compared, key=lambda each: -each[1])
        if times > MOST
    ]
    kept = f"At most {MOST:g} times the contiguous time: {len(compared) - len(slow)}"
    return f"{kept} of {len(compared)} layouts{'; longer: ' + '; '.join(slow) if slow else ''}."


def ratios(rows: Iterable[Row], table: Table) -> Titled:
    """For each dtype and number of threads a title and a table: initializers by sizes."""
    pages: dict[_Column, dict[tuple[str, int], float]] = {}
    for row in rows:
        if row.ratio is not None:
            page = pages.setdefault(_column(row.case), {})
            page[row.case.name, row.case.numel] = row.ratio
    titled = []
    for column, page in sorted(pages.items(), key=lambda each: each[0][1]):
        sizes = sorted({numel for _, numel in page})
        lines = [
            [name, *(_cell(page.get((name, numel))) for numel in sizes)]
            for name in dict.fromkeys(name for name, _ in page)
        ]
        header = ["elements", *map(elements, sizes)]
        titled.append((_title(column), table(header, lines, "l" + "r" * len(sizes))))
    return titled


def throughput(rows: Sequence[Row], table: Table) -> Titled:
    """G elements a second for ``fill_`` and each initializer: sizes by dtypes and threads."""
    pages: dict[str, dict[tuple[int, _Column], float]] = {"fill_": _fill_throughput(rows)}
    for row in rows:
        case = row.case
        if row.winit_cuda is not None:
            page = pages.setdefault(case.name, {})
            page[case.numel, _column(case)] = case.numel / row.winit_cuda.median / 1e9
    return [(name, _by_size(page, table)) for name, page in pages.items() if page]


def _fill_throughput(rows: Iterable[Row]) -> dict[tuple[int, _Column], float]:
    """The limit of memory; every initializer was measured next to it."""
    seconds: dict[tuple[int, _Column], list[float]] = {}
    for row in rows:
        if row.fill is not None:
            key = row.case.numel, _column(row.case)
            seconds.setdefault(key, []).append(row.fill.median)
    return {key: key[0] / statistics.median(each) / 1e9 for key, each in seconds.items()}


def _by_size(page: Mapping[tuple[int, _Column], float], table: Table) -> str:
    columns = list(dict.fromkeys(column for _, column in page))
    header = ["elements", *map(_title, columns)]
    lines = [
        [elements(numel), *(_cell(page.get((numel, column))) for column in columns)]
        for numel in sorted({numel for numel, _ in page})
    ]
    return table(header, lines, "r" * len(header))


def _column(case: Case) -> _Column:
    return case.dtype, case.threads, case.isa


def _title(column: _Column) -> str:
    dtype, count, isa = column
    return ", ".join(filter(None, (dtype, threads(count), isa)))


def _cell(value: float | None) -> str:
    return format_significant(value) if value else "-"


@dataclass(frozen=True)
class Pair:
    """The same case with one thread and with more."""

    one: Row
    more: Row

    @property
    def ratio(self) -> float:
        """Above 1: more threads take longer."""
        one, more = self._timings
        return more.median / one.median

    @property
    def slower(self) -> bool:
        """Whether more threads take longer, by more than both scatter together."""
        one, more = self._timings
        return self.ratio > SLOWER and more.median - one.median > one.iqr + more.iqr

    @property
    def _timings(self) -> tuple[Timing, Timing]:
        assert self.one.winit_cuda is not None
        assert self.more.winit_cuda is not None
        return self.one.winit_cuda, self.more.winit_cuda

    @property
    def line(self) -> list[str]:
        case = self.more.case
        times = [format_timing(timing) for timing in self._timings]
        what = [case.name, case.dtype, case.size, str(case.threads), case.isa]
        return [*what, *times, f"{self.ratio:.2f}x"]


def pairs(rows: Iterable[Row]) -> list[Pair]:
    """Every case that was measured with one thread and with more."""
    measured = [row for row in rows if row.winit_cuda is not None]
    alone = {
        (row.case.name, row.case.dtype, row.case.shape, row.case.isa): row
        for row in measured
        if row.case.threads == 1
    }
    found = []
    for row in measured:
        one = alone.get((row.case.name, row.case.dtype, row.case.shape, row.case.isa))
        if one is not None and row.case.threads > 1:
            found.append(Pair(one, row))
    return found


def threads_check(rows: Iterable[Row], table: Table) -> str:
    """Which cases more threads make slower; nothing where no case was measured with both."""
    compared = pairs(rows)
    if not compared:
        return ""
    slower = sorted((pair for pair in compared if pair.slower), key=lambda pair: -pair.ratio)
    line = f"Slower with more threads than with one: {len(slower)} of {len(compared)} cases."
    header = ["initializer", "dtype", "shape", "threads", "isa"]
    header += ["one thread", "with threads", "time"]
    lines = [pair.line for pair in slower]
    return f"{line}\n\n{table(header, lines, 'lllrlrrr')}" if slower else line
