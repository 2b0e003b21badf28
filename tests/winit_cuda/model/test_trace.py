"""The log of a constructor: run again by torch's own generator it gives what a real build has."""

from __future__ import annotations

import importlib.util
import random
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import models
import winit_cuda as winit
from winit_cuda._model import fake_tensors, replay
from winit_cuda._model.log import Layout
from winit_cuda._model.trace import trace


def tensors(model):
    return [*model.named_parameters(), *model.named_buffers()]


@pytest.mark.parametrize(
    "factory",
    [
        models.mixed,
        models.GPT,
        models.ActorCritic,
        models.Pieces,
        lambda: nn.Transformer(8, 2, 2, 1, 16, batch_first=True),
        lambda: parametrizations.weight_norm(nn.Linear(4, 5)),
        lambda: parametrizations.spectral_norm(nn.Linear(4, 5)),
    ],
)
def test_replay_is_a_real_build(factory):
    torch.manual_seed(7)
    real = factory()
    state = torch.get_rng_state()
    with trace(factory) as (model, tracer):
        views = {name: tracer.view(tensor) for name, tensor in tensors(model)}
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    memory = replay.played(tracer.log.nbytes, tracer.log.steps)
    for name, tensor in tensors(real):
        again = memory.tensor(views[name])
        assert again.dtype == tensor.dtype, name
        assert torch.equal(again, tensor), name
    assert torch.equal(torch.get_rng_state(), state)


def test_values_that_decide():
    """Where a constructor asks for a value it is computed, from the few steps that it needs."""

    def factory():
        model = nn.Linear(3, 2)
        rates = torch.linspace(0, 0.5, 3)
        scale = torch.tensor(1.0)
        model.scale = scale.fill_(4.0).item()
        scale.data.fill_(5.0)
        model.scale += scale.item()
        model.rates = [rate.item() for rate in rates] + rates.numpy().tolist()
        if (torch.arange(3) > 1).any() and torch.equal(torch.ones(2), torch.zeros(2) + 1):
            nn.init.ones_(model.bias)
        return model

    with trace(factory) as (model, tracer):
        pass
    assert model.scale == 9.0
    assert model.rates == [0.0, 0.25, 0.5] * 2
    assert tracer.log.steps[-1].name == "fill_"
    assert tracer.log.warnings == []


def test_a_large_value():
    def factory():
        large = torch.zeros(1 << 30)
        return nn.Linear(2, 2, bias=bool(large.sum() > 0))

    with (
        pytest.raises(RuntimeError, match=r"at .*test_trace.py:\d+ in factory.* takes 4.0 GiB"),
        trace(factory),
    ):
        pass


def test_values_that_are_the_same_for_every_seed():
    noise = torch.zeros(3)

    def factory():
        torch.manual_seed(1)
        model = nn.Linear(3, 2)
        noise.normal_().add_(np.random.rand())  # noqa: NPY002
        assert model.weight.std().item() > 0
        random.random()
        return model

    states = random.getstate(), torch.get_rng_state()
    with trace(factory) as (_, tracer):
        pass
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    told = " ".join(tracer.log.warnings)
    for what in ("a random value is read", "numpy.random", "Python's random", "torch's generator",
                 "torch's generator was seeded"):  # fmt: skip
        assert what in told


@pytest.mark.filterwarnings("ignore:.* a random value is read")
def test_a_constructor_that_draws_until_it_suits_it():
    drawn = []

    def factory():
        model = nn.Linear(1, 1)
        while len(drawn) < 100:
            nn.init.uniform_(model.weight)
            drawn.append(model.weight.item())
            assert model.weight.item() == drawn[-1]
            if drawn[-1] > 0.9:
                break
        return model

    winit.plan(factory)
    assert 0.9 < drawn[-1] < 1
    assert len(set(drawn)) == len(drawn)


def test_the_first_plan_inside_accelerate():
    """Functions of torch are known by their own code, which they have again afterwards."""
    copies = []
    with winit.accelerate():
        for name in ("functions", "trace"):
            spec = importlib.util.find_spec(f"winit_cuda._model.{name}")
            copies.append(importlib.util.module_from_spec(spec))
            spec.loader.exec_module(copies[-1])
    functions, again = copies
    again.FunctionMode = functions.FunctionMode

    def factory():
        model = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        nn.init.orthogonal_(model[0].weight)
        nn.init.sparse_(model[1].weight, 0.5)
        nn.init.xavier_uniform_(model[1].bias[None])
        return model

    with again.trace(factory) as (_, tracer):
        steps = tracer.log.steps
    assert [step.name for step in steps[-3:]] == ["orthogonal_", "sparse_", "uniform_"]
    assert steps[-1].scheme[0] == "xavier_uniform_"


def test_the_line_of_an_error():
    def factory():
        return nn.ModuleList([nn.Linear(2, 2), nn.Linear(-1, 2)])

    with (
        pytest.raises(RuntimeError, match=r"^plan: the constructor failed .*test_trace.py:\d+"),
        trace(factory),
    ):
        pass


def in_a_thread(write):
    thread = threading.Thread(target=write)
    thread.start()
    thread.join()


def without_modes(write):
    with fake_tensors.without_modes():
        write()


@pytest.mark.parametrize("elsewhere", [in_a_thread, without_modes])
def test_writes_that_are_not_seen(elsewhere):
    """They would make a law wrong."""

    def factory():
        layer = nn.Linear(2, 2)
        elsewhere(lambda: nn.init.zeros_(layer.weight))
        return layer

    with (
        pytest.raises(RuntimeError, match="where torch's dispatch modes do not reach"),
        trace(factory),
    ):
        pass


def test_a_gpu_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with trace(lambda: nn.Linear(2, 2, device="cuda").to("cuda").cuda()) as (model, _):
        assert model.weight.device.type == "cpu"


@pytest.mark.parametrize(
    ("shape", "stride", "is_dense", "is_injective"),
    [
        ((2, 3), (3, 1), True, True),
        ((2, 3), (1, 2), True, True),
        ((2, 3), (4, 1), False, True),
        ((5,), (0,), False, False),
        ((2, 2), (1, 1), False, False),
        ((1, 3), (7, 1), True, True),
        ((), (), True, True),
    ],
)
def test_layouts(shape, stride, is_dense, is_injective):
    layout = Layout(0, shape, stride)
    assert (layout.is_dense, layout.is_injective) == (is_dense, is_injective)
