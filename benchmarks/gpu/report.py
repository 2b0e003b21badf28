"""How the measurements on a GPU are written down: JSON, Markdown and a chart."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from winit_cuda._command.console import format_ratio, format_significant, markdown_table

from ..many import SmallTensors
from ..matrices import OrthogonalBatch
from ..report import (
    join_json,
    machine_lines,
    rounded,
    timing_as_data,
)
from ..tables import format_outcomes, format_timing
from .chart import draw
from .machine import versions
from .rivals import (
    MEMORY,
    RIVALS,
    TORCH,
    US,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ..cases import Case
    from .rows import GpuReport, GpuRow


def write(report: GpuReport, folder: Path) -> Iterator[Path]:
    """Write data, chart and page named as in benchmarks/results, and say what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = file_stem(report)
    data, chart, page = (folder / f"{stem}.{suffix}" for suffix in ("json", "svg", "md"))
    data.write_text(as_json(report), encoding="utf-8")
    yield data
    why_no_chart = draw(report, chart)
    if not why_no_chart:
        yield chart
    page.write_text(as_markdown(report, why_no_chart), encoding="utf-8")
    yield page


def file_stem(report: GpuReport) -> str:
    """The name of the files: device, what was done and day."""
    model = "dry-run" if report.dry_run else f"cuda-{report.title}"
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    incomplete = "" if report.complete else "-incomplete"
    return f"{name}-acceptance-{str(report.machine['date'])[:10]}{incomplete}"


# ------------------------------------------------------------------------- Markdown

_LEGEND = (
    "Times are medians of one call, the spread behind ± is the interquartile range. GB/s: bytes "
    "written per nanosecond. of fill_: time of tensor.fill_ on the same tensor / time of "
    "winit_cuda. The columns with names: how many times as fast as that one winit_cuda is. All "
    "took turns in one process; ratios are medians over the rounds. (n): slow enough that its time "
    "budget allowed only n rounds. Times of small tensors are "
    "those of the call, on the host."
)


