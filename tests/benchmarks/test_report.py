"""How the benchmarks write their results down: tables, notes, Markdown and JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from winit_cuda.benchmarks import report, tables

from measurements import TwoTensors, fill, made_up_report, made_up_row
from winit_cuda._command.console import markdown_table, text_table

if TYPE_CHECKING:
    from winit_cuda.benchmarks import measure

ROWS = [
    made_up_row(fill("uniform_", 24, threads=2, isa="avx2"), 6.25),
    made_up_row(fill("normal_", 24, threads=2, isa="avx2"), 3.5),
    made_up_row(fill("normal_", 24, "bfloat16", threads=2, isa="avx2"), 9.0),
]


def test_text_shows_times_ratios_and_goals() -> None:
    text = report.as_text(made_up_report(ROWS))
    line = next(line for line in text.splitlines() if line.startswith("uniform_"))
    for cell in ("4096x4096", "1.00 ms ±1%", "6.25 ms (1)", "6.25x", "0.50", "16.8"):
        assert cell in line
    assert line.endswith("7.5x MISSED")
    assert "(n): slow enough that its time budget allowed only n rounds." in text


def test_the_last_line_counts_the_goals() -> None:
    assert report.as_text(made_up_report(ROWS)).endswith(
        "\n\nGoals: 1 of 3 reached; missed: uniform_ float32 2^24 avx2 6.25x, goal 7.5x; "
        "normal_ float32 2^24 avx2 3.50x, goal 5.5x."
    )
    assert report.as_markdown(made_up_report(ROWS)).endswith("goal 5.5x.\n")
    reached = made_up_row(fill("normal_", 24, threads=2, isa="avx512"), 12.0)
    assert tables.goals_line([reached], 2) == "Goals: 2 of 2 reached."
    far_from_memory = replace(reached, fill_ratio=0.499)
    assert tables.goals_line([far_from_memory], 2) == (
        "Goals: 1 of 2 reached; missed: normal_ float32 2^24 avx512 0.499 of fill_, "
        "goal 0.50 of fill_."
    )
    assert tables.goals_line([reached], 4) == ""
    unmeasured = replace(reached, ratio=None, fill_ratio=None)
    assert tables.goals_line([unmeasured], 2).startswith("Goals: 0 of 2 reached")


def test_other_work_has_goals_too() -> None:
    row = made_up_row(TwoTensors(dtype="float32", threads=2, device="cpu"), 2.5)
    text = report.as_text(made_up_report([row]))
    line = next(line for line in text.splitlines() if line.startswith("two tensors"))
    assert "2x100" in line
    assert "3x MISSED" in line
    assert text.endswith("missed: two tensors float32 200 2.50x, goal 3x.")


def test_long_reports_show_ratios_by_size() -> None:
    rows = [made_up_row(fill("normal_", 4 + i % 20), 2.0) for i in range(report.MANY_ROWS + 1)]
    text = report.as_text(made_up_report(rows))
    assert "float32, 1 thread\n" in text
    assert "1.00 ms" not in text
    page = report.as_markdown(made_up_report(rows))
    assert "### float32, 1 thread" in page
    assert "## Throughput by number of elements" in page
    assert "### normal_\n" in page
    assert "1.00 ms" in page


def test_instruction_sets_stand_side_by_side() -> None:
    rows = [
        made_up_row(fill("normal_", 24, dtype, isa=isa), ratio)
        for dtype in ("float32", "float64")
        for isa, ratio in (("avx512", 12.0), ("portable", 0.5))
        if (dtype, isa) != ("float64", "portable")
    ]
    assert tables.by_isa(rows, markdown_table).splitlines() == [
        "| initializer | dtype | shape | threads | avx512 | portable |",
        "| :-- | :-- | :-- | --: | --: | --: |",
        "| normal_ | float32 | 4096x4096 | 1 | 12.0x, 1.00 ms | 0.500x, 1.00 ms |",
        "| normal_ | float64 | 4096x4096 | 1 | 12.0x, 1.00 ms | - |",
    ]
    assert tables.by_isa(rows[::2], markdown_table) == ""
    page = report.as_markdown(made_up_report(rows))
    assert "## Ratio and time by instruction set of the core" in page
    assert "| normal_ | float32 | 4096x4096 | 1 | portable | 1.00 ms" in page
    assert report.backend(made_up_report(rows)).startswith("winit_cuda on cpu: ")
    assert "(avx512, portable)" in report.backend(made_up_report(rows))
    titles = [title for title, _ in tables.ratios(rows, markdown_table)]
    assert titles == [
        "float32, 1 thread, avx512",
        "float32, 1 thread, portable",
        "float64, 1 thread, avx512",
    ]


def test_throughput_by_size_dtype_and_threads() -> None:
    rows = [
        made_up_row(
            fill(name, exponent, dtype, threads), 2.0, seconds=1e-3 / threads, fill_ratio=0.1
        )
        for name in ("uniform_", "normal_")
        for exponent in (24, 20)
        for dtype in ("float32", "bfloat16")
        for threads in (1, 2)
        if (exponent, dtype) != (24, "bfloat16")
    ]
    titled = tables.throughput(rows, markdown_table)
    assert [title for title, _ in titled] == ["fill_", "uniform_", "normal_"]
    assert titled[2][1].splitlines() == [
        "| elements | float32, 1 thread | float32, 2 threads "
        "| bfloat16, 1 thread | bfloat16, 2 threads |",
        "| --: | --: | --: | --: | --: |",
        "| 2^20 | 1.05 | 2.10 | 1.05 | 2.10 |",
        "| 2^24 | 16.8 | 33.6 | - | - |",
    ]
    assert titled[0][1].endswith("| 2^24 | 168 | 336 | - | - |")


@pytest.mark.parametrize(
    ("one", "two", "spread", "slower"),
    [
        (1e-3, 1.1e-3, 0.01, True),
        (1e-3, 1.1e-3, 0.06, False),  # within the spread of both together
        (1e-3, 1.02e-3, 0.0, False),  # too little to be told apart
        (1e-3, 0.5e-3, 0.0, False),
    ],
)
def test_more_threads_may_not_be_slower(
    one: float, two: float, spread: float, slower: bool
) -> None:
    def row(threads: int, seconds: float) -> measure.Row:
        case = fill("normal_", 12, threads=threads)
        return made_up_row(case, 2.0, seconds=seconds, spread=spread)

    rows = [
        made_up_row(fill("normal_", 12, "float64"), 2.0, seconds=1e-6),
        row(1, one),
        made_up_row(fill("ones_", 12), 2.0, seconds=1e-6),
        row(2, two),
    ]
    first, *rest = tables.threads_check(rows, text_table).splitlines()
    assert first == f"Slower with more threads than with one: {int(slower)} of 1 cases."
    assert len(rest) == 4 * slower
    if slower:
        assert rest[-1].split()[:4] == ["normal_", "float32", "64x64", "2"]
        assert rest[-1].endswith("1.10x")
    assert first in report.as_text(made_up_report(rows))
    assert first in report.as_markdown(made_up_report(rows))


def test_nothing_is_said_of_threads_that_were_not_measured() -> None:
    assert tables.threads_check(ROWS, text_table) == ""
    assert "More threads" not in report.as_markdown(made_up_report(ROWS))


def test_markdown_is_well_formed() -> None:
    page = report.as_markdown(made_up_report(ROWS, complete=False))
    assert page.startswith("# Fills on Fast CPU (R) 9, 2 threads\n")
    assert "Written by `winit-cuda bench` on 2025-03-04" in page
    assert "- torch: 2.9" in page
    assert "INCOMPLETE" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(ROWS)
    assert len({line.count("|") for line in table}) == 1


def test_json_has_the_schema() -> None:
    data = json.loads(report.as_json(made_up_report(ROWS)))
    assert data["complete"] is True
    assert data["backend"]["devices"][0]["device"] == "cpu"
    assert len(data["rows"]) == 3
    assert data["rows"][0] == {
        "initializer": "uniform_",
        "dtype": "float32",
        "shape": [4096, 4096],
        "elements": 1 << 24,
        "threads": 2,
        "isa": "avx2",
        "winit_cuda": {"median": 1e-3, "iqr": 1e-5, "rounds": 20, "capped": False},
        "torch": {"median": 6.25e-3, "iqr": 0.0, "rounds": 1, "capped": True},
        "fill": {"median": 5e-4, "iqr": 0.0, "rounds": 30, "capped": False},
        "ratio": 6.25,
        "ratio_iqr": 0.01,
        "fill_ratio": 0.5,
        "goal": {"ratio": 7.5, "of_fill": None},
        "reruns": 0,
        "note": "",
    }


def test_an_empty_report_can_be_written() -> None:
    empty = made_up_report([], complete=False)
    assert json.loads(report.as_json(empty))["rows"] == []
    assert "INCOMPLETE" in report.as_text(empty)


def test_a_busy_machine_is_told() -> None:
    busy = made_up_report(ROWS)
    assert "busy" not in report.as_text(busy)
    busy.machine["load"] = 3.5
    assert "The machine was busy at the start (load 3.5)" in report.as_text(busy)


def test_disturbed_cases_are_told() -> None:
    assert "again" not in report.as_text(made_up_report(ROWS))
    again = [replace(row, reruns=1) for row in ROWS[:2]]
    text = report.as_text(made_up_report([*again, ROWS[2]]))
    assert (
        "kept: uniform_ float32 2^24 avx2 (2 threads), normal_ float32 2^24 avx2 (2 threads)."
        in text
    )
    assert "DISTURBED" not in text
    wild = made_up_row(fill("normal_"), 2.0, spread=0.5)
    text = report.as_text(made_up_report([wild] * 6))
    assert "DISTURBED all the same, times and ratios may be wrong: 6 cases." in text


def test_file_name_says_machine_and_date() -> None:
    assert report.file_stem(made_up_report(ROWS)) == "cpu-fast-cpu-2t-targets-2025-03-04"
    assert report.file_stem(made_up_report(ROWS, complete=False)).endswith("-incomplete")


def test_file_name_says_what_torch_was_held_to() -> None:
    """So that such a run never replaces the one against torch as it is."""
    forced = made_up_report(ROWS)
    forced.machine["torch_simd"] = "DEFAULT (forced)"
    assert report.file_stem(forced) == "cpu-fast-cpu-2t-targets-torch-default-2025-03-04"
    assert "- torch_simd: DEFAULT (forced)" in report.as_markdown(forced)
