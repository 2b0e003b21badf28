"""How a case is measured: turns, threads, interrupts, disturbances."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch.utils.benchmark import Timer
from winit_cuda.benchmarks import cases, measure, plans

import winit_cuda
from measurements import TwoTensors, made_up_row
from measurements import fill as case

FAST = plans.Plan((), rounds=2, seconds_per_round=1e-4, budget=1.0, reruns=0)


@pytest.mark.parametrize("name", cases.INITIALIZERS)
def test_every_initializer_can_be_measured(name: str) -> None:
    row = measure.measure(case(name), FAST)
    assert row.winit_cuda is not None
    assert row.torch is not None
    assert row.fill is not None
    assert row.winit_cuda.rounds == FAST.rounds
    assert row.ratio is not None
    assert row.ratio > 0
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
    assert re.search("torch.nn.init raises (NotImplemented|Runtime)Error", row.note)


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


class Clock:
    """A clock that only the calls of a benchmark move, by their seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.calls = seconds, 0

    def call(self) -> None:
        self.calls += 1

    def timer(self) -> Timer:
        return Timer("call()", globals={"call": self.call}, timer=lambda: self.calls * self.seconds)


@pytest.mark.parametrize("seconds", [1e-5, 1e-4, 1.5e-3, 5e-3, 1.0])
def test_a_time_is_that_of_one_call(seconds: float) -> None:
    """As many calls as fit a round, or one that is longer than a round."""
    clock = Clock(seconds)
    calls, first = measure._first_turn(clock.timer(), seconds_per_round=2e-3)
    assert first == pytest.approx(seconds)
    assert calls == pytest.approx(max(1, 2e-3 / seconds), abs=1)
    assert measure._time(clock.timer(), calls) == pytest.approx(seconds)


@pytest.mark.parametrize("seconds", [2e-3, 1.0])
def test_a_call_longer_than_a_round_is_made_twice_a_turn(seconds: float) -> None:
    """Once to warm up: the slowest sides take seconds."""
    clock = Clock(seconds)
    measure._first_turn(clock.timer(), seconds_per_round=1e-3)
    assert clock.calls == 2
    measure._time(clock.timer(), 1)
    assert clock.calls == 4


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
