"""Constructors that write in unusual ways: a run gives what a build gives."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core


class Holder(nn.Module):
    """A module with the tensors that a function makes, parameters where they may be."""

    def __init__(self, make):
        super().__init__()
        for name, tensor in make().items():
            if tensor.is_floating_point():
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)


def clamped_in_place():
    values = torch.arange(-4.0, 4.0)
    torch.clamp(values, -1, 1, out=values)
    return {"w": values}


def several_in_place():
    values = torch.full((3, 3), 3.0)
    torch.pow(values, 2, out=values)
    torch.tril(values, out=values)
    torch.mul(values, 2, out=values)
    sines = torch.arange(8.0)
    torch.sin(sines, out=sines)
    return {"w": values, "sines": sines}


def into_its_transpose():
    values = torch.arange(9.0).view(3, 3)
    torch.mul(values.t(), 2, out=values.clone())
    other = torch.empty(3, 3)
    torch.mul(values.t(), 2, out=other)
    return {"w": other}


def factors_by_position():
    two = torch.full((4,), 2.0)
    if torch.__version__ < (2, 5):  # its fake tensors take no others
        return {"a": torch.rsub(two, 1, alpha=3)}
    return {
        "a": torch.rsub(two, 1, alpha=3),
        "b": torch.ops.aten.add.Scalar(two, 1, 3),
        "c": torch.ops.aten.sub.Scalar(two, 1, 3),
        "d": torch.ops.aten.add_.Scalar(two.clone(), 1, 3),
    }


TABLE = torch.ones(3)


def memory_used_again():
    TABLE.fill_(1)
    a, b = torch.empty(3), torch.empty(3)
    a.copy_(TABLE)
    TABLE.add_(1)
    b.copy_(TABLE)
    TABLE.fill_(9)
    return {"a": a, "b": b, "c": torch.from_numpy(np.arange(3.0)).float()}


def large_integers():
    return {
        "a": torch.tensor(123456789),
        "b": torch.full((3,), 50257 * 1000003),
        "c": torch.full((3,), torch.iinfo(torch.int64).max),
        "d": torch.full((3,), torch.iinfo(torch.int32).max, dtype=torch.int32),
        "e": torch.tensor([2**53 + 1] * 3),
        "f": torch.zeros(3, dtype=torch.int64).fill_(2**53 + 1),
        "g": torch.full((3,), True),
        "h": torch.full((3,), -3, dtype=torch.int8),
    }


@pytest.mark.filterwarnings("ignore:.*values are drawn")
@pytest.mark.parametrize(
    "make",
    [
        clamped_in_place,
        several_in_place,
        into_its_transpose,
        factors_by_position,
        memory_used_again,
        large_integers,
    ],
)
def test_what_a_build_has(make):
    plan = winit.plan(lambda: Holder(make))
    plan = winit.Plan.from_json(plan.to_json())
    built = Holder(make)
    filled = Holder(make)
    for tensor in filled.state_dict().values():
        tensor.zero_()
    plan.run(filled, seed=0)
    once = winit.build(lambda: Holder(make), seed=0)
    for name, tensor in built.state_dict().items():
        assert torch.equal(filled.state_dict()[name], tensor), name
        assert torch.equal(once.state_dict()[name], tensor), name


def test_random_values_with_factors_by_position():
    plan = winit.plan(lambda: Holder(lambda: {"w": torch.rsub(torch.rand(4), 1, alpha=3)}))
    assert plan["w"].initializer == winit.Uniform(-2.0, 1.0)


def test_draws_that_are_clamped_in_place():
    def make():
        values = torch.randn(4000)
        torch.clamp(values, -1, 1, out=values)
        return {"w": values}

    model = Holder(make)
    winit.plan(lambda: Holder(make)).run(model, seed=0)
    assert model.w.abs().max() == 1.0
    assert model.w.std().item() == pytest.approx(math.sqrt(0.5161), rel=0.05)


def test_tensors_that_a_constructor_keeps():
    """A plan makes them without values; whoever builds a model with them later is told."""

    @functools.lru_cache
    def frequencies():
        return torch.arange(4) / 3

    plan = winit.plan(lambda: Holder(lambda: {"w": frequencies()}))
    with pytest.raises(
        RuntimeError, match=r"Plan\.run: fake tensors: w; does a constructor .* or keep tensors"
    ):
        plan.run(Holder(lambda: {"w": frequencies()}), seed=0)


def test_a_constructor_that_initializes_its_model():
    class Own(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 2))
            winit.initialize(self, seed=0)

    with pytest.raises(
        RuntimeError, match=r"^plan: .*initialize: fake tensors: 0\.weight, 0\.bias"
    ):
        winit.plan(Own)


def test_shared_memory_that_is_written_again():
    def make():
        scratch = np.zeros(3, "float32")
        shared, a = torch.from_numpy(scratch), torch.empty(3)
        scratch[:] = 1
        a.copy_(shared)
        return {"a": a}

    with pytest.raises(
        RuntimeError, match=r"plan: memory that is shared .*test_odd_constructors\.py:\d+ in make"
    ):
        winit.plan(lambda: Holder(make))
