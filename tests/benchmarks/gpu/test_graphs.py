"""Timing launches in turns: the arithmetic, the memory they write, and the order."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
import torch

from benchmarks.gpu import graphs


def test_the_median_and_the_spread():
    times = graphs.Times((1.0, 2.0, 3.0, 4.0, 10.0))
    assert times.median == 3
    assert times.spread == pytest.approx(2 / 3)
    assert graphs.Times((2.0,)).spread == 0


def test_a_ratio_is_that_of_single_rounds():
    """A clock that halves in the middle changes no ratio."""
    sides = {"a": graphs.Times((1.0, 1.0, 2.0)), "b": graphs.Times((3.0, 3.0, 6.0))}
    assert graphs.relative(sides, "a", "b") == 3
    assert graphs.relative(sides, "b", "a") == pytest.approx(1 / 3)


def test_slices_lie_apart_and_begin_aligned():
    memory = graphs.slices(1003, torch.bfloat16, "cpu")
    assert len(memory) > 1
    assert {each.numel() for each in memory} == {1003}
    starts = [each.data_ptr() - memory[0].data_ptr() for each in memory]
    assert starts == [2048 * number for number in range(len(memory))]


def test_a_tensor_larger_than_the_pool_has_one_slice():
    assert len(graphs.slices(1 << 20, torch.float32, "cpu")) == 1


def test_sides_take_turns_back_and_forth():
    calls: list[tuple[str, int]] = []
    sides = {name: lambda number, name=name: calls.append((name, number)) for name in "ab"}
    times = graphs.take_turns(sides, launches=2, rounds=2, device="cpu")
    assert [name for name, number in calls if number == 0] == list("baabba")
    assert {len(each.rounds) for each in times.values()} == {2}
    assert {number for _, number in calls} == {0, 1}


class Device:
    """Stands for torch.cuda: it notes what happens, and every replay takes 3 ms."""

    def __init__(self):
        self.events: list[str] = []

    def note(self, what: str):
        return lambda *_, **__: self.events.append(what)

    @contextlib.contextmanager
    def stream(self, _stream):
        self.events.append("other stream")
        yield
        self.events.append("stream before")

    def graph(self):
        names = {"capture_begin": "begin", "capture_end": "end", "replay": "replay"}
        return SimpleNamespace(**{name: self.note(what) for name, what in names.items()})

    def event(self, *, enable_timing):
        assert enable_timing
        return SimpleNamespace(
            record=self.note("event"),
            synchronize=self.note("wait"),
            elapsed_time=lambda _end: 3.0,
        )


@pytest.fixture
def device(monkeypatch):
    made = Device()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", made.graph)
    monkeypatch.setattr(torch.cuda, "Event", made.event)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "stream", made.stream)
    monkeypatch.setattr(torch.cuda, "synchronize", made.note("wait"))
    return made


def test_launches_are_captured_once_and_replayed_between_events(device):
    times = graphs.take_turns({"a": device.note("launch")}, launches=2, rounds=1, device="cuda")
    captured = ["other stream", "begin", "launch", "launch", "end", "stream before"]
    replay = ["event", "replay", "event", "wait"]
    assert device.events == ["launch", "wait", *captured, *replay, *replay]
    assert times["a"].rounds == (0.0015,)


def test_a_launch_that_fails_ends_the_capture(device):
    def launch(_number):
        if "begin" in device.events:
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        graphs.take_turns({"a": launch}, launches=2, rounds=1, device="cuda")
    assert device.events[-2:] == ["begin", "end"]


def test_a_call_is_timed_by_the_clock():
    calls = []
    seconds = graphs.seconds_of_a_call(lambda: calls.append(1), "cpu", calls=4)
    assert len(calls) == 13  # one warms up
    assert 0 < seconds < 1
