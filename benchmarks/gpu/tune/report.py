"""How a tuning run is written down: JSON, and a page with a table for each kernel."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from winit_cuda._command.console import format_significant, markdown_table

from ...report import join_json, machine_lines, rounded
from ..graphs import relative
from .banks import LAYOUTS, predicted_clocks
from .results import BASE, FILL, verdicts
from .variants import FILLS, LISTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .results import Crossover, Measured, Results
    from .variants import Variant

_LEGEND = (
    "Gains are the time as built / the time of the variant, medians over rounds in which all took "
    "turns; launches are captured in graphs and timed by events, each on memory of its own beyond "
    "the L2 cache. *As built, again* is the same kernel once more: differences as small as its are "
    "noise. A variant is worth taking if it gains 1% over all cases and loses in none."
)


def write(results: Results, folder: Path, stem: str) -> Iterator[Path]:
    """Write STEM.json, which has all that was measured, then STEM.md; say what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text_of in ((f"{stem}.json", as_json), (f"{stem}.md", as_markdown)):
        (folder / name).write_text(text_of(results), encoding="utf-8")
        yield folder / name


def as_markdown(results: Results) -> str:
    parts = [
        f"# Tuning on {results.title}",
        f"Written by `{results.command}` on {results.machine['date']}.",
        "\n".join(_facts(results)),
        "The DRY RUN looks at values. Its times say nothing." * results.dry_run,
        "INCOMPLETE: stopped before the last case." * (not results.complete),
        "\n".join(f"- WRONG BITS: {name}" for name in results.wrong),
        _LEGEND,
        "## The fill kernel",
        _verdict(results.fills, FILLS),
        _gains(results.fills, FILLS),
        "## The list's kernel",
        _verdict(results.lists, LISTS),
        _gains(results.lists, LISTS),
        "## A list against single launches",
        _crossovers(results.crossovers),
        "## Registers and blocks",
        _kernels(results),
        "## The table in shared memory, predicted",
        _banks(),
        "\n".join(f"- not built: {name}: {why}" for name, why in results.not_built.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(results: Results) -> Iterator[str]:
    yield from machine_lines(results.machine)
    for when, state in (("idle", results.gpu_idle), ("at work", results.gpu_at_work)):
        told = state.get("nvidia_smi")
        words = ", ".join(f"{k} {v}" for k, v in told.items()) if isinstance(told, dict) else ""
        yield f"- GPU {when}: {words or 'nvidia-smi gives nothing'}"
    yield f"- all variants were built in {results.build_seconds:.0f} s"


def _percent(gain: float) -> str:
    return f"{100 * (gain - 1):+.1f}%"


def _verdict(measured: list[Measured], variants: tuple[Variant, ...]) -> str:
    lines = [
        [
            verdict.variant.name,
            _percent(verdict.mean),
            _percent(verdict.worst),
            _percent(verdict.best),
            "yes" if verdict.take else "no",
            ";".join(verdict.variant.settings) or "-",
        ]
        for verdict in verdicts(measured, variants)
    ]
    header = ["variant", "mean gain", "worst", "best", "worth taking", "WINIT_TUNING"]
    return markdown_table(header, lines, "lrrrll") if lines else "Nothing was measured."


def _gains(measured: list[Measured], variants: tuple[Variant, ...]) -> str:
    """A line a case: what it takes as built, the gain of each variant behind it."""
    if not measured:
        return ""
    names = [v.name for v in variants if any(v.name in m.times for m in measured)]
    columns = [name for name in names if name != BASE]
    lines = []
    for each in measured:
        times = each.times
        of_fill = f"{relative(times, BASE, FILL):.2f}" if FILL in times else "-"
        gains = [_percent(each.gain(name)) if name in times else "-" for name in columns]
        base = f"{times[BASE].median * 1e6:.4g} µs ±{times[BASE].spread:.0%}"
        lines.append([each.case.label, base, of_fill, each.winner or "none", *gains])
    header = ["case", BASE, "of fill_", "winner", *columns]
    return markdown_table(header, lines, "lrrl" + "r" * len(columns))


def _crossovers(crossovers: list[Crossover]) -> str:
    lines = [
        [
            each.case.label,
            *(f"{seconds * 1e6:.4g}" for seconds in (each.list_launch, each.single_launches)),
            f"{each.single_launches / each.list_launch:.2f}x",
            *(f"{seconds * 1e6:.4g}" for seconds in (each.list_call, each.single_calls)),
            f"{each.single_calls / each.list_call:.2f}x",
        ]
        for each in crossovers
    ]
    columns = ["list, µs", "single, µs", "list is"]
    header = ["tensors", *(f"{name}{end}" for end in ("", " (calls)") for name in columns)]
    return markdown_table(header, lines, "lrrrrrr") if lines else "Nothing was measured."


def _kernels(results: Results) -> str:
    kernels = list(dict.fromkeys(name for each in results.kernels.values() for name in each))
    lines = [
        [
            variant,
            *(
                f"{r} / {b}" if (r, b) != (0, 0) else "-"
                for r, b in (of.get(k, (0, 0)) for k in kernels)
            ),
        ]
        for variant, of in results.kernels.items()
    ]
    table = markdown_table(["variant", *kernels], lines, "l" + "r" * len(kernels))
    return (
        f"Registers of a thread / blocks that a multiprocessor holds.\n\n{table}" if lines else ""
    )


def _banks() -> str:
    """Of the layouts, before anything is run."""
    lines = [
        [layout, str(len(loads)), format_significant(predicted_clocks(layout))]
        for layout, loads in LAYOUTS.items()
    ]
    return markdown_table(
        ["layout", "loads of a value", "clocks of shared memory for 32 values"], lines, "lrr"
    )


def as_json(results: Results) -> str:
    """Everything as JSON."""
    head = {
        field.name: getattr(results, field.name)
        for field in dataclasses.fields(results)
        if field.name not in ("fills", "lists", "crossovers")
    }
    head["crossovers"] = [dataclasses.asdict(each) for each in results.crossovers]
    rows = [
        {
            "kernel": kernel,
            **dataclasses.asdict(each.case),
            "seconds": {
                name: {"median": rounded(times.median), "spread": rounded(times.spread)}
                for name, times in each.times.items()
            },
            "gains": {name: rounded(each.gain(name)) for name in each.times},
            "noise": rounded(each.noise),
            "winner": each.winner,
            "notes": each.notes,
        }
        for kernel, measured in (("fill", results.fills), ("list", results.lists))
        for each in measured
    ]
    return join_json(head, rows)
