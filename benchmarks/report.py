"""How results are written down: tables for the terminal and Markdown, and JSON."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from winit_cuda._command.console import markdown_table, text_table

from .cases import Fill, goal
from .measure import DISTURBED, IMPLAUSIBLE
from .tables import (
    SLOWER,
    by_isa,
    by_kind_of_layout,
    details,
    goals_line,
    isas_of,
    layouts_line,
    ratios,
    threads,
    threads_check,
    throughput,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from winit_cuda._core.backend import BackendInfo

    from .measure import Row, Timing

# From this number of rows on, the terminal shows one line for each initializer instead of all.
MANY_ROWS = 100


@dataclass(frozen=True)
class Report:
    """The rows of a run, with everything that is needed to judge them or to run them again."""

    preset: str
    command: str
    device: str
    all_threads: int
    complete: bool
    machine: dict[str, object]
    backend: BackendInfo
    rows: list[Row]


LEGEND = (
    "Times are medians of one call over the rounds of a case, ± the interquartile range. ratio: "
    "time of torch.nn.init / time of winit_cuda, the median over the rounds in which both took "
    "turns. of fill_: time of tensor.fill_(0.5) / time of winit_cuda, the part of the speed of "
    "memory that is reached. G/s: elements per nanosecond. of contiguous: time of winit_cuda / "
    "time of winit_cuda on a contiguous tensor of the same shape."
)


CHECK_LEGEND = (
    "A case counts as slower if its median with more threads is above the one with one thread by "
    f"more than {SLOWER - 1:.0%} and by more than both interquartile ranges together."
)


def notes(report: Report) -> list[str]:
    """What was left out, cut short or disturbed."""
    lines = []
    sides = [side for row in report.rows for side in (row.winit_cuda, row.torch, row.fill) if side]
    if any(side.capped for side in sides):
        lines.append("(n): slow enough that its time budget allowed only n rounds.")
    lines += dict.fromkeys(
        f"{row.case.name} {row.case.dtype}: {row.note}." for row in report.rows if row.note
    )
    lines += _cut(report)
    lines += _disturbances(report)
    if not report.complete:
        lines.append("INCOMPLETE: the run was interrupted.")
    return lines


def _cut(report: Report) -> list[str]:
    """The initializers that the preset measures up to a smaller size than others."""
    fills = [row.case for row in report.rows if isinstance(row.case, Fill)]
    largest = max((case.exponent for case in fills), default=0)
    return [
        f"{initializer.name}: at most {initializer.largest_shape}, --sizes goes further."
        for initializer in dict.fromkeys(case.initializer for case in fills)
        if initializer.largest < largest and report.preset != "targets"
    ]


def _disturbances(report: Report) -> list[str]:
    """What the load of the machine did to the times."""
    lines = []
    load = report.machine.get("load")
    if isinstance(load, float) and load > 0.5:
        lines.append(f"The machine was busy at the start (load {load:g}): times may be too high.")
    again = [row for row in report.rows if row.reruns]
    if again:
        lines.append(
            f"Measured again, because the spread was above {DISTURBED:.0%} or fill_ took over "
            f"{IMPLAUSIBLE:g} times as long; the calmest times are kept: {_counted(again)}."
        )
    still = [row for row in report.rows if row.disturbed]
    if still:
        lines.append(f"DISTURBED all the same, times and ratios may be wrong: {_counted(still)}.")
    return lines


def _counted(rows: list[Row]) -> str:
    """The cases by name while they are few, else their number; the JSON has them all."""
    if len(rows) > 5:
        return f"{len(rows)} cases"
    return ", ".join(f"{row.case.label} ({threads(row.case.threads)})" for row in rows)


def as_text(report: Report) -> str:
    """What the terminal shows: every case, or of a long run the ratios only."""
    facts = report.machine
    heading = f"winit_cuda {facts['winit_cuda']} and torch {facts['torch']} on {title(report)}"
    parts = [f"{heading}\n{backend(report)}"]
    if len(report.rows) <= MANY_ROWS:
        parts.append(details(report.rows, report.all_threads, text_table))
    else:
        parts.append("Ratio: time of torch.nn.init / time of winit_cuda, by number of elements.")
        parts += [f"{page}\n\n{table}" for page, table in ratios(report.rows, text_table)]
    parts.append(by_isa(report.rows, text_table))
    parts.append("\n".join([*textwrap.wrap(LEGEND, 96), *notes(report)]))
    parts.append(threads_check(report.rows, text_table))
    parts.append(by_kind_of_layout(report.rows, text_table))
    parts.append(layouts_line(report.rows))
    parts.append(goals_line(report.rows, report.all_threads))
    return "\n\n".join(part for part in parts if part)


FACTS = [
    "cpu",
    "cpu_family",
    "cores",
    "simd_flags",
    "torch_simd",
    "threads",
    "load",
    "cuda_devices",
    "cuda_driver",
    "platform",
    "python",
    "torch",
    "winit_cuda",
    "commit",
]


def as_markdown(report: Report) -> str:
    """The page that is kept under ``benchmarks/results``."""
    facts = report.machine
    parts = [
        f"# Fills on {title(report)}",
        f"Written by `{report.command}` on {facts['date']}.",
        "\n".join([*machine_lines(facts), f"- {backend(report)}"]),
        LEGEND,
        "\n".join(f"- {line}" for line in notes(report)),
    ]
    kinds = by_kind_of_layout(report.rows, markdown_table)
    if kinds:
        parts += ["## Time in times of the contiguous tensor, by kind of layout", kinds]
    check = threads_check(report.rows, markdown_table)
    if check:
        parts += ["## More threads against one", CHECK_LEGEND, check]
    side_by_side = by_isa(report.rows, markdown_table)
    if side_by_side:
        parts += ["## Ratio and time by instruction set of the core", side_by_side]
    if len(report.rows) > MANY_ROWS:
        for heading, tables in (
            ("## Throughput by number of elements, in G elements a second", throughput),
            ("## Ratio by number of elements", ratios),
        ):
            parts.append(heading)
            for subheading, table in tables(report.rows, markdown_table):
                parts += [f"### {subheading}", table]
        parts.append("## Every case")
    parts.append(details(report.rows, report.all_threads, markdown_table))
    parts.append(layouts_line(report.rows))
    parts.append(goals_line(report.rows, report.all_threads))
    return "\n\n".join(part for part in parts if part) + "\n"


def machine_lines(facts: Mapping[str, object]) -> list[str]:
    """What is known of the machine, as a list."""
    return [f"- {name}: {_fact(facts[name])}" for name in FACTS if facts.get(name)]


def _fact(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def backend(report: Report) -> str:
    """What winit_cuda fills with on the device of the report, and why."""
    info = report.backend
    use = next(use for use in info.devices if use.device.startswith(report.device))
    forced = ", ".join(filter(None, isas_of(report.rows)))
    simd = f" ({forced})" if forced else ""
    return f"winit_cuda on {use.device}: {use.backend}{simd}, {use.reason}"


def title(report: Report) -> str:
    """The machine in words: the GPU, or the processor and its threads."""
    if report.device == "cuda":
        devices = report.machine["cuda_devices"]
        return str(devices[0]) if isinstance(devices, list) and devices else "CUDA"
    return f"{report.machine['cpu']}, {threads(report.all_threads)}"


def file_stem(report: Report) -> str:
    """The name of the result files: device, machine, threads, preset, what is forced, and day."""
    name = title(report).partition(" (")[0].partition(",")[0]
    model = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    count = f"-{report.all_threads}t" if report.device == "cpu" else ""
    day = str(report.machine["date"])[:10]
    incomplete = "" if report.complete else "-incomplete"
    simd, forced, _ = str(report.machine.get("torch_simd", "")).lower().partition(" (forced)")
    preset = f"{report.preset}-torch-{simd.replace(' ', '-')}" if forced else report.preset
    return f"{report.device}-{model}{count}-{preset}-{day}{incomplete}"


def as_json(report: Report) -> str:
    """Everything as JSON."""
    head = {
        "preset": report.preset,
        "command": report.command,
        "device": report.device,
        "complete": report.complete,
        "machine": report.machine,
        "backend": asdict(report.backend),
    }
    return join_json(head, [_row_as_data(row, report.all_threads) for row in report.rows])


def join_json(head: Mapping[str, object], rows: Iterable[Mapping[str, object]]) -> str:
    """The head, then one row a line so that two runs can be compared with diff."""
    text = json.dumps(head, indent=1)
    lines = ",\n  ".join(map(json.dumps, rows))
    return f'{text[:-2]},\n "rows": [\n  {lines}\n ]\n}}\n'


def _row_as_data(row: Row, all_threads: int) -> dict[str, object]:
    case = row.case
    wanted = goal(case, all_threads)
    layout = {
        "contiguous": timing_as_data(row.contiguous),
        "of_contiguous": rounded(row.of_contiguous),
    }
    return {
        "initializer": case.name,
        "dtype": case.dtype,
        "shape": case.shape,
        "elements": case.numel,
        "threads": case.threads,
        "isa": case.isa,
        "winit_cuda": timing_as_data(row.winit_cuda),
        "torch": timing_as_data(row.torch),
        "fill": timing_as_data(row.fill),
        "ratio": rounded(row.ratio),
        "ratio_iqr": rounded(row.ratio_iqr),
        "fill_ratio": rounded(row.fill_ratio),
        "goal": asdict(wanted) if wanted else None,
        "reruns": row.reruns,
        "note": row.note,
        **(layout if row.contiguous else {}),
    }


def timing_as_data(timing: Timing | None) -> dict[str, object] | None:
    """Seconds; four digits are more than a measurement holds."""
    if timing is None:
        return None
    return {
        "median": rounded(timing.median),
        "iqr": rounded(timing.iqr),
        "rounds": timing.rounds,
        "capped": timing.capped,
    }


def rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
