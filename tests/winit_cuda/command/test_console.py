"""What the commands print with."""

from __future__ import annotations

import io
import time

import pytest

from winit_cuda._command.console import (
    CommandError,
    Progress,
    format_ratio,
    format_seconds,
    format_significant,
    markdown_table,
    require_rich,
    text_table,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.5e-9, "2.50 ns"),
        (1.234e-6, "1.23 us"),
        (0.0123, "12.3 ms"),
        (0.99999, "1.00 s"),
        (83.0, "83.0 s"),
        (4321.0, "4,321 s"),
    ],
)
def test_seconds_have_three_digits_and_a_unit(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (9.996, "10.0"), (12345.6, "12,346"), (1e-9, "1.00e-09")],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert format_significant(value) == text


def test_ratio() -> None:
    assert format_ratio(41.27) == "41.3x"


def test_text_table_aligns_and_keeps_what_looks_like_markup() -> None:
    table = text_table(["name", "n"], [["[x]", "10"], ["y" * 200, "7"]], "lr")
    head, rule, first, second = table.splitlines()
    assert head.split() == ["name", "n"]
    assert set(rule) == {"─"}
    assert first.split() == ["[x]", "10"]
    assert second == "y" * 200 + "   7"
    assert len(head) == len(first) == len(second)


def test_text_table_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    table = text_table(["name", "n"], [["word" * 20, "7"]], "lr")
    assert max(map(len, table.splitlines())) <= 40
    assert table.count("word") >= 18  # nothing is cut off; two may be folded


def test_without_rich_the_commands_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_rich()
    for missing in ("rich", "cpuinfo"):
        with monkeypatch.context() as context:
            context.setattr(
                "winit_cuda._command.console.find_spec", lambda name, no=missing: name != no or None
            )
            with pytest.raises(CommandError, match=r"pip install 'winit_cuda\[bench\]'"):
                require_rich()


def test_markdown_table() -> None:
    table = markdown_table(["name", "n"], [["x", "10"]], "lr")
    assert table == "| name | n |\n| :-- | --: |\n| x | 10 |"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["none", "dumb"])
def test_progress_without_a_terminal_is_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    log = io.StringIO() if kind == "none" else _Terminal()
    progress = Progress(9, log)
    for number in range(9):
        progress.step(f"case {number}")
        now += 25.0
    progress.clear()
    assert log.getvalue().splitlines() == ["3 of 9 done, now case 3", "6 of 9 done, now case 6"]


def test_progress_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal, log = _Terminal(), io.StringIO()
    for stream in (terminal, log):
        progress = Progress(2, stream)
        progress.step("first")
        progress.step("second")
        progress.clear()
    assert log.getvalue() == ""
    drawn = terminal.getvalue()
    assert "0/2" in drawn
    assert "1/2" in drawn
    assert "second" in drawn
