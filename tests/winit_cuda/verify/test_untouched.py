"""That a report leaves nothing in a model, nor in a generator, whatever the forward pass does."""

from __future__ import annotations

import collections
import math
import random
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import winit_cuda as winit


def report(model: nn.Module) -> None:
    """A report on a model with four inputs."""
    winit.report(model, batch=torch.randn(3, 4))


def state_of(model: nn.Module) -> list[Any]:
    """Each module with its class, its attributes and what those hold, by identity and in order."""
    state: list[Any] = []
    for name, module in model.named_modules():
        state += [name, id(module), type(module)]
        for attribute, value in vars(module).items():
            state += [attribute, id(value)]
            if isinstance(value, dict):
                state += [(key, id(each)) for key, each in value.items()]
            elif isinstance(value, (list, set, collections.deque)):
                state += map(id, value)
    return state


def test_modules_and_hooks_that_forward_adds():
    class Model(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.once = nn.Linear(4, 4)
            self.later: nn.Module | None = None
            self.handle = self.once.register_forward_hook(lambda *_: None)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.later is None:
                self.later = nn.Linear(4, 4)
                self.add_module("more", nn.ReLU())
                self.handle.remove()
                self.register_forward_hook(lambda *_: None, with_kwargs=False)
                self.register_forward_pre_hook(lambda *_: None, with_kwargs=True)
                self.once.register_full_backward_hook(lambda *_: None)
            return self.later(self.once(super().forward(x)))

    model = Model()
    before = state_of(model)
    report(model)
    assert state_of(model) == before
    assert [name for name, _ in model.named_modules()] == ["", "once"]
    assert model(torch.randn(3, 4)).shape == (3, 4)  # it makes `later` now
    assert len(model.once._backward_hooks) == 1


def test_hooks_of_parameters():
    class Model(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.weight.register_hook(lambda gradient: 2 * gradient)
            self.bias.register_hook(lambda gradient: 2 * gradient)
            self.bias.register_post_accumulate_grad_hook(lambda bias: bias.grad.mul_(2))
            return super().forward(x)

    model = Model(4, 4)
    model.weight.register_hook(lambda gradient: 3 * gradient)
    report(model)
    (model.weight + model.bias).sum().backward()
    assert torch.equal(model.weight.grad, torch.full((4, 4), 3.0))
    assert torch.equal(model.bias.grad, torch.full((4,), 4.0))


def test_modules_that_forward_takes_away_or_replaces():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.layers = nn.ModuleList([nn.Linear(4, 4)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.second(self.first(x))
            del self.first
            self.first = nn.ReLU()  # after `second` now
            self.layers[0] = nn.Tanh()
            self.second.weight = nn.Parameter(torch.ones(4, 4))
            return self.first(y)

    model = Model()
    before, names = state_of(model), [name for name, _ in model.named_parameters()]
    report(model)
    assert state_of(model) == before
    assert [name for name, _ in model.named_parameters()] == names


def test_a_module_that_forward_parametrizes():
    class Model(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not hasattr(self, "parametrizations"):
                parametrizations.weight_norm(self)
            return super().forward(x)

    model = Model(4, 4)
    before, weight = state_of(model), model.weight.detach().clone()
    report(model)
    assert state_of(model) == before
    assert type(model) is Model
    assert torch.equal(model.weight, weight)


def test_attributes_and_what_they_hold():
    class Model(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.length, self.seen, self.recent = 0, [], collections.deque([1, 2], maxlen=2)
            self.cache, self.kinds = {"a": 1}, set()
            self.counts = collections.defaultdict(int, a=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.length, self.new = len(x), x
            self.seen.append(x)
            self.recent.append(3)
            self.cache["b"] = x
            self.kinds.add("b")
            self.counts["b"] += 1
            return super().forward(x)

    model = Model()
    before = state_of(model)
    report(model)
    assert state_of(model) == before
    assert (model.length, model.seen, list(model.recent)) == (0, [], [1, 2])
    assert (model.cache, model.kinds, model.counts) == ({"a": 1}, set(), {"a": 1})
    assert model.recent.maxlen == 2
    assert not hasattr(model, "new")


def test_after_an_error_too():
    class Model(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.more = nn.Linear(4, 4)
            return super().forward(x[:, 1:])

    model = Model(4, 4)
    before = state_of(model)
    with pytest.raises(RuntimeError, match="report: the model fails on the batch"):
        report(model)
    assert state_of(model) == before


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor:torch.jit.TracerWarning")
@pytest.mark.parametrize(
    "compiled", [torch.jit.script, lambda module: torch.jit.trace(module, torch.randn(3, 4))]
)
def test_buffers_of_torchscript(compiled):
    module = compiled(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)))
    before = [buffer.clone() for buffer in module.buffers()]
    report(nn.Sequential(nn.Linear(4, 4), module))
    assert all(map(torch.equal, module.buffers(), before))
    module(torch.randn(3, 4))
    assert not all(map(torch.equal, module.buffers(), before))


def test_what_forward_sets_is_put_back():
    class Model(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.drop = nn.Dropout()
            self.register_buffer("cache", torch.zeros(1))
            self.register_buffer("steps", torch.zeros(()))
            self.register_buffer("nan", torch.tensor([math.nan]).expand(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.drop.eval()
            self.cache.resize_(x.shape).copy_(x)
            self.steps += 1
            super().forward(x).sum().backward()
            self.bias.requires_grad_(False)
            return self.drop(super().forward(x))

    model = Model()
    model.weight.grad = torch.ones(4, 4)
    report(model)
    assert model.drop.training
    assert torch.equal(model.cache, torch.zeros(1))
    assert model.steps == 0
    assert torch.equal(model.weight.grad, torch.ones(4, 4))
    assert model.bias.requires_grad
    assert model.bias.grad is None


def test_buffers_of_every_kind():
    class Model(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.register_buffer("later", None)
            self.register_buffer("short", torch.ones(3).to(torch.float8_e4m3fn))
            self.register_buffer("nowhere", torch.ones(3, device="meta"))
            self.register_buffer("sparse", torch.eye(2).to_sparse())
            self.register_buffer("nan", torch.tensor(math.nan))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.later = x.sum()
            self.register_buffer("new", x, persistent=False)
            self.nan.zero_()
            self.sparse.mul_(2)
            return super().forward(x)

    model = Model()
    before = dict(model.named_buffers())
    report(model)
    after = dict(model.named_buffers())
    assert before.keys() == after.keys()
    assert all(after[name] is before[name] for name in before)
    assert model.nan.isnan()
    assert torch.equal(model.sparse.to_dense(), torch.eye(2))
    assert model.later is None


def test_generators_of_python_and_numpy():
    numpy = pytest.importorskip("numpy")

    class Model(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scale = random.random() + numpy.random.rand()
            return super().forward(x * scale) + torch.rand(())

    random.seed(3)
    numpy.random.seed(3)
    first = random.random(), numpy.random.rand()
    random.seed(3)
    numpy.random.seed(3)
    report(Model(4, 4))
    assert first == (random.random(), numpy.random.rand())
