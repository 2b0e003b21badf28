"""A report as one page that needs nothing else, made from the template `report.html`.

All that comes from a model, such as names, is escaped. Rows unfold without a script; the script
only filters.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

from .._model.table import number
from .depth_plot import activity_plot, weights_plot
from .report_table import basis, verdict
from .tensor_statistics import BINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .activity import Activity
    from .report_data import ParameterReport, ReportData

_BADGES = ("ok", "odd", "wrong")
_HEIGHT = 90
_HEADLINES = 5


def page(report: ReportData) -> str:
    """The page."""
    rows = report.worst_first
    numbers = {row.name: i for i, row in enumerate(rows)}
    severity = 2 if not report.ok else int(report.odd > 0 or bool(report.findings))
    parts = {
        "title": escape(report.title),
        "severity": str(severity),
        "verdict": escape(verdict(report)),
        "basis": escape(basis(report)),
        "findings": _headlines(report),
        "weights": _weights(report, numbers),
        "activity": "" if report.activity is None else _activity(report.activity),
        "count": f"{len(rows):,}",
        "rows": "\n".join(_row(i, row) for i, row in enumerate(rows)),
    }
    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _weights(report: ReportData, numbers: dict[str, int]) -> str:
    svg = weights_plot([(numbers[row.name], row) for row in report.parameters])
    if not svg:
        return ""
    planned = '<span class="key planned">planned</span>' if report.is_planned else ""
    wrong = '<span class="key s2">wrong</span>' if report.wrong else ""
    odd = '<span class="key s1">odd</span>' if report.odd else ""
    legend = f'<p class=legend><span class="key s0">found</span>{wrong}{odd}{planned}</p>'
    return _figure("Standard deviation of the weights by depth", legend, svg)


def _activity(activity: Activity) -> str:
    svg = activity_plot(activity.layers)
    legend = (
        '<p class=legend><span class="key forward">activations</span>'
        '<span class="key backward">gradients</span></p>'
    )
    figure = _figure("Standard deviation of what a batch does, by depth", legend, svg)
    rows = "".join(
        f"<tr><td>{escape(seen.name)}<td>{seen.function}"
        f"<td>{f'{seen.dead:,} of {seen.units:,} units' if seen.function == 'relu' else ''}"
        f"<td>{'' if seen.function == 'relu' else f'{seen.saturated:.1%}'}"
        for seen in activity.nonlinearities
    )
    if not rows:
        return figure
    head = "<tr><th>module<th>function<th>dead<th>saturated"
    return (
        f"{figure}<details class=more-on><summary>Nonlinearities</summary>"
        f"<div class=scroll tabindex=0><table>{head}{rows}</table></div></details>"
    )


def _figure(title: str, legend: str, svg: str) -> str:
    head = f"<figcaption><h2>{title}</h2>{legend}</figcaption>"
    return f"<figure>{head}<div class=scroll tabindex=0>{svg}</div></figure>"


def _headlines(report: ReportData) -> str:
    """What is odd about the whole and the worst parameters, as far as it is read in a minute."""
    found = [(finding, finding.text) for finding in report.findings]
    for row in report.worst_first:
        found += [(finding, f"{row.name}: {finding.text}") for finding in row.findings]
    found.sort(key=lambda each: each[0].severity != "wrong")
    items = [
        f"<li class={finding.severity}><b>{escape(finding.kind)}</b> {escape(text)}"
        for finding, text in found[:_HEADLINES]
    ]
    rest = len(found) - len(items)
    if rest:
        items.append(f"<li>and {rest:,} more, see below")
    return f"<ul class=findings>{''.join(items)}</ul>" if items else ""


def _row(index: int, row: ParameterReport) -> str:
    """A row, with what is odd, which unfolds to the histogram and all numbers."""
    own, expected = row.statistics, row.expected
    planned = "" if expected is None else number(expected.std)
    score = f"{row.scores.worst:.1f}" if row.scores.count else ""
    return (
        f"<details class=row id=r{index}><summary>"
        f"<i class=s{row.severity}>{_BADGES[row.severity]}</i>"
        f"<b>{escape(row.name)}</b><code>{escape(row.law)}</code>"
        f"<span data-of=std>{number(own.std)}</span><span data-of=planned>{planned}</span>"
        f"<span data-of=z>{score}</span>{_reasons(row)}</summary>"
        f"<div>{_histogram(row)}{_facts(row)}</div></details>"
    )


def _reasons(row: ParameterReport) -> str:
    return "".join(
        f"<em class={finding.severity}>{escape(finding.text)}</em>" for finding in row.findings
    )


def _facts(row: ParameterReport) -> str:
    own, expected = row.statistics, row.expected
    shape = " × ".join(map(str, row.shape)) or "scalar"
    facts = [
        ("shape", f"{shape}, {row.dtype}"),
        ("mean", number(own.mean) + (f" (planned {number(expected.mean)})" if expected else "")),
        ("std", number(own.std) + (f" (planned {number(expected.std)})" if expected else "")),
        ("range", f"{number(own.low)} to {number(own.high)}"),
        ("zeros", f"{own.zeros:,} of {own.count:,}"),
    ]
    scores = asdict(row.scores).items()
    described = ", ".join(f"{name} {score:+.2f}" for name, score in scores if score is not None)
    facts += [("z", described)] if described else []
    return f"<dl>{''.join(f'<dt>{name}<dd>{escape(text)}' for name, text in facts)}</dl>"


def _histogram(row: ParameterReport) -> str:
    counts, planned = row.statistics.histogram, row.planned_histogram
    most = max(*counts, *planned)
    if not any(counts):
        return ""
    path = _steps(counts, most)
    law = f'<path class=law d="M0 {_HEIGHT}{_steps(planned, most)}"/>' if planned else ""
    low, high = number(row.statistics.low), number(row.statistics.high)
    return (
        f'<figure class=bins><svg viewBox="0 0 400 {_HEIGHT}" preserveAspectRatio=none role=img '
        f'aria-label="Histogram from {low} to {high}"><path d="M0 {_HEIGHT}{path}V{_HEIGHT}z"/>'
        f"{law}</svg><figcaption><span>{low}</span><span>{high}</span></figcaption></figure>"
    )


def _steps(counts: Sequence[float], most: float) -> str:
    """The outline of bars."""
    heights = (round(_HEIGHT * (1 - count / most)) for count in counts)
    return "".join(f"V{y}h{400 // BINS}" for y in heights)
