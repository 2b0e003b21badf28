"""A report as a table: the verdict, what is odd, and the parameters, repeated layers as one row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .._model.table import aligned, as_one, number, printable, template
from .findings import FALSE_ALARM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .report_data import ParameterReport, ReportData

_HEADER = ("", "name", "law", "min", "max", "mean", "std", "expected", "z")
_MARKS = ("", "odd", "WRONG")


def table(report: ReportData) -> str:
    """The lines to print."""
    lines = [verdict(report), basis(report)]
    lines += [f"  {finding.kind}: {finding.text}" for finding in report.findings]
    groups: dict[object, list[ParameterReport]] = {}
    for row in report.worst_first:
        what: object = (template(row.name), row.law, row.shape, row.dtype)
        if row.findings:
            lines += [f"  {printable(row.name)}: {finding.text}" for finding in row.findings]
            what = row.name
        groups.setdefault(what, []).append(row)
    cells = [_HEADER, *map(_cells, groups.values())]
    return "\n".join([*lines, "", *aligned(cells, heads=3), *_activity(report)])


def verdict(report: ReportData) -> str:
    """One sentence on the whole."""
    count = len(report.parameters)
    wrong = [f"{report.wrong:,} of {count:,} parameters are wrong"] if report.wrong else []
    odd = [f"{report.odd:,} odd" if wrong else f"{report.odd:,} of {count:,} parameters are odd"]
    words = wrong + (odd if report.odd else [])
    if report.findings:
        about = "other things are" if len(report.findings) > 1 else "other thing is"
        what = "odd" if all(finding.severity == "odd" for finding in report.findings) else "wrong"
        words.append(f"{len(report.findings):,} {about} {what}")
    words = words or ["as planned" if report.is_planned else "nothing odd"]
    return f"{report.title}: {', '.join(words)}"


def basis(report: ReportData) -> str:
    """What the verdict rests on."""
    count = len(report.parameters)
    size = f"{count:,} parameter{'' if count == 1 else 's'}, {report.elements:,} elements"
    if not report.is_planned:
        return f"{size}; no plan, so no law to test against"
    rate = f"1 of {1 / FALSE_ALARM:,.0f}"
    limit = f"the limit is z = {report.limit:.1f}"
    return f"{size}; {report.tests:,} tests against laws, a false alarm in {rate} reports: {limit}"


def moments(group: Sequence[ParameterReport]) -> tuple[float, float, float, float]:
    """Smallest and largest value, mean and standard deviation of all elements together."""
    stats = [row.statistics for row in group]
    count = sum(own.count for own in stats)
    mean = sum(own.mean * own.count for own in stats) / count if count else math.nan
    square = sum(own.mean_square(mean) * own.count for own in stats) / count if count else math.nan
    low, high = min(own.low for own in stats), max(own.high for own in stats)
    return low, high, mean, math.sqrt(square)


def _cells(group: list[ParameterReport]) -> tuple[str, ...]:
    """The row of layers that are repeated: their range, and the worst score."""
    first = group[0]
    name = as_one([row.name for row in group])
    expected = first.expected
    has_tests = any(row.scores.count for row in group)
    return (
        _MARKS[first.severity],
        printable(f"{name}  ({len(group)})" if len(group) > 1 else name),
        first.law,
        *map(number, moments(group)),
        "" if expected is None else number(expected.std),
        f"{max(row.scores.worst for row in group):.1f}" if has_tests else "",
    )


def _activity(report: ReportData) -> list[str]:
    """What the batch did, in the order of the layers."""
    if report.activity is None:
        return []
    cells = [("layer", "type", "std", "std of the gradient")]
    for layer in report.activity.layers:
        gradient = "" if layer.gradient_std is None else number(layer.gradient_std)
        cells.append((printable(layer.name), layer.kind, number(layer.std), gradient))
    return ["", *aligned(cells, heads=2)]
