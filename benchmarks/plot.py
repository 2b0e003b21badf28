"""The chart of the results: throughput over size, against torch.nn.init and the limit of memory.

It is drawn from the JSON that ``report`` writes, so that a chart of committed results can be drawn
again without measuring. The same results and the same matplotlib give the same bytes.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from winit_cuda._command.console import CommandError, format_ratio

from .isa import of_first
from .plot_matrices import (
    Bar,
    bars,
    draw_bars,
    height,
)
from .tables import threads as in_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .cases import Case

CHARTED = ("uniform_", "normal_", "trunc_normal_")  # the columns; other fills are one of these
DTYPES = ("float32", "bfloat16", "float64")  # the lines
NOTHING_CHARTED = f"a chart needs one of {', '.join(CHARTED)} in {', '.join(DTYPES)}"
SUFFIXES = (".svg", ".png")

WIDTH = 8.6  # inches; with 8 point text it is legible where a page shows it 830 pixels wide
LEGEND_LINE = 0.18  # inches
STYLE = {
    "axes.edgecolor": "#777777",
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "lines.linewidth": 1.7,
    "lines.markersize": 3.5,
    "svg.fonttype": "none",  # text stays text: smaller, and a diff shows which number changed
    "svg.hashsalt": "winit_cuda",  # else the names of the clip paths are random
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
}
# The colors are of Okabe and Ito's palette, which color-blind readers can tell apart.
MEMORY = {"color": "#555555", "linestyle": (0, (4, 2)), "linewidth": 1.1}
MORE_THREADS = {"color": "#0072B2", "marker": "o"}
ONE_THREAD = {"color": "#56B4E9", "marker": "s", "markersize": 3}
TORCH = {"color": "#D55E00", "marker": "^"}

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Line:
    """G elements a second by number of elements."""

    label: str
    style: dict[str, Any]
    points: dict[int, float]


@dataclass(frozen=True)
class Panel:
    """One initializer in one dtype."""

    name: str
    dtype: str
    lines: list[Line]
    ratio: tuple[int, float] | None  # torch.nn.init / winit_cuda at this, the largest size


def require(path: Path, cases: Iterable[Case] | None = None) -> None:
    """Find out before the work whether a chart, of these cases, can be drawn into this file."""
    if path.suffix not in SUFFIXES:
        raise CommandError(f"a chart is {' or '.join(SUFFIXES)}, got {path}")
    if cases is not None and not any(
        case.name in CHARTED and case.dtype in DTYPES for case in cases
    ):
        raise CommandError(NOTHING_CHARTED)
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise CommandError(
            f"matplotlib cannot be imported ({error}); pip install 'winit_cuda[plot]' brings it"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """The results in a JSON file of ``winit-cuda bench``."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        subtitle(results)
        panels(results)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CommandError(
            f"{path} is not the JSON of this version of winit-cuda bench "
            f"({type(error).__name__}: {error})"
        ) from error
    return dict(results)


def panels(results: dict[str, Any]) -> list[Panel]:
    """What the results hold for the chart, row by row."""
    found = []
    for dtype in DTYPES:
        rows = [row for row in of_first(results["rows"]) if row["dtype"] == dtype]
        found += [_panel(name, dtype, rows, results["device"]) for name in CHARTED]
    return [panel for panel in found if panel.lines]


def _panel(name: str, dtype: str, rows: Rows, device: str) -> Panel:
    """One initializer among the rows of a dtype, with the most threads and with the fewest."""
    own = [row for row in rows if row["initializer"] == name and row["winit_cuda"]]
    if not own:
        return Panel(name, dtype, [], None)
    counts = sorted({row["threads"] for row in own})
    most, fewest = (
        [row for row in own if row["threads"] == count] for count in (counts[-1], counts[0])
    )
    fills = [row for row in rows if row["threads"] == counts[-1]]

    def label(side: str, count: int) -> str:
        # On CUDA the number of CPU threads does not matter.
        return f"{side}, {in_threads(count)}" if device == "cpu" else side

    lines = [
        Line(label("memory limit (fill_)", counts[-1]), MEMORY, _points(fills, "fill")),
        Line(label("torch.nn.init", counts[-1]), TORCH, _points(most, "torch")),
        Line(label("winit_cuda", counts[0]), ONE_THREAD, _points(fewest, "winit_cuda")),
        Line(label("winit_cuda", counts[-1]), MORE_THREADS, _points(most, "winit_cuda")),
    ]
    if len(counts) == 1:
        del lines[2]
    ratios = [(row["elements"], row["ratio"]) for row in most if row["ratio"]]
    return Panel(name, dtype, [line for line in lines if line.points], max(ratios, default=None))


def _points(rows: Rows, side: str) -> dict[int, float]:
    """By number of elements the throughput; where several rows have one, of their median time."""
    seconds: dict[int, list[float]] = {}
    for row in rows:
        if row[side]:
            seconds.setdefault(row["elements"], []).append(row[side]["median"])
    return {
        numel: numel / statistics.median(times) / 1e9 for numel, times in sorted(seconds.items())
    }


