"""The chart of a GPU: for each law throughput, and below it the part of the speed of ``fill_``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from winit_cuda._command.console import CommandError

from .. import plot
from .rivals import MEMORY, TORCH, US

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .rows import GpuReport, GpuRow

# The other rivals in what is left of Okabe and Ito's palette, from behind.
_STYLES: dict[str, dict[str, Any]] = {
    "JAX rbg": {"color": "#999999", "marker": "d"},
    "JAX threefry": {"color": "#E69F00", "marker": "X"},
    "cuRAND (CuPy)": {"color": "#CC79A7", "marker": "P"},
    "torch.compile": {"color": "#009E73", "marker": "D"},
    "torch.func._random": {"color": "#56B4E9", "marker": "s"},
    TORCH: plot.TORCH,
    MEMORY: plot.MEMORY,
    US: plot.MORE_THREADS,
}
_LEGEND_LINES = 2
_BYTES = 4  # of a float32


def draw(report: GpuReport, path: Path) -> str:
    """Draw the chart; where that cannot be, the reason."""
    try:
        plot.require(path)
    except CommandError as error:
        return str(error)
    plot.save(lambda: _figure(report), path)
    return ""


def _figure(report: GpuReport) -> Figure:
    laws = plot.CHARTED
    figure, grid = plot.figure_of_panels(2, len(laws), sharey="row", legend_lines=_LEGEND_LINES)
    for (throughput, shares), name in zip(grid.T, laws, strict=True):
        rows = [
            row
            for row in report.rows
            if (row.case.name, row.case.dtype) == (name, "float32")
            and row.case.numel > 16  # 4x4 is about the call
        ]
        lines = _lines(rows, lambda row, side: row.gigabytes_per_second(side))
        plot.draw_panel(throughput, plot.Panel(name, "float32", lines, ratio=None))
        plot.draw_lines(shares, _lines(rows, lambda row, side: row.of_fill(side)))
        shares.set_ylim(bottom=0)
        _shade_cache(report, (throughput, shares), rows)
    grid[0, 0].set_ylabel("GB / s")
    grid[1, 0].set_ylabel("time of fill_ / time")
    subtitle = f"{report.title}, torch {report.machine['torch']}"
    if report.l2_bytes:
        subtitle += "; shaded: fits into the L2 cache"
    plot.label_figure(figure, "Throughput of float32 fills over size", subtitle, _LEGEND_LINES)
    return figure


def _lines(rows: Sequence[GpuRow], value: Callable[[GpuRow, str], float | None]) -> list[plot.Line]:
    """A line for each side that took part."""
    lines = []
    for side, style in _STYLES.items():
        values = {row.case.numel: value(row, side) for row in rows}
        points = {numel: each for numel, each in values.items() if each is not None}
        if points:
            lines.append(plot.Line(side, style, points))
    return lines


def _shade_cache(report: GpuReport, panels: Sequence[Axes], rows: Sequence[GpuRow]) -> None:
    if report.l2_bytes and rows:
        for panel in panels:
            smallest = min(row.case.numel for row in rows)
            panel.axvspan(smallest, report.l2_bytes / _BYTES, color="#000000", alpha=0.05)
