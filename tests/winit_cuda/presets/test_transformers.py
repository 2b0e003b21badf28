"""Rules of GPT-2 and Llama, against models that are written with these laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import models
import winit_cuda as winit

STD = 0.02


def llama(layers):
    """The parameters of a Llama, by their names."""
    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    mlp = ("gate_proj", "up_proj", "down_proj")
    return nn.ModuleDict(
        {
            "embed_tokens": nn.Embedding(16, 8),
            "layers": nn.ModuleList(
                nn.ModuleDict(
                    {
                        "self_attn": nn.ModuleDict({one: nn.Linear(8, 8, False) for one in names}),
                        "mlp": nn.ModuleDict({one: nn.Linear(8, 8, False) for one in mlp}),
                        "input_layernorm": nn.RMSNorm(8),
                    }
                )
                for _ in range(layers)
            ),
            "norm": nn.RMSNorm(8),
        }
    )


def test_gpt2_as_its_constructor_has_it():
    read = winit.plan(models.GPT)
    with torch.device("meta"):
        model = models.GPT()
    ruled = winit.plan(model, winit.presets.gpt2(layers=2, residual="*projection.weight"))
    for entry in ruled:
        assert entry.initializer.law(entry.shape).numbers == pytest.approx(
            read[entry.name].initializer.law(entry.shape).numbers
        ), entry.name


def test_llama():
    with torch.device("meta"):
        model = llama(3)
    plan = winit.plan(model, winit.presets.llama(STD))
    for entry in plan:
        assert entry.initializer == (
            winit.Ones() if "norm" in entry.name else winit.Normal(std=STD)
        ), entry.name


@pytest.mark.parametrize("prefix", ["", "model."])
def test_depth_scaled(prefix):
    with torch.device("meta"):
        model = nn.ModuleDict({"model": llama(12)}) if prefix else llama(12)
    plan = winit.plan(model, winit.presets.llama(depth_scaled=True))
    for layer in (0, 1, 11):
        scaled = winit.Normal(std=STD / math.sqrt(2 * (layer + 1)))
        assert plan[f"{prefix}layers.{layer}.self_attn.o_proj.weight"].initializer == scaled
        assert plan[f"{prefix}layers.{layer}.mlp.down_proj.weight"].initializer == scaled
        up = plan[f"{prefix}layers.{layer}.mlp.up_proj.weight"]
        assert up.initializer == winit.Normal(std=STD)


def test_vectors_that_are_no_norms():
    model = nn.Linear(3, 4)
    model.scale = nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=r"no rule matches: scale \(1 in all\)"):
        winit.plan(model, winit.presets.llama())


def test_rules_that_are_joined_and_shown():
    rules = {"*.head.weight": winit.Zeros(), **winit.presets.gpt2(2, residual="*out.weight")}
    assert list(rules) == ["*.head.weight", "*out.weight", "*"]
    assert "Normal(std=0.01)" in str(rules)
    with pytest.raises(ValueError, match=r"idle rules: '\*c_proj.weight'"):
        winit.plan(nn.Linear(2, 2), winit.presets.gpt2(2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: winit.presets.gpt2(0), ValueError, "presets.gpt2: layers must be at least 1"),
        (lambda: winit.presets.gpt2(2.0), TypeError, "presets.gpt2: layers must be an integer"),
        (lambda: winit.presets.gpt2(2, std=-1), ValueError, "presets.gpt2: std must be finite"),
        (lambda: winit.presets.gpt2(2, residual=3), TypeError, "presets.gpt2: residual must be a"),
        (lambda: winit.presets.llama("1"), TypeError, "presets.llama: std must be a number"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