def subtitle(results: dict[str, Any]) -> str:
    """The machine, the versions and the day."""
    facts = results["machine"]
    simd = (results["backend"]["core"] or {}).get("simd_active")
    place = f"{facts['cpu']}{f' ({simd})' if simd else ''}"
    if results["device"] == "cuda":
        place = facts["cuda_devices"][0]
    versions = f"winit_cuda {facts['winit_cuda']}, torch {facts['torch']}"
    incomplete = "" if results["complete"] else ", INCOMPLETE"
    return f"{place}, {versions}, {facts['date'][:10]}{incomplete}"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the chart of these results into an SVG or PNG file."""
    found = panels(results)
    if not found:
        raise CommandError(NOTHING_CHARTED)
    save(lambda: _figure(found, bars(results), subtitle(results)), path)


def save(make: Callable[[], Figure], path: Path) -> None:
    """Make a figure in the style of all charts, and write it into an SVG or PNG file."""
    import matplotlib as mpl

    style: Any = {**mpl.rcParamsDefault, **STYLE}  # nothing of the user's own style
    with mpl.rc_context(style):
        # What matplotlib adds by itself, such as the date, would change with every drawing.
        unstated = ("Date", "Creator") if path.suffix == ".svg" else ("Software",)
        make().savefig(path, dpi=200, metadata=dict.fromkeys(unstated))


def _figure(found: list[Panel], matrices: list[Bar], subtitle: str) -> Figure:
    names = [name for name in CHARTED if any(name == panel.name for panel in found)]
    dtypes = [dtype for dtype in DTYPES if any(dtype == panel.dtype for panel in found)]
    below = height(matrices)
    figure, grid = figure_of_panels(len(dtypes), len(names), sharey=True, below=below)
    for panel in found:
        draw_panel(grid[dtypes.index(panel.dtype), names.index(panel.name)], panel)
    for axes in grid[:, 0]:
        axes.set_ylabel("G elements / s")
    label_figure(figure, "Throughput of the fills over size", subtitle, below=below)
    if matrices:
        total = figure.get_figheight()
        draw_bars(figure.add_axes((0.26, 0.28 / total, 0.725, (below - 0.7) / total)), matrices)
    return figure


def figure_of_panels(
    rows: int,
    columns: int,
    *,
    sharey: bool | Literal["row"],
    legend_lines: int = 1,
    below: float = 0.0,
) -> tuple[Figure, Any]:
    """A figure and its grid of axes, over which ``label_figure`` has room; ``below`` is inches."""
    from matplotlib.figure import Figure

    tall = 1.35 + LEGEND_LINE * (legend_lines - 1) + 1.95 * rows + below
    figure = Figure(figsize=(WIDTH, tall), facecolor="white")
    return figure, figure.subplots(rows, columns, sharex=True, sharey=sharey, squeeze=False)


def label_figure(
    figure: Figure, title: str, subtitle: str, legend_lines: int = 1, below: float = 0.0
) -> None:
    """The title, the legend of all panels below it, and the label of the last row."""
    tall = figure.get_figheight()

    def below_top(inches: float) -> float:
        return 1 - inches / tall

    left = 0.012
    figure.text(left, below_top(0.1), title, va="top", fontsize=11, fontweight="bold")
    figure.text(left, below_top(0.34), subtitle, va="top", color="#555555")
    handles = {
        str(handle.get_label()): handle
        for axes in figure.axes
        for handle in axes.get_legend_handles_labels()[0]
    }
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="upper left",
        bbox_to_anchor=(0.004, below_top(0.48)),
        ncols=math.ceil(len(handles) / legend_lines),
        columnspacing=1.6,
        frameon=False,
    )
    for axes in figure.axes:
        place = axes.get_subplotspec()
        if place is not None and place.is_last_row():
            axes.set_xlabel("elements")
    bottom, top = (0.42 + below) / tall, below_top(0.97 + LEGEND_LINE * (legend_lines - 1))
    figure.subplots_adjust(0.07, bottom, 0.985, top, wspace=0.07, hspace=0.24)


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Throughput over size, both logarithmic."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.set_title(f"{panel.name}  {panel.dtype}", loc="left")
    axes.set_yscale("log")
    draw_lines(axes, panel.lines)
    _draw_ratio(axes, panel)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def draw_lines(axes: Axes, lines: Iterable[Line]) -> None:
    """The lines over a logarithmic axis of sizes."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log", base=2)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    for line in lines:
        axes.plot(list(line.points), list(line.points.values()), label=line.label, **line.style)
    axes.xaxis.set_major_locator(FixedLocator([2**exponent for exponent in range(4, 41, 4)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda numel, _: _power(int(numel))))
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_ratio(axes: Axes, panel: Panel) -> None:
    """At the largest size, how many times as fast as torch.nn.init."""
    if panel.ratio is None:
        return
    numel, ratio = panel.ratio
    ends = [line.points[numel] for line in panel.lines if line.style in (TORCH, MORE_THREADS)]
    axes.plot([numel, numel], ends, color="#999999", linewidth=0.8, zorder=1)
    axes.annotate(
        f"{format_ratio(ratio)} torch",
        (numel, min(ends)),
        (3, -5),
        textcoords="offset points",
        ha="right",
        va="top",
        color="#333333",
    )


def _power(numel: int) -> str:
    return f"$2^{{{numel.bit_length() - 1}}}$"
