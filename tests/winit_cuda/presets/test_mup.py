"""The maximal update parametrization: standard deviations by width."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import winit_cuda as winit


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(50, width)
        self.patches = nn.Conv1d(3, width, 5)
        self.q_proj = nn.Linear(width, width)
        self.down = nn.Linear(4 * width, width)
        self.convolution = nn.Conv1d(width, 2 * width, 3)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 50)


def made(width):
    with torch.device("meta"):
        return Model(width)


def stds(plan):
    found = {entry.name: entry.initializer for entry in plan}
    return {name: one.std for name, one in found.items() if isinstance(one, winit.Normal)}


# By table 3 of the paper, for widths 16 times those of the base.
EXPECTED = {
    "embedding.weight": 1.0,
    "patches.weight": 1.0,
    "q_proj.weight": 1 / 4,
    "down.weight": 1 / 4,
    "convolution.weight": 1 / 4,
    "head.weight": 1 / 16,
}


def test_by_width():
    plan = winit.plan(made(64), winit.presets.mup(made(4), std=0.5))
    assert stds(plan) == {name: 0.5 * factor for name, factor in EXPECTED.items()}
    assert plan["norm.weight"].initializer == winit.Ones()
    assert plan["head.bias"].initializer == winit.Zeros()


def test_the_base_itself():
    assert set(stds(winit.plan(made(4), winit.presets.mup(made(4)))).values()) == {0.02}


def test_query_and_output():
    rules = winit.presets.mup(made(4), std=0.5, query="*q_proj.weight", output_multiplier=True)
    plan = winit.plan(made(64), rules)
    assert plan["q_proj.weight"].initializer == winit.Zeros()
    assert stds(plan)["head.weight"] == 0.5
    assert stds(plan)["down.weight"] == 0.125


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: winit.presets.mup(256), TypeError, "presets.mup: base must be a torch.nn.Module"),
        (lambda: winit.presets.mup(made(4), std=-1), ValueError, "presets.mup: std must be finite"),
        (lambda: winit.presets.mup(made(4), query=3), TypeError, "presets.mup: query must be a"),
        (
            lambda: winit.plan(nn.Linear(2, 2), winit.presets.mup(made(4))),
            ValueError,
            "presets.mup: base must be a model with weight of 2 dimensions, got 'none of that",
        ),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
