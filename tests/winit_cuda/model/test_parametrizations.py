"""Parametrizations that have parameters of their own."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core


class Scaled(nn.Module):
    """A parametrization with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.empty(4, 1).uniform_(1, 2))

    def forward(self, values):
        return values * self.scale

    def right_inverse(self, values):
        return values / self.scale


def test_parameters_of_parametrizations():
    """They are no part of what follows from the weight, and its values hold with the new ones."""

    def make():
        layer = nn.Linear(4, 4)
        parametrize.register_parametrization(layer, "weight", Scaled())
        return layer

    name = "parametrizations.weight.0.scale"
    plan = winit.plan(make)
    assert {entry.name for entry in plan} == {"weight", "bias", name}
    assert plan[name].initializer == winit.Uniform(1.0, 2.0)
    filled, built = make(), winit.build(make, 0)
    plan.run(filled, 0)
    for own, other in zip(filled.parameters(), built.parameters(), strict=True):
        assert torch.equal(own, other)
    key = winit.fold_in(winit.key(0), name)
    assert torch.equal(built.get_parameter(name), winit.uniform_(torch.empty(4, 1), 1, 2, key=key))
    assert winit.initialize(make(), 0).unwritten == [name]
    ruled = make()
    winit.plan(ruled, {"weight": winit.Ones(), "*": winit.Constant(3)}).run(ruled, 0)
    assert torch.allclose(ruled.weight, torch.ones(4, 4))
