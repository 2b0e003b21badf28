"""The names of parameters: without wrappers, one for a tied one, one for a parametrized one."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._model.slots import buffer_slots, named_modules, slots


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = nn.Linear(2, 3)
        self.embedding = nn.Embedding(4, 3)
        self.head = nn.Linear(3, 4, bias=False)
        self.head.weight = self.embedding.weight
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.head(self.module(x)) * self.scale


NAMES = ["scale", "module.weight", "module.bias", "embedding.weight"]


def names(model):
    return [slot.name for slot in slots(model)]


def test_plain_names():
    model = Model()
    assert names(model) == NAMES
    found = {slot.name: slot for slot in slots(model)}
    assert found["embedding.weight"].aliases == ("head.weight",)
    assert found["embedding.weight"].tensor is model.head.weight
    assert found["module.bias"].owner is model.module
    assert found["scale"].owner is model


def test_wrappers():
    checkpointed = pytest.importorskip(
        "torch.distributed.algorithms._checkpoint.checkpoint_wrapper"
    ).checkpoint_wrapper
    model = Model()
    model.module = checkpointed(model.module)
    parallel = nn.DataParallel(torch.compile(model, backend="eager"))
    assert names(torch.compile(parallel, backend="eager")) == NAMES


def test_a_module_under_two_names():
    layer = nn.Linear(2, 2, bias=False)
    (slot,) = slots(nn.ModuleDict({"a": layer, "b": layer}))
    assert (slot.name, slot.aliases) == ("a.weight", ("b.weight",))


def test_modules_that_are_none_and_wrapped_twice():
    model = nn.Sequential(nn.BatchNorm1d(2), torch.compile(nn.Linear(2, 2), backend="eager"))
    model.register_module("none", None)
    model.register_buffer("nothing", None)
    wrapped = torch.compile(nn.DataParallel(model), backend="eager")
    first, second, third, last = slots(wrapped)[-4:]
    assert [first.name, second.name, third.name, last.name] == [
        "0.weight", "0.bias", "1.weight", "1.bias",
    ]  # fmt: skip
    assert first.around[0] is model
    assert last.owner is model[1]._orig_mod
    assert last.around[:2] == (model[1], model)
    assert [slot.name for slot in buffer_slots(wrapped)] == [
        "0.running_mean", "0.running_var", "0.num_batches_tracked",
    ]  # fmt: skip


def test_parametrized_weights():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 2)), nn.Linear(2, 2))
    assert names(model) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    weight, *others = slots(model)
    assert weight.is_computed
    assert not any(slot.is_computed for slot in others)
    values = torch.arange(6.0).view(2, 3) + 1
    weight.assign(values)
    assert torch.allclose(model[0].weight, values)
    assert isinstance(model[0].parametrizations.weight.original0, nn.Parameter)


def test_a_model_without_parameters():
    assert slots(nn.ReLU()) == []


class Inner(nn.Module):
    """A module that has the one around it, as torch registers any that is set."""

    def __init__(self, outer: nn.Module):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.outer = outer
        self.me = self

    def forward(self, x):
        return self.linear(x)


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.inner = Inner(self)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.inner(self.first(x)))


def test_modules_inside_of_themselves():
    """Torch's functions that give names take each once; we stop where a name would go on."""
    model = Outer()
    assert names(model) == [name for name, _ in model.named_parameters()]
    assert not any(slot.aliases for slot in slots(model))
    assert [slot.name for slot in buffer_slots(model)] == [
        name for name, _ in model.named_buffers()
    ]
    assert list(named_modules(model)) == list(model.named_modules())
    inner = model.inner  # from where the outer one is inside
    assert names(inner) == [name for name, _ in inner.named_parameters()]


@needs_core
def test_models_with_modules_inside_of_themselves():
    plan, model = winit.plan(Outer), Outer()
    assert len(plan.run(model, seed=0).filled) == 9
    built = winit.build(Outer, seed=0)
    assert all(map(torch.equal, built.parameters(), model.parameters()))
    assert winit.verify(model, plan, seed=0).ok
    report = winit.report(model, plan, torch.randn(4, 3))
    assert report.ok
    assert [layer.name for layer in report.activity.layers] == ["first", "inner.linear", "norm"]
    assert len(winit.initialize(model, seed=1).filled) == 9
    members = winit.ensemble(Outer, 2, seed=0)
    assert members.params["inner.linear.weight"].shape == (2, 3, 3)
