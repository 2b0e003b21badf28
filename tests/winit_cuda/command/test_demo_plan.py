"""The end of ``winit-cuda demo``: a plan of a model that fits nowhere, and a build."""

from __future__ import annotations

import re

import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._command import demo_plan

pytestmark = needs_core


def small() -> nn.Module:
    return nn.Linear(64, 32)


def test_the_plan_of_llama_405b() -> None:
    large = demo_plan.Large("Llama", demo_plan.Llama)
    result = demo_plan.run(large, small, seed=0, repeats=1)
    assert result.parameters == 405_853_388_800
    assert re.search(r"layers.\{0-125\}.q_proj.weight +\(126\) +Normal\(std=0.02\)", result.text)
    assert "plan of Llama, 405,853,388,800 parameters: " in result.text
    assert result.growth is None or result.growth < 500 << 20


def test_the_large_model_has_the_sizes_of_llama_405b() -> None:
    with torch.device("meta"):
        model = demo_plan.large().factory()
    assert sum(parameter.numel() for parameter in model.parameters()) == 405_853_388_800


def test_what_is_built_has_the_values_of_the_plan() -> None:
    model, other = demo_plan.build(small, seed=3), small()
    winit.plan(small).run(other, seed=3)
    assert torch.equal(model.weight, other.weight)
