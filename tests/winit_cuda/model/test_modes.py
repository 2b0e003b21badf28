"""A plan is the same whatever of the user's lies between torch.nn.init and the operators."""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core


class Model(nn.Module):
    """A parameter of each function that is made of many operators, and of one that is not."""

    def __init__(self):
        super().__init__()
        for name, arguments in {
            "trunc_normal_": {"std": 0.02},
            "orthogonal_": {},
            "sparse_": {"sparsity": 0.5},
            "eye_": {},
            "xavier_uniform_": {},
        }.items():
            parameter = nn.Parameter(torch.empty(12, 8))
            self.register_parameter(name, parameter)
            getattr(nn.init, name)(parameter, **arguments)
        self.dirac_ = nn.Parameter(torch.empty(4, 4, 3))
        nn.init.dirac_(self.dirac_)


class Functions(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def wrapped_methods():
    """`torch.Tensor.normal_` and `uniform_` of the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("normal_", "uniform_"):
            method = getattr(torch.Tensor, name)
            patch.setattr(torch.Tensor, name, lambda t, *a, _m=method, **k: _m(t, *a, **k))
        yield


MODES = [Functions, Operators, wrapped_methods, torch.inference_mode]


@pytest.mark.parametrize("mode", MODES)
def test_plan(mode):
    plan = winit.plan(Model)
    with mode():
        under_mode = winit.plan(Model)
    assert list(under_mode) == list(plan)
    assert plan["sparse_"].initializer == winit.Sparse(sparsity=0.5)


@pytest.mark.parametrize("mode", MODES)
def test_build(mode):
    plain = winit.build(Model, seed=0)
    with mode():
        model = winit.build(Model, seed=0)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, plain.get_parameter(name)), name


def test_a_constructor_that_reads_values_in_inference_mode():
    with torch.inference_mode():
        plan = winit.plan(lambda: nn.Linear(3, int(torch.linspace(0, 1, 5).sum().item())))
    assert plan["weight"].shape == (2, 3)
