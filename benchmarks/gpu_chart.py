"""The chart of a GPU: for each law GB/s and the ratio to ``fill_``, over the size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .gpu_cases import PLAIN
from .gpu_rivals import SIDES, US

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .gpu_report import GpuReport, GpuRow

# Colours that differ for colour-blind readers too (Okabe and Ito); ours and the limit stand out.
_STYLES = {
    name: {"color": color, "linewidth": width, "marker": marker, "markersize": 4}
    for name, color, width, marker in (
        (US, "#D55E00", 2.5, "o"),
        ("fill_", "#000000", 1.5, "s"),
        ("torch.nn.init", "#0072B2", 1.5, "v"),
        ("torch.func._random", "#56B4E9", 1.2, "^"),
        ("torch.compile", "#009E73", 1.2, "D"),
        ("cuRAND (CuPy)", "#CC79A7", 1.2, "P"),
        ("JAX threefry", "#E69F00", 1.2, "X"),
        ("JAX rbg", "#999999", 1.2, "d"),
    )
}


def draw(report: GpuReport, path: Path) -> str:
    """Draw the chart; where that cannot be, the reason."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        return f"{error}; pip install 'winit_cuda[plot]' brings it"
    figure = Figure(figsize=(11, 11.5), layout="constrained")
    panels = figure.subplots(len(PLAIN), 2, sharex=True, squeeze=False)
    for line, name in zip(panels, PLAIN, strict=True):
        rows = [
            row
            for row in report.rows
            if row.case.initializer.name == name
            and row.case.dtype == "float32"
            and row.case.exponent > 4  # 4x4 is about the call
        ]
        _draw_law(report, line, name, rows)
    for panel in panels[-1]:
        panel.set_xlabel("bytes of the tensor")
    shown = {label: each for panel in panels.flat for each, label in _legend_of(panel)}
    order = [name for name in SIDES if name in shown]
    handles = [shown[name] for name in order]
    figure.legend(handles, order, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"float32 fills on {report.title}, torch {report.machine['torch']}")
    figure.savefig(path)
    return ""


def _draw_law(report: GpuReport, panels: Any, name: str, rows: Sequence[GpuRow]) -> None:
    throughput, ratio = panels
    for side in SIDES:
        rated = [(row.case.bytes, row.gigabytes_per_second(side)) for row in rows]
        shares = [(row.case.bytes, row.of_fill(side)) for row in rows]
        _draw_line(throughput, side, rated)
        _draw_line(ratio, side, shares)
    throughput.set_ylabel(f"{name}: GB/s written")
    ratio.set_ylabel("time of fill_ / time")
    ratio.set_ylim(bottom=0)
    for panel in panels:
        panel.set_xscale("log", base=2)
        panel.grid(alpha=0.3)
        if report.l2_bytes and rows:
            panel.axvspan(min(row.case.bytes for row in rows), report.l2_bytes, alpha=0.07)
            panel.set_title("shaded: fits into the L2 cache", fontsize=8, loc="left")
    throughput.set_yscale("log")


def _draw_line(panel: Any, side: str, points: Sequence[tuple[int, float | None]]) -> None:
    there = [(x, y) for x, y in points if y is not None]
    if there:
        panel.plot(*zip(*there, strict=True), label=side, **_STYLES[side])


def _legend_of(panel: Any) -> list[tuple[Any, str]]:
    return list(zip(*panel.get_legend_handles_labels(), strict=True))
