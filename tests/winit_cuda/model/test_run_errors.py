"""What a run refuses, all of it before anything is written."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import winit_cuda as winit
from initializers import needs_core
from ruled import Model, ruled_plan

pytestmark = needs_core


@pytest.fixture
def plan():
    return ruled_plan()


COMPLEX = nn.Parameter(torch.ones(6, 6, dtype=torch.complex64))


class Once(nn.Module):
    """A parametrization that cannot be undone."""

    def forward(self, weight):
        return weight * 2


def changed(change):
    model = Model()
    change(model)
    return model


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda model: setattr(model, "extra", nn.Linear(2, 2)), ValueError,
         r"^Plan.run: extra.weight is only in the model; extra.bias is only .* \(2 in all\)"),
        (lambda model: setattr(model.layers[1], "q", nn.Linear(6, 7)), ValueError,
         r"layers.1.q.weight has shape \(7, 6\), planned is \(6, 6\)"),
        (lambda model: model.layers[1].to("meta"), RuntimeError,
         "on meta, call to_empty first: layers.1.q.weight"),
        (lambda model: setattr(model.layers[1].q, "weight", COMPLEX), RuntimeError,
         "Orthogonal: key needs the native core"),
        (lambda model: setattr(model.layers[1].k, "weight", COMPLEX), RuntimeError,
         "XavierUniform: key needs the native core"),
        (lambda model: parametrize.register_parametrization(model.layers[1].k, "weight", Once()),
         ValueError, "layers.1.k.weight has a parametrization without right_inverse"),
    ],
)  # fmt: skip
def test_nothing_is_written_before_an_error(plan, change, error, message):
    model = changed(change)
    before = copy.deepcopy(model)
    with pytest.raises(error, match=message):
        plan.run(model, seed=0)
    for parameter, old in zip(model.parameters(), before.parameters(), strict=True):
        assert parameter.is_meta or torch.equal(parameter, old)


@pytest.mark.parametrize("shards", [{"layers.0.q.weight": (6, 6)}, [1]])
def test_what_is_no_shard(plan, shards):
    with pytest.raises(TypeError, match=r"Plan\.run: shards"):
        plan.run(Model(), seed=0, shards=shards)


def test_parameters_in_the_same_memory(plan):
    model = Model()
    model.layers[1].q.weight = nn.Parameter(model.layers[0].k.weight.detach())
    plan = plan.with_rules({"*.q.weight": winit.Ones()})
    message = "layers.0.k.weight and layers.1.q.weight are in the same memory"
    with pytest.raises(ValueError, match=message):
        plan.run(model, seed=0)


def test_errors_name_the_parameter(plan):
    model = Model()
    model.layers[1].q.bias = nn.Parameter(torch.zeros(1).expand(6))
    with pytest.raises(RuntimeError, match=r"Plan\.run: layers\.1\.q\.bias: Zeros: tensor must be"):
        plan.run(model, seed=0)


class Unwilling(Once):
    def right_inverse(self, weight):
        raise NotImplementedError("not of this one")


def test_a_parametrization_that_will_not_be_set():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    plan = winit.plan(model, {"*": winit.Uniform()})
    with torch.no_grad():
        parametrize.register_parametrization(model[1], "weight", Once())
        model[1].parametrizations.weight[0].__class__ = Unwilling
    before = copy.deepcopy(model.state_dict())
    message = r"1\.weight cannot be set through its parametrization \(not of this one\)"
    with pytest.raises(RuntimeError, match=message):
        plan.run(model, seed=0)
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]), name


def test_entries_without_a_law(plan):
    unset = winit.Plan([*plan, winit.Entry("scale", (2,), "float32", None)])
    model = changed(lambda model: setattr(model, "scale", nn.Parameter(torch.ones(2))))
    with pytest.raises(ValueError, match="scale has no law"):
        unset.run(model, seed=0)
    assert unset.run(model, seed=0, strict=False).without_law == ["scale"]
    assert model.scale.tolist() == [1.0, 1.0]
    assert unset.run(model, seed=0, skip=["scale"]).skipped == ["scale"]


def test_what_is_no_model_or_seed(plan):
    with pytest.raises(TypeError, match=r"Plan\.run: model must be a torch\.nn\.Module"):
        plan.run({}, seed=0)
    with pytest.raises(TypeError, match="seed must be an integer"):
        plan.run(Model(), seed="0")
