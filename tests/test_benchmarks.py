"""The benchmarks: what is measured, how, and how it is written down."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import torch
from winit_cuda.benchmarks import cases, command, measure, report

import winit_cuda
from winit_cuda import cli

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FAST = cases.Plan((), rounds=2, seconds_per_round=1e-4, budget=1.0)


def case(name: str, exponent: int = 4, dtype: str = "float32", threads: int = 1) -> cases.Case:
    return cases.Case(cases.INITIALIZERS[name], exponent, dtype, threads, "cpu")


# ---------------------------------------------------------------------------- cases


def test_every_initializer_of_torch_is_measured() -> None:
    in_torch = {name for name in dir(torch.nn.init) if re.fullmatch(r"[a-z]\w*_", name)}
    assert set(cases.INITIALIZERS) == in_torch


@pytest.mark.parametrize("name", cases.INITIALIZERS)
def test_shapes_have_the_size(name: str) -> None:
    for exponent in range(4, 27):
        shape = case(name, exponent).shape
        assert torch.Size(shape).numel() == 1 << exponent
        assert case(name, exponent).numel == 1 << exponent
    assert case("normal_", 9).shape == (16, 32)


@pytest.mark.parametrize(("text", "exponent"), [("2^4", 4), ("16777216", 24), ("2^31", 31)])
def test_sizes_are_powers_of_two(text: str, exponent: int) -> None:
    assert cases.parse_size(text) == exponent


@pytest.mark.parametrize("text", ["", "0", "-16", "8", "100", "2^3", "2^", "2^999", "3^4", "x"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        cases.parse_size(text)


def test_full_preset_spans_sizes_dtypes_and_threads() -> None:
    full = cases.plan("full", "cpu", 2).cases
    assert {each.exponent for each in full} == set(range(4, 27, 2))
    assert {each.threads for each in full} == {1, 2}
    assert {"float32", "bfloat16", "float16", "float64"} < {each.dtype for each in full}
    assert {each.initializer.name for each in full} == set(cases.INITIALIZERS)
    assert max(each.exponent for each in full if each.initializer.name == "sparse_") == 22


def test_choices_take_the_place_of_the_preset() -> None:
    chosen = cases.plan("quick", "cpu", 2, [24], ["float64"], [1], ["sparse_"]).cases
    assert [each.label for each in chosen] == ["sparse_ float64 2^24"]
    assert chosen[0].threads == 1


def test_targets_hold_the_goals() -> None:
    targets = cases.plan("targets", "cpu", 2).cases
    goals = {
        (each.initializer.name, each.exponent): cases.goal(each, all_threads=2)
        for each in targets
        if each.dtype == "float32"
    }
    assert goals["uniform_", 24] == 5
    assert goals["normal_", 24] == 4
    assert goals["trunc_normal_", 24] == 40
    assert all(goals[name, 4] == 1 for name in cases.INITIALIZERS)
    assert cases.goal(case("normal_", 24, threads=1), all_threads=2) is None
    assert cases.goal(case("normal_", 24, "bfloat16"), all_threads=1) is None


# ---------------------------------------------------------------------------- measuring


@pytest.mark.parametrize("name", cases.INITIALIZERS)
def test_every_initializer_can_be_measured(name: str) -> None:
    row = measure.measure(case(name), FAST)
    assert row.winit_cuda is not None
    assert row.torch is not None
    assert row.fill is not None
    assert row.winit_cuda.runs >= FAST.rounds
    assert row.ratio is not None
    assert 0 < row.ratio < 1000
    assert row.note == ""


def test_both_sides_have_the_same_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, set[int]] = {"ours": set(), "theirs": set()}
    monkeypatch.setattr(winit_cuda, "ones_", lambda _: seen["ours"].add(torch.get_num_threads()))
    monkeypatch.setattr(
        torch.nn.init, "ones_", lambda _: seen["theirs"].add(torch.get_num_threads())
    )
    before = torch.get_num_threads()
    measure.measure(case("ones_", threads=1), FAST)
    assert seen == {"ours": {1}, "theirs": {1}}
    assert torch.get_num_threads() == before


def test_a_side_that_cannot_is_left_out() -> None:
    row = measure.measure(case("uniform_", dtype="float8_e5m2"), FAST)
    assert row.torch is None
    assert row.ratio is None
    assert "torch.nn.init raises NotImplementedError" in row.note


def test_a_slow_side_gets_fewer_turns() -> None:
    plan = cases.Plan((), rounds=5, seconds_per_round=1e-4, budget=1e-9)
    row = measure.measure(case("ones_"), plan)
    assert row.winit_cuda is not None
    assert row.winit_cuda.capped
    assert row.ratio is not None


def test_what_does_not_fit_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.machine, "available_bytes", lambda: 1 << 20)
    row = measure.measure(case("normal_", 24), FAST)
    assert row.winit_cuda is None
    assert row.note.startswith("skipped: needs 0.3 GiB")


def test_interrupt_keeps_what_was_measured() -> None:
    def begin(each: cases.Case) -> None:
        if each.initializer.name == "zeros_":
            raise KeyboardInterrupt

    plan = cases.Plan((case("ones_"), case("zeros_")), 1, 1e-4, 1.0)
    rows, complete = measure.measure_all(plan, begin)
    assert [row.case.initializer.name for row in rows] == ["ones_"]
    assert not complete


# ---------------------------------------------------------------------------- reports


def made_up_report(rows: Sequence[measure.Row], complete: bool = True) -> report.Report:
    machine: dict[str, object] = {
        "date": "2025-03-04T05:06:07Z",
        "cpu": "Fast CPU (R) 9",
        "cuda_devices": [],
    }
    machine |= {"torch": "2.9", "winit_cuda": "0.1.0", "cores": 2}
    backend = winit_cuda.backend_info()
    return report.Report(
        "targets", "winit-cuda bench", "cpu", 2, complete, machine, backend, list(rows)
    )


def made_up_row(each: cases.Case, ratio: float) -> measure.Row:
    ours = measure.Timing(1e-3, 1e-5, 20, capped=False)
    theirs = measure.Timing(1e-3 * ratio, 0.0, 1, capped=True)
    fill = measure.Timing(5e-4, 1e-6, 30, capped=False)
    return measure.Row(each, ours, theirs, fill, ratio, 0.01, 0.5, "")


ROWS = [
    made_up_row(case("uniform_", 24, threads=2), 6.25),
    made_up_row(case("normal_", 24, threads=2), 3.5),
    made_up_row(case("normal_", 24, "bfloat16", threads=2), 9.0),
]


def test_text_shows_times_ratios_and_goals() -> None:
    text = report.as_text(made_up_report(ROWS))
    line = next(line for line in text.splitlines() if line.startswith("uniform_"))
    for cell in ("4096x4096", "1.00 ms ±1%", "6.25 ms (1)", "6.25x", "0.50", "16.8", "5x reached"):
        assert cell in line
    assert "4x MISSED" in text
    assert "(n): slow enough that its time budget allowed only n runs." in text


def test_long_reports_show_ratios_by_size() -> None:
    rows = [made_up_row(case("normal_", 4 + i % 20), 2.0) for i in range(report.MANY_ROWS + 1)]
    text = report.as_text(made_up_report(rows))
    assert "float32, 1 thread\n" in text
    assert "1.00 ms" not in text
    page = report.as_markdown(made_up_report(rows))
    assert "### float32, 1 thread" in page
    assert "1.00 ms" in page


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
        "threads": 2,
        "winit_cuda": {"median": 1e-3, "iqr": 1e-5, "runs": 20, "capped": False},
        "torch": {"median": 6.25e-3, "iqr": 0.0, "runs": 1, "capped": True},
        "fill": {"median": 5e-4, "iqr": 1e-6, "runs": 30, "capped": False},
        "ratio": 6.25,
        "ratio_iqr": 0.01,
        "fill_ratio": 0.5,
        "goal": 5.0,
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


def test_file_name_says_machine_and_date() -> None:
    assert report.file_stem(made_up_report(ROWS)) == "cpu-fast-cpu-2t-targets-2025-03-04"
    assert report.file_stem(made_up_report(ROWS, complete=False)).endswith("-incomplete")


# ---------------------------------------------------------------------------- the command

ONE_CASE = ["bench", "--quick", "--device", "cpu", "--sizes", "16", "--threads", "1"]
ONE_CASE += ["--dtypes", "float32", "--initializers", "ones"]


def test_bench_writes_json_and_markdown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main([*ONE_CASE, "--output", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^ones_ +float32 +4x4 +1 ", printed, re.MULTILINE)
    page, data = sorted((tmp_path / "new").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert (page.suffix, data.suffix) == (".md", ".json")
    assert f"wrote {page}" in printed
    written = json.loads(data.read_text())
    assert written["command"].startswith("winit-cuda bench --quick")
    assert [row["initializer"] for row in written["rows"]] == ["ones_"]


def test_json_alone_writes_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*ONE_CASE, "--json", "only.json"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["only.json"]


def test_results_folder_of_a_checkout_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "csrc").mkdir()
    (tmp_path / "winit_cuda").mkdir()
    assert cli.main(ONE_CASE) == 0
    assert len(list(command.RESULTS.iterdir())) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--threads", "0"],
        ["--threads", "many"],
        ["--initializers", "unknown"],
        ["--dtypes", "int8"],
        ["--sizes", "100"],
    ],
)
def test_bad_choices_exit_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", *words])
    assert stop.value.code == 2


def test_targets_take_no_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--preset", "targets", "--sizes", "16"]) == 2
    assert "fixed list" in capsys.readouterr().err
