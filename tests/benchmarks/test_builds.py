"""Whole models against plain torch, as they are measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from torch import nn
from winit_cuda.benchmarks import build_cases, builds

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._command import demo_plan

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

pytestmark = needs_core


def test_sides_take_turns_and_one_of_them_is_accelerated() -> None:
    codes = []

    def work() -> None:
        codes.append(nn.init.normal_.__code__)

    case = build_cases.Case("work", work, work, winit.accelerate, calls=2)
    result = builds.measure(case, rounds=3)
    plain = nn.init.normal_.__code__
    assert [code is plain for code in codes[::2]] == [
        *(False, True, True, False, False, True, True, False)
    ]
    assert result.plain.rounds == result.winit_cuda.rounds == 3
    assert result.ratio > 0


def test_every_case_is_measured_and_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def small() -> nn.Module:
        return nn.Linear(4, 4)

    monkeypatch.setattr(demo_plan, "gpt2", small)
    large = demo_plan.Large("a model", lambda: demo_plan.Llama(layers=1))
    monkeypatch.setattr(demo_plan, "large", lambda: large)
    calls = {"calls": 1, "is_wall": False}
    quick = [build_cases.Case(**{**vars(case), **calls}) for case in build_cases.cases()]
    monkeypatch.setattr(builds, "cases", lambda: quick)
    assert builds.main(["--rounds", "1", "--output", str(tmp_path)]) == 0
    (data,) = (json.loads(file.read_text()) for file in tmp_path.glob("*-builds-*.json"))
    assert [one["name"] for one in data["results"]] == [case.name for case in quick]
    assert [one["most_seconds"] for one in data["plans"]] == [None, 2.0, 0.3]
    (text,) = (file.read_text() for file in tmp_path.glob("*-builds-*.md"))
    for one in data["results"] + data["plans"]:
        assert f"| {one['name']} |" in text
    assert torch.is_grad_enabled()


def test_what_misses_its_goal_is_marked() -> None:
    plan = builds.PlanResult("p", 3.0, 10, 2.0, None)
    assert not plan.is_met
    assert builds.PlanResult("p", 1.0, 10, 2.0, 9).is_met is False
    facts = dict.fromkeys(
        ("cpu", "simd_active", "threads", "torch", "winit_cuda", "commit", "date", "load"), "x"
    )
    assert "| p | 3.00 s | 0 MB | 2.00 s, missed |" in builds.as_markdown(facts, [plan], [])