def as_markdown(report: GpuReport, why_no_chart: str = "") -> str:
    matrices = ("orthogonal_", OrthogonalBatch.name, "sparse_", SmallTensors.name)
    calls = [row for row in report.rows if row.case.numel == 16]
    square = [row for row in report.rows if row.case.name in matrices]
    square = [row for row in square if row not in calls]
    fills = [row for row in report.rows if row not in calls and row not in square]
    parts = [
        f"# Fills on {report.title}",
        f"Written by `{report.command}` on {report.machine['date']}.",
        "\n".join(_facts(report)),
        "The DRY RUN shows that everything starts. Its times say nothing." * report.dry_run,
        f"{_LEGEND} {_about_l2(report)}",
        f"No chart: {why_no_chart}."
        if why_no_chart
        else f"![Throughput over size]({file_stem(report)}.svg)",
        "## Goals for an H200",
        _goals(report.rows),
        "## Throughput",
        *(_table(report, rows) for rows in _by_dtype(fills)),
        "## Launches alone",
        _launches(report.rows),
        "## Matrices and lists",
        _table(report, square),
        "## One call on a 4x4 tensor",
        _table(report, calls),
        "## Who did not take part",
        "\n".join(f"- {line}" for line in _notes(report)) or "Everyone took part in every case.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(report: GpuReport) -> Iterator[str]:
    yield from machine_lines(report.machine)
    for name, version in versions().items():
        yield f"- {name}: {version or 'not there'}"
    for when, state in (("idle", report.gpu_idle), ("at work", report.gpu_at_work)):
        measured = state.get("nvidia_smi")
        told = ", ".join(f"{k} {v}" for k, v in measured.items()) if measured else ""  # type: ignore[attr-defined]
        yield f"- GPU {when}: {told or 'nvidia-smi gives nothing'}"
    for name, rate in report.bandwidths.items():
        yield f"- memory, by a {name}: {rate / 1e9:.0f} GB/s"
    yield from (f"- {use.device}: {use.backend}, {use.reason}" for use in report.backend.devices)


def _about_l2(report: GpuReport) -> str:
    if report.l2_bytes is None:
        return "The size of the L2 cache is not known."
    return (
        f"Tensors marked L2 fit into the L2 cache of {report.l2_bytes / 2**20:.0f} MiB, where "
        "repeated fills stay: their GB/s are not those of memory."
    )


def _goals(rows: Sequence[GpuRow]) -> str:
    header = ["initializer", "dtype", "shape", "torch.nn.init", "of fill_", "goal"]
    lines = [
        [*_name(row.case), *_ratios(row), format_outcomes(row, row.case.goal)]
        for row in rows
        if row.case.goal is not None
    ]
    return markdown_table(header, lines, "lllrrl") if lines else "No case with a goal was run."


def _ratios(row: GpuRow) -> tuple[str, str]:
    of_fill = f"{row.fill_ratio:.2f}" if row.fill_ratio else "-"
    return format_ratio(row.ratio) if row.ratio else "-", of_fill


def _name(case: Case) -> list[str]:
    return [case.name, case.dtype, case.size]


def _by_dtype(rows: Sequence[GpuRow]) -> Iterator[list[GpuRow]]:
    for dtype in dict.fromkeys(row.case.dtype for row in rows):
        yield [row for row in rows if row.case.dtype == dtype]


def _table(report: GpuReport, rows: Sequence[GpuRow]) -> str:
    """One line a case; of the rivals only those that took part in one."""
    rivals = [name for name in (TORCH, *RIVALS) if any(name in row.ratios for row in rows)]
    header = ["initializer", "dtype", "shape", "", "winit_cuda", "GB/s", "of fill_", *rivals]
    lines = []
    for row in rows:
        rate = row.gigabytes_per_second(US)
        cached = report.l2_bytes is not None and row.case.bytes <= report.l2_bytes
        lines.append(
            [
                *_name(row.case),
                "L2" if cached else "",
                format_timing(row.timings.get(US)),
                format_significant(rate) if rate else "-",
                _ratios(row)[1],
                *(format_ratio(row.ratios[name]) if name in row.ratios else "-" for name in rivals),
            ]
        )
    return markdown_table(header, lines, "llll" + "r" * (3 + len(rivals))) if lines else ""


_LAUNCHES = (
    "Device time of one launch, without the call: captured in a graph between two events, each "
    "launch on memory of its own beyond the L2 cache."
)


def _launches(rows: Sequence[GpuRow]) -> str:
    lines = []
    for row in rows:
        if US not in row.device:
            continue
        ours = row.device[US]
        others = [row.device.get(side) for side in (MEMORY, TORCH)]
        of_fill, ratio = (other / ours if other else None for other in others)
        lines.append(
            [
                *_name(row.case),
                f"{format_significant(ours * 1e6)} µs",
                format_significant(row.case.bytes / ours / 1e9),
                f"{of_fill:.2f}" if of_fill else "-",
                format_ratio(ratio) if ratio else "-",
            ]
        )
    header = ["initializer", "dtype", "shape", "winit_cuda", "GB/s", "of fill_", TORCH]
    return f"{_LAUNCHES}\n\n{markdown_table(header, lines, 'lllrrrr')}" if lines else ""


def _notes(report: GpuReport) -> Iterator[str]:
    """Each reason once, with the number of cases it kept a side from."""
    if not report.complete:
        yield f"INCOMPLETE: stopped after {len(report.rows)} of {report.cases} cases."
    reasons: dict[tuple[str, str], list[Case]] = {}
    for row in report.rows:
        for side, why in row.notes.items():
            reasons.setdefault((side, why), []).append(row.case)
    for (side, why), cases in reasons.items():
        yield f"{side}, {len(cases)} of {report.cases} cases, first {cases[0].label}: {why}"


# ------------------------------------------------------------------------- JSON


def as_json(report: GpuReport) -> str:
    """Everything as JSON."""
    head = {
        "command": report.command,
        "dry_run": report.dry_run,
        "complete": report.complete,
        "machine": report.machine,
        "versions": versions(),
        "gpu_idle": report.gpu_idle,
        "gpu_at_work": report.gpu_at_work,
        "bandwidths": {name: rounded(rate) for name, rate in report.bandwidths.items()},
        "backend": asdict(report.backend),
    }
    return join_json(head, map(_row_as_data, report.rows))


def _row_as_data(row: GpuRow) -> dict[str, object]:
    return {
        "initializer": row.case.name,
        "dtype": row.case.dtype,
        "shape": row.case.shape,
        "bytes": row.case.bytes,
        "seconds": {name: timing_as_data(timing) for name, timing in row.timings.items()},
        "ratios": {name: rounded(ratio) for name, ratio in row.ratios.items()},
        "goal": asdict(row.case.goal) if row.case.goal else None,
        "device_seconds": {name: rounded(seconds) for name, seconds in row.device.items()},
        "notes": row.notes,
    }
