"""How results are written down: tables for the terminal and Markdown, and JSON."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from winit_cuda.console import (
    format_ratio,
    format_seconds,
    format_significant,
    markdown_table,
    text_table,
)

from .cases import goal

if TYPE_CHECKING:
    from winit_cuda.backend import BackendInfo

    from .measure import Row, Timing

# From this number of rows on, the terminal shows one line for each initializer instead of all.
MANY_ROWS = 100

Table = Callable[[Sequence[str], Sequence[Sequence[str]], str], str]


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


def details(report: Report, table: Table) -> str:
    """One line for each case: both times with their spread, the ratios, the goal."""
    measured = [row for row in report.rows if row.winit_cuda is not None]
    goals = [goal(row.case, report.all_threads) for row in measured]
    header = ["initializer", "dtype", "shape", "threads", "winit_cuda", "torch.nn.init", "ratio"]
    header += ["of fill_", "G/s"] + ["goal"] * any(goals)
    rows = []
    for row, wanted in zip(measured, goals, strict=True):
        case = row.case
        line = [case.initializer.name, case.dtype, "x".join(map(str, case.shape))]
        line += [str(case.threads), _time(row.winit_cuda), _time(row.torch)]
        line += [
            format_ratio(row.ratio) if row.ratio else "-",
            f"{row.fill_ratio:.2f}" if row.fill_ratio else "-",
            format_significant(case.numel / row.winit_cuda.median / 1e9) if row.winit_cuda else "-",
        ]
        rows.append(line + [_goal(row.ratio, wanted)] * any(goals))
    return table(header, rows, "lll" + "r" * 6 + "l" * any(goals))


def _time(timing: Timing | None) -> str:
    """Median and spread: the interquartile range in percent of the median."""
    if timing is None:
        return "-"
    spread = f" ±{timing.iqr / timing.median:.0%}" if timing.runs > 1 else ""
    return format_seconds(timing.median) + spread + (f" ({timing.runs})" if timing.capped else "")


def _goal(ratio: float | None, wanted: float | None) -> str:
    if wanted is None:
        return ""
    return f"{wanted:g}x {'reached' if ratio is not None and ratio >= wanted else 'MISSED'}"


def overview(report: Report, table: Table) -> list[tuple[str, str]]:
    """For each dtype and number of threads a title and a table: initializers by sizes."""
    ratios: dict[tuple[str, int], dict[tuple[str, int], float]] = {}
    for row in report.rows:
        if row.ratio is not None:
            page = ratios.setdefault((row.case.dtype, row.case.threads), {})
            page[row.case.initializer.name, row.case.exponent] = row.ratio
    titled = []
    for (dtype, threads), page in ratios.items():
        exponents = sorted({exponent for _, exponent in page})
        rows = [
            [name, *(_cell(page.get((name, exponent))) for exponent in exponents)]
            for name in dict.fromkeys(name for name, _ in page)
        ]
        header = ["elements", *(f"2^{exponent}" for exponent in exponents)]
        plural = "s" if threads > 1 else ""
        titled.append(
            (f"{dtype}, {threads} thread{plural}", table(header, rows, "l" + "r" * len(exponents)))
        )
    return titled


def _cell(ratio: float | None) -> str:
    return format_significant(ratio) if ratio else "-"


LEGEND = (
    "Times are medians of one call, ± the interquartile range. ratio: time of torch.nn.init / "
    "time of winit_cuda, the median over the rounds in which both took turns. of fill_: time of "
    "tensor.fill_(0.5) / time of winit_cuda, the part of the speed of memory that is reached. "
    "G/s: elements per nanosecond."
)


def notes(report: Report) -> list[str]:
    """What was left out or cut short."""
    lines = []
    sides = [side for row in report.rows for side in (row.winit_cuda, row.torch, row.fill) if side]
    if any(side.capped for side in sides):
        lines.append("(n): slow enough that its time budget allowed only n runs.")
    lines += dict.fromkeys(
        f"{row.case.initializer.name} {row.case.dtype}: {row.note}."
        for row in report.rows
        if row.note
    )
    largest = max((row.case.exponent for row in report.rows), default=0)
    for initializer in dict.fromkeys(row.case.initializer for row in report.rows):
        if initializer.largest < largest and report.preset != "targets":
            shape = initializer.largest_shape
            lines.append(f"{initializer.name}: at most {shape}, --sizes goes further.")
    load = report.machine.get("load")
    if isinstance(load, float) and load > 0.5:
        lines.append(f"The machine was busy at the start (load {load:g}): times may be too high.")
    if not report.complete:
        lines.append("INCOMPLETE: the run was interrupted.")
    return lines


def as_text(report: Report) -> str:
    """What the terminal shows: every case, or of a long run the ratios only."""
    facts = report.machine
    heading = f"winit_cuda {facts['winit_cuda']} and torch {facts['torch']} on {title(report)}"
    parts = [f"{heading}\n{backend(report)}"]
    if len(report.rows) <= MANY_ROWS:
        parts.append(details(report, text_table))
    else:
        parts.append("Ratio: time of torch.nn.init / time of winit_cuda, by number of elements.")
        parts += [f"{page}\n\n{table}" for page, table in overview(report, text_table)]
    parts.append("\n".join([*textwrap.wrap(LEGEND, 96), *notes(report)]))
    return "\n\n".join(parts)


FACTS = [
    "cpu",
    "cores",
    "simd_flags",
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
        "\n".join(f"- {name}: {_fact(facts[name])}" for name in FACTS if facts.get(name))
        + f"\n- {backend(report)}",
        LEGEND,
        "\n".join(f"- {line}" for line in notes(report)),
    ]
    if len(report.rows) > MANY_ROWS:
        parts.append("## Ratio by number of elements")
        for heading, table in overview(report, markdown_table):
            parts += [f"### {heading}", table]
        parts.append("## Every case")
    parts.append(details(report, markdown_table))
    return "\n\n".join(part for part in parts if part) + "\n"


def _fact(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def backend(report: Report) -> str:
    """What winit_cuda fills with on the device of the report, and why."""
    info = report.backend
    use = next(use for use in info.devices if use.device.startswith(report.device))
    simd = f" ({info.core['simd_active']})" if report.device == "cpu" and info.core else ""
    return f"winit_cuda on {use.device}: {use.backend}{simd}, {use.reason}"


def title(report: Report) -> str:
    """The machine in words: the GPU, or the processor and its threads."""
    if report.device == "cuda":
        devices = report.machine["cuda_devices"]
        return str(devices[0]) if isinstance(devices, list) and devices else "CUDA"
    plural = "s" if report.all_threads > 1 else ""
    return f"{report.machine['cpu']}, {report.all_threads} thread{plural}"


def file_stem(report: Report) -> str:
    """The name of the result files: device, machine, threads, preset and day."""
    name = title(report).partition(" (")[0].partition(",")[0]
    model = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    threads = f"-{report.all_threads}t" if report.device == "cpu" else ""
    day = str(report.machine["date"])[:10]
    incomplete = "" if report.complete else "-incomplete"
    return f"{report.device}-{model}{threads}-{report.preset}-{day}{incomplete}"


def as_json(report: Report) -> str:
    """Everything as JSON, one row a line so that two runs can be compared with diff."""
    head = {
        "preset": report.preset,
        "command": report.command,
        "device": report.device,
        "complete": report.complete,
        "machine": report.machine,
        "backend": asdict(report.backend),
    }
    text = json.dumps(head, indent=1)
    rows = ",\n  ".join(
        json.dumps(_row_as_data(row, goal(row.case, report.all_threads))) for row in report.rows
    )
    return f'{text[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n'


def _row_as_data(row: Row, wanted: float | None) -> dict[str, object]:
    case = row.case
    return {
        "initializer": case.initializer.name,
        "dtype": case.dtype,
        "shape": case.shape,
        "threads": case.threads,
        "winit_cuda": _timing_as_data(row.winit_cuda),
        "torch": _timing_as_data(row.torch),
        "fill": _timing_as_data(row.fill),
        "ratio": _rounded(row.ratio),
        "ratio_iqr": _rounded(row.ratio_iqr),
        "fill_ratio": _rounded(row.fill_ratio),
        "goal": wanted,
        "note": row.note,
    }


def _timing_as_data(timing: Timing | None) -> dict[str, object] | None:
    """Seconds; four digits are more than a measurement holds."""
    if timing is None:
        return None
    return {
        "median": _rounded(timing.median),
        "iqr": _rounded(timing.iqr),
        "runs": timing.runs,
        "capped": timing.capped,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
