"""What the commands print with: tables for a terminal and for Markdown, units, and a progress bar.

Plain text only, no dependency: the output has to read well in a terminal, a log file and an issue.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence


class CommandError(Exception):
    """What a command cannot do: its message is for the user, without a traceback."""


def format_seconds(seconds: float) -> str:
    """A duration with three significant digits and the unit that fits: ``1.23 ms``."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= 0.9995 * scale:
            return f"{format_significant(seconds / scale)} {unit}"
    return f"{format_significant(seconds * 1e9)} ns"


def format_significant(value: float) -> str:
    """Three significant digits, with no exponent where that stays short: ``0.0123``, ``1,234``."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{value:,.{digits}f}" if digits <= 6 else f"{value:.2e}"


def format_ratio(ratio: float) -> str:
    """How many times as fast: ``12.3x``."""
    return f"{format_significant(ratio)}x"


def elide(text: str, width: int) -> str:
    """``text`` cut in the middle to at most ``width`` characters; both ends tell layers apart."""
    if len(text) <= width:
        return text
    tail = (width - 3) * 2 // 3
    return f"{text[: width - 3 - tail]}...{text[len(text) - tail :]}"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Lay out a table of aligned columns.

    Args:
        header: the column titles.
        rows: one sequence of cells each, as long as the header, or a single cell that spans the
            table.
        align: one ``l`` or ``r`` per column.
    """
    cells = [header, *(row for row in rows if len(row) > 1)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [_line(header, widths, align), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths, align) if len(row) > 1 else row[0] for row in rows]
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], align: str) -> str:
    cells = (
        cell.ljust(width) if side == "l" else cell.rjust(width)
        for cell, width, side in zip(row, widths, align, strict=True)
    )
    return "  ".join(cells).rstrip()


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """The same table in Markdown."""
    rule = [":--" if side == "l" else "--:" for side in align]
    lines = (header, rule, *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Progress:
    """A one-line progress bar on stderr, drawn only where stderr is a terminal."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty()
        self._total, self._done, self._start = total, 0, time.monotonic()

    def step(self, label: str) -> None:
        """Draws what begins now; what was begun before counts as done."""
        if self._shown:
            filled = 30 * self._done // max(self._total, 1)
            elapsed = time.monotonic() - self._start
            left = (
                f"{elapsed / self._done * (self._total - self._done):.0f} s left"
                if self._done
                else ""
            )
            bar = f"[{'#' * filled}{'.' * (30 - filled)}] {self._done}/{self._total}"
            self._stream.write(f"\r{bar} {left:>11} {elide(label, 30):30}")
            self._stream.flush()
        self._done += 1

    def clear(self) -> None:
        """Wipe the line, so that what is printed next starts clean."""
        if self._shown:
            self._stream.write("\r" + " " * 90 + "\r")
            self._stream.flush()
