"""The bars of the chart: how many times as fast as by torch.nn.init a matrix is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from winit_cuda._command.console import format_ratio

from .isa import of_first
from .matrices import DeltaOrthogonal, OrthogonalBatch, OrthogonalColumns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = (
    "orthogonal_",
    OrthogonalBatch.name,
    OrthogonalColumns.name,
    DeltaOrthogonal.name,
    "sparse_",
)
DTYPE = "float32"
SMALLEST = 1 << 16  # elements; below, the call counts
COLOR, GOAL_COLOR = "#0072B2", "#333333"
# Inches: of one bar, and of what is around all of them.
BAR, AROUND = 0.17, 0.75


@dataclass(frozen=True)
class Bar:
    """One kind of matrix of one size."""

    label: str
    ratio: float  # torch.nn.init / winit_cuda
    goal: float | None


def bars(results: dict[str, Any]) -> list[Bar]:
    """What the results hold for the bars, with the most threads, in the order of NAMES."""
    rows = [
        row
        for row in of_first(results["rows"])
        if row["initializer"] in NAMES
        and row["dtype"] == DTYPE
        and row["elements"] >= SMALLEST
        and row["ratio"]
    ]
    most = max((row["threads"] for row in rows), default=0)
    rows = [row for row in rows if row["threads"] == most]
    rows.sort(key=lambda row: (NAMES.index(row["initializer"]), row["elements"]))
    return [
        Bar(
            f"{row['initializer']} {'x'.join(map(str, row['shape']))}",
            row["ratio"],
            row["goal"]["ratio"] if row["goal"] else None,
        )
        for row in rows
    ]


def height(found: list[Bar]) -> float:
    """Inches that the bars take."""
    return AROUND + BAR * len(found) if found else 0.0


def draw_bars(axes: Axes, found: list[Bar]) -> None:
    """The ratios on a logarithmic axis, each with its goal."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    places = range(len(found))
    axes.set_title(
        f"Matrices  {DTYPE}: time of torch.nn.init / time of winit_cuda, goals as marks", loc="left"
    )
    axes.set_xscale("log")
    axes.barh(places, [bar.ratio for bar in found], height=0.62, color=COLOR)
    for place, bar in zip(places, found, strict=True):
        end = bar.ratio
        if bar.goal is not None and bar.ratio < bar.goal < 2 * bar.ratio:
            end = bar.goal  # its mark would cross the number
        number = format_ratio(bar.ratio)
        axes.annotate(number, (end, place), (3, 0), textcoords="offset points", va="center")
        if bar.goal is not None:
            axes.plot([bar.goal] * 2, [place - 0.42, place + 0.42], color=GOAL_COLOR, linewidth=1.6)
    axes.set_yticks(places, [bar.label for bar in found])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    least = min(0.5, *(bar.ratio / 2 for bar in found))
    axes.set_xlim(least, 1.6 * max(max(bar.ratio, bar.goal or 0.0) for bar in found))
    axes.xaxis.set_major_locator(FixedLocator([0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1.0, color="#777777", linewidth=0.8, zorder=0)
