"""What the commands print with: tables for a terminal and for Markdown, units, and a progress bar.

Tables and bars are rich's, which the extra ``bench`` brings; ``winit-cuda info`` needs neither.
"""

from __future__ import annotations

import io
import math
import shutil
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence


_ANY_WIDTH = 10_000  # a file has no edge
_SECONDS_OF_SILENCE = 60.0


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


def require_rich() -> None:
    """Raise where the packages that `demo` and `bench` print with are not there."""
    if find_spec("rich") is None or find_spec("cpuinfo") is None:
        raise CommandError("this needs rich and py-cpuinfo: pip install 'winit_cuda[bench]'")


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Lay out a table of aligned columns; on a terminal that is too narrow, cells are folded.

    Args:
        header: the column titles.
        rows: one sequence of cells each, as long as the header.
        align: one ``l`` or ``r`` per column.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    table = Table(
        box=box.SIMPLE_HEAD if unicode else box.ASCII2, show_edge=False, padding=(0, 1, 0, 0)
    )
    for title, side in zip(header, align, strict=True):
        table.add_column(title, justify="left" if side == "l" else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _ANY_WIDTH
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as printed:
        console.print(table)
    return "\n".join(line.rstrip() for line in printed.get().splitlines())


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """The same table in Markdown, which rich writes without the columns' alignment."""
    rule = [":--" if side == "l" else "--:" for side in align]
    lines = (header, rule, *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Progress:
    """A bar on stderr, drawn when something begins; where that cannot be, a line a minute.

    Nothing runs beside the measurements: the bar is not refreshed by a thread.
    """

    def __init__(self, total: int, file: TextIO | None = None) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._file = file or sys.stderr
        console = Console(file=self._file)
        self._bar = Progress(
            BarColumn(30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not console.is_terminal or console.is_dumb_terminal,
        )
        self._task = self._bar.add_task("", total=total)
        self._total, self._begun = total, 0
        self._told = time.monotonic()

    def step(self, label: str) -> None:
        """Draw what begins now; what was begun before counts as done."""
        self._bar.start()
        self._bar.update(self._task, completed=self._begun, description=label)
        self._bar.refresh()
        if self._bar.disable and time.monotonic() - self._told >= _SECONDS_OF_SILENCE:
            self._told = time.monotonic()
            print(f"{self._begun} of {self._total} done, now {label}", file=self._file, flush=True)
        self._begun += 1

    def clear(self) -> None:
        """Wipe the bar, so that what is printed next starts clean."""
        self._bar.stop()
