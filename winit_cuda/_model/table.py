"""A plan as a table that a person reads: repeated layers are one row, what is odd comes first."""

from __future__ import annotations

import math
import re
import shutil
import sys
from typing import TYPE_CHECKING

from .expectation import std_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .entries import Entry

# So many pieces of a tensor are shown.
_FEW = 3
# A longer cell sticks out of its column.
_WIDEST = 80
# A step of a name that is an index; "01" is none.
_NUMBER = re.compile(r"(?<![^.])(?:0|[1-9][0-9]*)(?![^.])")
_HEADER = ("name", "initializer", "shape", "dtype", "std")


def table(entries: list[Entry]) -> str:
    """The rows, those without a law first, and the totals."""
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        law = in_words(entry)
        what = (template(entry.name), law, entry.shape, entry.dtype, bool(entry.aliases))
        groups.setdefault(what, []).append(entry)
    ordered = sorted(groups.values(), key=lambda group: group[0].is_planned)
    lines = aligned([_HEADER, *map(_row, ordered)], heads=2)
    elements = sum(math.prod(entry.shape) for entry in entries)
    unset = sum(not entry.is_planned for entry in entries)
    total = f"{len(entries):,} tensors, {elements:,} elements"
    return "\n".join([*lines, total + (f", {unset:,} without a law" if unset else "")])


def aligned(rows: Sequence[Sequence[str]], heads: int) -> list[str]:
    """The rows as lines of aligned columns.

    On a terminal that is too narrow for them, the first columns, so many as `heads`, stand on a
    line of their own above the others.
    """
    lines = _aligned(rows)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf
    if max(map(len, lines)) <= width:
        return lines
    above = ("  ".join(filter(None, row[:heads])) for row in rows)
    below = _aligned([("", "", *row[heads:]) for row in rows])
    return [line for both in zip(above, below, strict=True) for line in both if line]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [min(_WIDEST, max(map(len, column))) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def printable(name: str) -> str:
    """The name without what a terminal would take for a command."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def template(name: str) -> str:
    """The name without the numbers of layers."""
    return _NUMBER.sub("*", name)


def _row(group: list[Entry]) -> tuple[str, ...]:
    first = group[0]
    name = first.name
    if len(group) > 1:
        name = f"{as_one([entry.name for entry in group])}  ({len(group)})"
    if first.aliases:
        name += f" = {', '.join(first.aliases)}"
    if first.is_buffer:
        name += "  (buffer)"
    shape = " x ".join(map(str, first.shape)) or "scalar"
    std = math.nan if first.law is None else std_of(first.law, first.shape)
    return printable(name), in_words(first), shape, first.dtype, number(std)


def number(value: float) -> str:
    """A number of a table; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:.4g}"


def in_words(entry: Entry) -> str:
    """The law in words."""
    laws = [] if entry.initializer is None else [repr(entry.initializer)]
    if entry.key_name and laws:
        laws[0] += f" of {entry.key_name}"
    for piece in entry.pieces[:_FEW]:
        dims = list(zip(piece.offsets, piece.sizes, entry.shape, strict=True))
        while len(dims) > 1 and dims[-1][1] == dims[-1][2]:
            dims.pop()
        ranges = (":" if n == size else f"{a}:{a + n}" for a, n, size in dims)
        laws.append(f"[{', '.join(ranges)}] = {piece.initializer!r}")
    if len(entry.pieces) > _FEW:
        laws.append(f"... ({len(entry.pieces)} pieces)")
    if entry.program is not None:
        laws = ["data" if entry.program.is_data else re.sub(r", \S*/", ", ", entry.note)]
    described = ", ".join(laws) or f"none{f': {entry.note}' if entry.note else ''}"
    return re.sub(r"\d+\.\d{5,}(e-?\d+)?", lambda found: f"{float(found[0]):.4g}", described)


def as_one(names: list[str]) -> str:
    """The names as one: numbers that differ as the range that they span."""
    steps = [name.split(".") for name in names]
    folded = []
    for column in zip(*steps, strict=True):
        if len(set(column)) == 1:
            folded.append(column[0])
        elif not all(map(_NUMBER.fullmatch, column)):  # one is called "*"
            folded.append("*")
        else:
            numbers = sorted(map(int, set(column)))
            folded.append(f"{{{numbers[0]}-{numbers[-1]}}}")
    return ".".join(folded)
