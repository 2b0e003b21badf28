"""What cannot be built, and how it is told."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import models
import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core


@pytest.mark.parametrize("wrapped", [lambda model: model, nn.Sequential])
def test_a_model_that_exists(wrapped):
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"build: factory must be .* \(initialize takes one"):
        winit.build(lambda: wrapped(model), 0)
    assert isinstance(winit.build(nn.ReLU, 0), nn.ReLU)  # has no tensor at all


def keep_what_was_divided(model):
    model.whole = torch.randn(6, 2)
    model.first = nn.Parameter(model.whole[:3].clone())


class OwnParameter(nn.Parameter):
    pass


def graph_of(weight):
    return weight.expand_as(weight).grad_fn.next_functions


FAULTS = {
    "weight has no law .lazy": lambda model: setattr(model, "layer", nn.LazyLinear(3)),
    "p has no law": lambda model: setattr(model, "p", nn.Parameter(torch.empty(2))),
    r"build: q has no law \(partly unset": lambda model: (
        setattr(model, "q", torch.empty(3)),
        model.q[:2].fill_(1),
    ),
    "build: a tensor of shape .6, 2. that no attribute leads to has no law .*of": lambda model: (
        keep_what_was_divided(model),
        setattr(model, "call", functools.partial(torch.add, vars(model).pop("whole"))),
    ),
    "build: spread has no law .*of which a parameter has a part": lambda model: (
        setattr(model, "spread", model.layer.weight.data.std()),
        model.layer.weight.data.neg_(),
    ),
    "build: whole has no law .*of which a parameter has a part": keep_what_was_divided,
    "build: p cannot .* on meta": lambda model: setattr(model, "p", torch.ones(2, device="meta")),
    "build: p cannot .* laid out": lambda model: setattr(
        model, "p", torch.zeros(2, dtype=torch.complex64).conj()
    ),
    "build: layer.weight cannot .* gradient": lambda model: setattr(
        model.layer.weight, "grad", torch.ones(4, 3)
    ),
    "build: layer.weight cannot .* holds on": lambda model: setattr(
        model, "graph", graph_of(model.layer.weight)
    ),
    "build: kept.0 cannot .* the storage of a tensor": lambda model: setattr(
        model, "kept", [model.layer.weight.untyped_storage()]
    ),
    "OwnParameter cannot": lambda model: setattr(model, "p", OwnParameter(torch.ones(2))),
}


@pytest.mark.parametrize("message", FAULTS)
def test_what_cannot_be_built(message):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    with pytest.raises((ValueError, RuntimeError), match=message):
        winit.build(lambda: models.Extended(FAULTS[message]), 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_tensor_of_a_plan():
    kept = []

    def factory():
        kept.append(torch.ones(2)) if not kept else None
        return models.Extended(lambda model: setattr(model, "table", kept[0]))

    winit.plan(factory)
    with pytest.raises(RuntimeError, match=r"build: table cannot .* of another plan or build"):
        winit.build(factory, 0)


def test_a_build_inside_a_constructor():
    with pytest.raises(RuntimeError, match=r"build: 0\.weight cannot .* of another plan or build"):
        winit.build(lambda: nn.Sequential(winit.build(lambda: nn.Linear(2, 2), 0)), 0)


@pytest.mark.parametrize(
    ("factory", "seed", "message"),
    [
        (nn.Linear(2, 2), 0, "build: factory must be a callable .*, got Linear"),
        (
            nn.Linear,
            0,
            r"build: factory must be .* such as lambda: Linear\(\.\.\.\), got Linear: missing",
        ),
        (3, 0, "build: factory must be a callable .*, got 3"),
        (lambda: 3, 0, "build: what the factory returns must be a torch.nn.Module, got 3"),
        (lambda: nn.Linear(2, 2), "0", "build: seed must be an integer, got '0'"),
    ],
)
def test_wrong_types(factory, seed, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        winit.build(factory, seed)


def fails():
    raise KeyError("width")


@pytest.mark.parametrize(
    ("factory", "rules"),
    [
        (fails, None),
        (models.GPT, {"nothing": winit.Zeros()}),
        (models.GPT, {"*": winit.DeltaOrthogonal()}),
        (models.GPT, {"*": 3}),
        (models.GPT, 3),
    ],
)
def test_errors_name_the_function(factory, rules):
    with pytest.raises((TypeError, ValueError, RuntimeError), match=r"^build: ") as caught:
        winit.build(factory, 0, rules)
    assert "plan:" not in str(caught.value)
