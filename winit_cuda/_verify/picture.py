"""A report as a picture: standard deviations by depth, drawn by matplotlib, of the extra `plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .report_table import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from .report_data import ReportData

_COLORS = ("tab:blue", "tab:orange", "tab:red")
_NAMES = ("found", "odd", "wrong")


def draw(report: ReportData, path: Path) -> None:
    """Write the picture.

    Raises:
        ImportError: There is no matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = "pip install 'winit_cuda[plot]' brings it"
        raise ImportError(f"a PNG of a report needs matplotlib ({error}); {hint}") from error
    panels = 1 if report.activity is None else 2
    figure = Figure(figsize=(9, 0.6 + 2.9 * panels), facecolor="white", layout="constrained")
    grid = figure.subplots(panels, squeeze=False)[:, 0]
    _draw_weights(grid[0], report)
    if report.activity is not None:
        layers = report.activity.layers
        _draw_points(grid[1], [layer.std for layer in layers], "activations")
        _draw_points(grid[1], [layer.gradient_std or 0.0 for layer in layers], "gradients")
        _label(grid[1], "layer")
    figure.suptitle(verdict(report))
    figure.savefig(path, format="png", dpi=150, metadata={"Software": None})


def _draw_weights(axes: Any, report: ReportData) -> None:
    rows = list(enumerate(report.parameters))
    planned = [(i, row.expected.std) for i, row in rows if row.expected and row.expected.std]
    if planned:
        axes.plot(*zip(*planned, strict=True), "_", color="gray", label="planned", markersize=9)
    for severity, (color, name) in enumerate(zip(_COLORS, _NAMES, strict=True)):
        of_it = [(i, row.statistics.std) for i, row in rows if row.severity == severity]
        shown = [(i, std) for i, std in of_it if std > 0]
        if shown:
            axes.plot(*zip(*shown, strict=True), ".", color=color, label=name)
    _label(axes, "parameter, in the order of the model")


def _draw_points(axes: Any, values: list[float], name: str) -> None:
    shown = [(i, value) for i, value in enumerate(values) if value > 0]
    if shown:
        axes.plot(*zip(*shown, strict=True), ".-", label=name, linewidth=1)


def _label(axes: Any, what: str) -> None:
    axes.set_xlabel(what)
    axes.set_ylabel("standard deviation")
    if axes.lines:
        axes.set_yscale("log")
        axes.legend(loc="best", fontsize="small")
