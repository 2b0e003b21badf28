"""The benchmarks: what is measured, how, and the command."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from winit_cuda.benchmarks import cases, command, many, matrices, measure, plans

import winit_cuda
from initializers import needs_core
from measurements import TwoTensors, made_up_row
from measurements import fill as case
from winit_cuda._command import cli
from winit_cuda._dispatch.many import fill_many

if TYPE_CHECKING:
    from pathlib import Path

FAST = plans.Plan((), rounds=2, seconds_per_round=1e-4, budget=1.0, reruns=0)


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
    full = plans.plan("full", "cpu", 2).cases
    assert {each.numel for each in full} == {1 << exponent for exponent in range(4, 27, 2)}
    assert {each.threads for each in full} == {1, 2}
    assert {"float32", "bfloat16", "float16", "float64"} < {each.dtype for each in full}
    assert {each.name for each in full} == set(cases.INITIALIZERS)
    assert max(each.numel for each in full if each.name == "sparse_") == 1 << 22


def test_one_thread_and_more_are_measured_one_after_the_other() -> None:
    full = plans.plan("full", "cpu", 2).cases
    for one, two in zip(full[::2], full[1::2], strict=True):
        assert (one.label, one.threads, two.threads) == (two.label, 1, 2)


def test_choices_take_the_place_of_the_preset() -> None:
    chosen = plans.plan("quick", "cpu", 2, [24], ["float64"], [1], ["sparse_"]).cases
    assert [each.label for each in chosen] == ["sparse_ float64 2^24"]
    assert chosen[0].threads == 1


GOALS_AT_16M = {
    ("uniform_", "float32"): cases.Goal(10, 0.45),
    ("xavier_uniform_", "float32"): cases.Goal(10, 0.45),
    ("normal_", "float32"): cases.Goal(8, 0.22),
    ("kaiming_normal_", "float32"): cases.Goal(8, 0.22),
    ("trunc_normal_", "float32"): cases.Goal(80, 0.20),
    ("constant_", "float32"): None,
    ("uniform_", "bfloat16"): cases.Goal(12),
    ("normal_", "bfloat16"): cases.Goal(9),
    ("uniform_", "float64"): cases.Goal(5),
    ("normal_", "float64"): cases.Goal(5),
}


def test_targets_hold_the_goals() -> None:
    targets = plans.plan("targets", "cpu", 2).cases
    goals = {
        (each.name, each.dtype, each.numel): cases.goal(each, all_threads=2) for each in targets
    }
    expected = {(*fill, 1 << 24): goal for fill, goal in GOALS_AT_16M.items()}
    expected |= {(name, "float32", 16): cases.Goal(1) for name in cases.INITIALIZERS}
    small = many.SmallTensors(dtype="float32", threads=2, device="cpu")
    expected[small.name, "float32", small.numel] = cases.Goal(10)
    expected |= {
        (each.name, each.dtype, each.numel): each.goal
        for each in matrices.target_matrices("cpu", 2)
    }
    assert goals == expected


def test_goals_are_for_all_threads_of_the_cpu() -> None:
    assert cases.goal(case("normal_", 24, threads=2), all_threads=2) == cases.Goal(8, 0.22)
    assert cases.goal(case("normal_", 24, threads=1), all_threads=2) is None
    assert cases.goal(case("normal_", 20, threads=2), all_threads=2) is None
    assert cases.goal(case("normal_", 4, "bfloat16", threads=2), all_threads=2) is None
    assert cases.goal(replace(case("normal_", 24), device="cuda"), all_threads=1) is None


def test_small_tensors_have_the_sizes_they_are_called_by() -> None:
    small = many.small_matrices()
    assert len(small) == 300
    sizes = sorted(matrix.rows * matrix.columns for matrix in small)
    assert 256 <= sizes[0] < 300
    assert 60_000 < sizes[-1] <= 65_536
    assert 3_500 < sizes[150] < 5_000  # the logarithm is uniform
    assert Counter(matrix.initializer for matrix in small) == {
        "kaiming_uniform_": 75,
        "xavier_normal_": 75,
        "normal_": 75,
        "uniform_": 75,
    }


@needs_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_small_tensors_are_filled_as_by_their_initializers(dtype: torch.dtype) -> None:
    keys = winit_cuda.split(winit_cuda.key(0), 300)
    for matrix, key in zip(many.small_matrices(), keys, strict=True):
        ours, single = (torch.empty(matrix.rows, matrix.columns, dtype=dtype) for _ in range(2))
        fill_many([matrix.job(ours)], [key])
        getattr(winit_cuda, matrix.initializer)(single, key=key)
        assert torch.equal(ours, single)


@needs_core
def test_small_tensors_can_be_measured() -> None:
    small = many.SmallTensors(dtype="float32", threads=2, device="cpu")
    row = measure.measure(small, FAST)
    assert row.note == ""
    assert None not in (row.winit_cuda, row.torch, row.fill)
    assert row.ratio is not None
    assert 0.5 < row.ratio < 1000


@pytest.mark.parametrize(("numel", "text"), [(1, "2^0"), (4096, "2^12"), (1000, "1,000")])
def test_sizes_in_words(numel: int, text: str) -> None:
    assert cases.elements(numel) == text


# ---------------------------------------------------------------------------- measuring


@pytest.mark.parametrize("name", cases.INITIALIZERS)
def test_every_initializer_can_be_measured(name: str) -> None:
    row = measure.measure(case(name), FAST)
    assert row.winit_cuda is not None
    assert row.torch is not None
    assert row.fill is not None
    assert row.winit_cuda.rounds == FAST.rounds
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
    plan = replace(FAST, rounds=5, budget=1e-9)
    row = measure.measure(case("ones_"), plan)
    assert row.winit_cuda is not None
    assert row.winit_cuda.capped
    assert row.winit_cuda.rounds == 1
    assert row.ratio is not None


def test_what_does_not_fit_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.machine, "available_bytes", lambda: 1 << 20)
    row = measure.measure(case("normal_", 24), FAST)
    assert row.winit_cuda is None
    assert row.note.startswith("skipped: needs 0.3 GiB")


def test_interrupt_keeps_what_was_measured() -> None:
    def begin(each: cases.Case) -> None:
        if each.name == "zeros_":
            raise KeyboardInterrupt

    plan = replace(FAST, cases=(case("ones_"), case("zeros_")))
    rows, complete = measure.measure_all(plan, measure.measure, begin)
    assert [row.case.name for row in rows] == ["ones_"]
    assert not complete


@pytest.mark.parametrize("microseconds", [100, 5000])
def test_a_time_is_that_of_one_call(microseconds: int) -> None:
    """As many calls as fit a round, or one that is longer than a round."""
    seconds = microseconds * 1e-6
    timer = measure._timer(lambda: time.sleep(seconds), 1)
    calls, first = measure._first_turn(timer, seconds_per_round=2e-3)
    assert seconds <= first < 10 * seconds
    assert 1 <= calls <= 2e-3 / seconds + 1
    assert seconds <= measure._time(timer, calls) < 10 * seconds


def test_a_call_longer_than_a_round_is_made_twice_a_turn() -> None:
    """Once to warm up: the slowest sides take seconds."""
    done: list[int] = []

    def call() -> None:
        done.append(0)
        time.sleep(2e-3)

    timer = measure._timer(call, 1)
    measure._first_turn(timer, seconds_per_round=1e-3)
    assert len(done) == 2
    measure._time(timer, 1)
    assert len(done) == 4


def test_other_work_than_one_fill_is_a_case() -> None:
    row = measure.measure(TwoTensors(dtype="float32", threads=1, device="cpu"), FAST)
    assert row.winit_cuda is not None
    assert row.torch is not None
    assert row.fill is None
    assert row.ratio is not None
    assert row.fill_ratio is None


CALM, SCATTERED, WILD = (0.01, 1.0), (0.2, 1.0), (0.9, 1.0)
WAITING = (0.01, 50.0)  # every parallel fill_ waits for a core, equally long


@pytest.mark.parametrize(
    ("measured", "kept", "reruns"),
    [
        ([CALM], CALM, 0),
        ([WILD, CALM], CALM, 1),
        ([WILD, SCATTERED, WILD], SCATTERED, 2),
        ([SCATTERED, WILD, WILD], SCATTERED, 2),
        ([WAITING, CALM], CALM, 1),
        ([WAITING, WAITING, SCATTERED], SCATTERED, 2),
    ],
)
def test_a_disturbed_case_is_measured_again(
    measured: list[tuple[float, float]],
    kept: tuple[float, float],
    reruns: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = case("normal_")
    rows = iter(made_up_row(one, 8.0, spread=spread, fill_ratio=part) for spread, part in measured)
    monkeypatch.setattr(measure, "_measure_once", lambda _case, _plan: next(rows))
    row = measure.measure(one, replace(FAST, reruns=2))
    assert (row.spread, row.fill_ratio) == pytest.approx(kept)
    assert row.reruns == reruns
    assert next(rows, None) is None
    assert row.disturbed == (kept != CALM)


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
