"""Accelerated work against plain, as it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from winit_cuda.benchmarks import accelerate

from initializers import needs_core

if TYPE_CHECKING:
    import pytest

pytestmark = needs_core


def test_sides_take_turns_and_one_of_them_is_accelerated() -> None:
    codes = []
    case = accelerate.Case("work", lambda: codes.append(nn.init.normal_.__code__), calls=2)
    result = accelerate.measure(case, rounds=3)
    plain = nn.init.normal_.__code__
    assert [code is plain for code in codes[::2]] == [
        *(False, True, True, False, False, True, True, False)
    ]
    assert result.plain.rounds == result.accelerated.rounds == 3
    assert result.ratio > 0


def test_every_case_runs_and_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerate, "build", lambda: nn.Linear(4, 4))
    cases = [accelerate.Case(case.name, case.call) for case in accelerate.cases()]
    lines = accelerate.as_markdown([accelerate.measure(case, 1) for case in cases]).splitlines()
    assert len(lines) == len(cases) + 2
    assert torch.is_grad_enabled()
    assert lines[2].startswith("| build of a decoder of GPT-2's size")
