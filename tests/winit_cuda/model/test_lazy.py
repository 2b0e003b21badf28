"""Lazy modules in constructors: with laws once a forward has given them shapes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core


class Lazy(nn.Module):
    """Calls itself, so that all of it has shapes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten())
        with torch.device("cpu"):
            self.head = nn.LazyLinear(2)
        self.unused = copy.deepcopy(self.head)
        self(torch.zeros(2, 3, 4, 4))
        nn.init.zeros_(self.head.bias)

    def forward(self, batch):
        return self.head(self.layers(batch)) + self.unused(self.layers(batch))


def test_a_constructor_that_calls_its_model():
    plan = winit.plan(Lazy)
    plan, real, model = winit.Plan.from_json(plan.to_json()), Lazy(), Lazy()
    assert {entry.name: entry.shape for entry in plan} == {
        name: tuple(tensor.shape) for name, tensor in real.state_dict().items()
    }
    assert plan["layers.0.weight"].initializer == winit.KaimingUniform(a=5**0.5)
    assert plan["head.bias"].initializer == winit.Zeros()
    assert plan["unused.weight"].kind == "law"
    plan.run(model, seed=0)
    # Of zeros, the convolution gives its bias everywhere; there were two forward passes.
    bias = model.layers[0].bias.detach()
    assert torch.allclose(model.layers[1].running_mean, (1 - 0.9**2) * bias)
    assert torch.allclose(model.layers[1].running_var, torch.full((4,), 0.9**2))


def test_what_is_still_lazy():
    def factory():
        return nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(4), nn.LazyBatchNorm1d())

    plan = winit.plan(factory, {"*.weight": winit.Ones()})
    assert [entry.name for entry in plan if entry.kind == "unset"] == [
        "1.weight", "1.bias", "2.weight", "2.bias", "2.running_mean", "2.running_var"
    ]  # fmt: skip
    assert plan["1.weight"].note.startswith("lazy")
    model = factory()
    with pytest.raises(ValueError, match=r"1\.weight has no law \(lazy: the factory is to call"):
        plan.run(model, seed=0)
    assert plan.run(model, seed=0, strict=False).filled[:2] == ["0.weight", "0.bias"]
    model(torch.zeros(2, 2))
    assert model[1].weight.shape == (4, 3)


def test_an_instance_that_is_still_lazy():
    def factory(is_called=True):
        model = nn.Sequential(nn.LazyLinear(4))
        if is_called:
            model(torch.zeros(1, 3))
        return model

    with pytest.raises(ValueError, match=r"Plan\.run: 0\.weight is lazy, and has no shape yet"):
        winit.plan(factory).run(factory(is_called=False), seed=0)
    with pytest.raises(
        ValueError, match=r"plan: model must be without lazy parameters.*: 0\.weight"
    ):
        winit.plan(factory(is_called=False), {"*": winit.Zeros()})
