"""Plots by depth, as SVG: standard deviations on a logarithmic scale, in the order of the model."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .activity import Layer
    from .report_data import ParameterReport

_WIDTH, _HEIGHT = 720, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 8, 22
# Stands for 0, below all that is shown.
_LOWEST = 5e-324


class _Point(NamedTuple):
    place: int
    value: float
    """Shown if positive and finite."""
    series: str
    """The class of its mark, which the page colors."""
    label: str
    row: int | None = None
    """The row that a click on it unfolds."""
    is_odd: bool = False


def weights_plot(rows: Sequence[tuple[int, ParameterReport]]) -> str:
    """Each parameter's standard deviation, and as a bar what its law expects; constants have none.

    Args:
        rows: In the order of the model, each with the number of its row in the page.
    """
    points = []
    for place, (number, row) in enumerate(rows):
        expected = 0.0 if row.expected is None else row.expected.std
        # What should not be 0 lies at the lower edge.
        std = row.statistics.std or (_LOWEST if row.severity else 0.0)
        text = f"{row.name}: std {row.statistics.std:.4g}" + (
            f", planned {expected:.4g}" if expected else ""
        )
        points.append(_Point(place, expected, "planned", text, number))
        points.append(_Point(place, std, f"found s{row.severity}", text, number, row.severity > 0))
    return _plot(points, len(rows), "Standard deviation of each parameter, in the model's order")


def activity_plot(layers: Sequence[Layer]) -> str:
    """What comes out of each layer, and the gradient that comes back to it."""
    points = []
    for place, layer in enumerate(layers):
        name = f"{layer.name} ({layer.kind})"
        points.append(_Point(place, layer.std, "forward", f"{name}: std {layer.std:.4g}"))
        gradient = layer.gradient_std or 0.0
        points.append(_Point(place, gradient, "backward", f"{name}: gradient {gradient:.4g}"))
    return _plot(points, len(layers), "Standard deviation of activations and gradients by depth")


def _plot(points: list[_Point], count: int, title: str) -> str:
    """The marks over a grid of powers of ten; nothing where there is nothing to show."""
    shown = [point for point in points if 0 < point.value < math.inf]
    if not shown:
        return ""
    exponents = [math.log10(point.value) for point in shown if point.value > _LOWEST]
    exponents = exponents or [0.0]
    # A decade at least, so that small differences look small.
    low, high = min(exponents), max(exponents)
    room = max((1 - (high - low)) / 2, 0.08 * (high - low))
    low, high = low - room, high + room

    def y(exponent: float) -> float:
        return _TOP + (high - exponent) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    step = (_WIDTH - _LEFT - _RIGHT) / max(count, 1)
    marks = [
        _mark(point, _LEFT + (point.place + 0.5) * step, y(max(math.log10(point.value), low)), step)
        for point in shown
    ]
    middle = (_LEFT + _WIDTH) / 2
    return (
        f'<svg class=plot viewBox="0 0 {_WIDTH} {_HEIGHT}" role=img aria-label="{escape(title)}">'
        f"{''.join(_grid_line(value, y(math.log10(value))) for value in _ticks(low, high))}"
        f"{''.join(marks)}"
        f"<text class=axis x={_LEFT} y={_HEIGHT - 5}>first</text>"
        f"<text class=axis x={middle:.0f} y={_HEIGHT - 5} text-anchor=middle>depth</text>"
        f"<text class=axis x={_WIDTH - _RIGHT} y={_HEIGHT - 5} text-anchor=end>last</text></svg>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in the range: powers of ten, and where there are few of them, 2 and 5, too."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    digits = (1, 2, 5) if high - low < 2.5 else (1,)
    every = max(1, round((high - low) / 6))
    values = [digit * 10.0**decade for decade in decades if decade % every == 0 for digit in digits]
    return [value for value in values if low <= math.log10(value) <= high]


def _grid_line(value: float, y: float) -> str:
    return (
        f'<path class=grid d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        f"<text class=axis x={_LEFT - 6} y={y + 4:.1f} text-anchor=end>{value:.3g}</text>"
    )


def _mark(point: _Point, x: float, y: float, step: float) -> str:
    row = "" if point.row is None else f" data-row=r{point.row}"
    title = f"<title>{escape(point.label)}</title>"
    if point.series == "planned":
        half = min(max(step / 2, 2.5), 8)
        path = f"M{x - half:.1f} {y:.1f}h{2 * half:.1f}"
        return f'<path class=planned d="{path}"{row}>{title}</path>'
    radius = 4 if point.is_odd else min(max(step / 3, 2.0), 4)
    return (
        f'<circle class="{point.series}" cx={x:.1f} cy={y:.1f} r={radius:.1f}{row}>{title}</circle>'
    )
