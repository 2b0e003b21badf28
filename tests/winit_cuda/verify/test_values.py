"""`verify` of values: bits, dtypes, rounding, parametrized weights, layouts and parts."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import winit_cuda as winit
from initializers import needs_core
from verified import Model, values_of

pytestmark = needs_core


def test_one_bit(plan, model):
    state = values_of(model)
    state["sparse.weight"].view(torch.int32)[4, 4] ^= 1
    state["norm.bias"][2] = -0.0
    result = winit.verify(state, plan, seed=3)
    assert [(one.name, one.index, one.count) for one in result.different] == [
        ("sparse.weight", 84, 1),
        ("norm.bias", 2, 1),
    ]
    assert math.copysign(1, result.different[1].found) == -1
    assert result.different[1].planned == 0


@pytest.mark.parametrize("name", ["sparse.weight", "turn.weight"])
def test_not_a_number(plan, model, name):
    state = values_of(model)
    state[name][3, 3] = math.nan
    result = winit.verify(state, plan, seed=3)
    (found,) = result.different
    assert (found.name, found.index, found.count) == (name, 3 * found.shape[1] + 3, 1)
    text = json.dumps(result.as_dict(), allow_nan=False)
    assert json.loads(text)["different"][0]["found"] == "nan"


def test_nan_equals_itself():
    plan = winit.plan(lambda: nn.ParameterDict({"a": nn.Parameter(torch.full((4,), math.nan))}))
    assert winit.verify({"a": torch.full((4,), math.nan)}, plan, seed=0).ok
    assert not winit.verify({"a": torch.full((4,), 0.0)}, plan, seed=0).ok


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_other_dtypes(plan, dtype):
    """Filled in the dtype, and filled in float32 and cast, which is not the same for all laws."""
    filled = Model().to(dtype)
    plan.run(filled, seed=3)
    result = winit.verify(filled, plan, seed=3)
    assert result.ok, result
    assert set(result.dtypes) == {str(dtype).removeprefix("torch.")}
    wide = Model()
    plan.run(wide, seed=3)
    state = {name: tensor.to(dtype) for name, tensor in values_of(wide).items()}
    result = winit.verify(state, plan, seed=3)
    assert result.ok, result
    assert bool(result.rounded) == (dtype is torch.float64)
    assert all(name == "float64" for name in result.rounded.values())
    state["embedding.weight"][30, 5] *= 1.02
    (found,) = winit.verify(state, plan, seed=3).different
    assert (found.dtype, found.index) == (str(dtype).removeprefix("torch."), 905)
    plan.run(wide, seed=4)
    state = {name: tensor.to(dtype) for name, tensor in values_of(wide).items()}
    result = winit.verify(state, plan, seed=3, seeds=[4])
    assert {one.seeds for one in result.different} == {(4,)}


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_eight_bits(plan, dtype):
    model = Model().to(dtype)
    plan.run(model, seed=3)
    assert winit.verify(model, plan, seed=3).ok
    with torch.no_grad():
        model.sparse.weight.view(torch.uint8)[7, 3] ^= 128
        model.turn.weight.view(torch.uint8)[7, 3] ^= 128
    result = winit.verify(model, plan, seed=3)
    assert [(one.name, one.index, one.count) for one in result.different] == [
        ("sparse.weight", 143, 1),
        ("turn.weight", 213, 1),
    ]
    assert winit.verify(model, plan, seed=4, seeds=[3]).different[-1].seeds == ()


def test_uniform_values_that_were_cast():
    """In bfloat16, uniform_(0, 1) never is 1, which a cast makes of float32 values near it."""
    plan = winit.plan(nn.Linear(300, 300, bias=False), {"*": winit.Uniform(0.0, 1.0)})
    model = nn.Linear(300, 300, bias=False)
    plan.run(model, seed=0)
    cast = {"weight": model.weight.detach().bfloat16()}
    assert (cast["weight"] == 1).any()
    result = winit.verify(cast, plan, seed=0)
    assert result.ok
    assert result.rounded == {"weight": "bfloat16"}


def test_what_is_close(plan, model):
    state = values_of(model)
    state["turn.weight"][5, 5] += 1e-6
    result = winit.verify(state, plan, seed=3)
    assert result.ok
    assert result.close["turn.weight"] == pytest.approx(1e-6, rel=0.2)
    assert "equal up to rounding" in str(result)
    state["turn.weight"][5, 5] += 1e-4
    (found,) = winit.verify(state, plan, seed=3).different
    assert (found.name, found.index, found.count) == ("turn.weight", 155, 1)
    assert winit.verify(state, plan, seed=3, tolerance=1e-3).ok
    state["turn.weight"][5, 5] -= 3e-4
    assert winit.verify(state, plan, seed=3).different[0].index == 155
    with pytest.raises(ValueError, match="verify: tolerance must be finite"):
        winit.verify(state, plan, seed=3, tolerance=-1)


def test_computed_values():
    class Decay(nn.Module):
        def __init__(self):
            super().__init__()
            self.decay = nn.Parameter(torch.log(torch.empty(64).uniform_(1, 16)))

    plan, model = winit.plan(Decay), winit.build(Decay, seed=5)
    assert plan["decay"].kind == "computed"
    with torch.no_grad():
        model.decay[3] += 2e-6
    assert winit.verify(model, plan, seed=5).ok
    assert winit.verify(model, plan, seed=0, seeds=[4, 5]).different[0].seeds == (5,)
    with torch.no_grad():
        model.decay[9] += 0.01
    assert winit.verify(model, plan, seed=5).different[0].index == 9


def test_a_dtype_without_values(plan, model):
    state = values_of(model)
    state["sparse.weight"] = state["sparse.weight"].to(torch.float8_e5m2fnuz)
    (found,) = winit.verify(state, plan, seed=3).different
    assert found.name == "sparse.weight"
    assert "the dtype of tensor must be" in found.reason


class Twice(nn.Module):
    """A parametrization with one original, which is not the weight."""

    def forward(self, original):
        return 2 * original

    def right_inverse(self, weight):
        return weight / 2


def test_an_original_that_is_not_the_weight():
    def factory():
        model = nn.Linear(3, 4)
        nn.utils.parametrize.register_parametrization(model, "weight", Twice())
        return model

    plan, model = winit.plan(factory), winit.build(factory, seed=3)
    assert winit.verify(model, plan, seed=3).ok
    result = winit.verify(model.state_dict(), plan, seed=3)
    assert result.missing == ("weight",)
    assert result.extra == ("parametrizations.weight.original",)
    assert result.different == ()


def test_parametrized_weights():
    def factory():
        return nn.Sequential(
            parametrizations.weight_norm(nn.Linear(3, 4)),
            parametrizations.spectral_norm(nn.Linear(4, 5)),
        )

    model = factory()
    plan = winit.plan(model, {"*.weight": winit.Normal(std=0.5), "*": winit.Zeros()})
    plan.run(model, seed=0)
    assert winit.verify(model, plan, seed=0).ok
    state = model.state_dict()
    assert "1.weight" not in state
    result = winit.verify(state, plan, seed=0)
    assert result.missing == ("0.weight",)
    assert "1.parametrizations.weight.original" in result.matched
    assert not winit.verify(model, plan, seed=1).ok


@pytest.mark.parametrize(
    ("normed", "matching"), [(parametrizations.spectral_norm, 6), (nn.utils.spectral_norm, 4)]
)
def test_vectors_of_spectral_norm(normed, matching):
    """They are computed of the draws of the weight, or a run finds them anew."""

    def factory():
        return nn.Sequential(nn.Linear(2, 3), normed(nn.Linear(3, 4)))

    plan, model = winit.plan(factory), winit.build(factory, seed=3)
    for what in (model, model.state_dict()):
        assert len(winit.verify(what, plan, seed=3).matched) == matching
    weight = next(entry.name for entry in plan if entry.shape == (4, 3))
    ruled = plan.with_rules({weight: winit.Normal()})
    ruled.run(model, seed=3)
    for what in (model, model.state_dict()):
        result = winit.verify(what, ruled, seed=3)
        assert result.ok, result
        assert set(result.unplanned.values()) == {"of spectral_norm"}
        assert len(result.unplanned) == 2


def test_layouts(plan, model):
    """A transposed tensor, a view of another one, and a tensor without dimensions."""
    state = values_of(model)
    state["sparse.weight"] = state["sparse.weight"].t().contiguous().t()
    wide = torch.zeros(30, 60)
    wide[:, ::2] = state["turn.weight"]
    state["turn.weight"] = wide[:, ::2]
    assert winit.verify(state, plan, seed=3).ok
    scalar = winit.plan(nn.ParameterDict({"a": torch.ones(())}), {"*": winit.Normal()})
    value = winit.normal_(torch.empty(()), key=winit.fold_in(winit.key(0), "a"))
    assert winit.verify({"a": value}, scalar, seed=0).ok


@pytest.mark.usefixtures("small_tiles")
def test_parts(plan, model):
    whole = values_of(model)
    part = {
        **whole,
        "embedding.weight": whole["embedding.weight"][5:25],
        "sparse.weight": whole["sparse.weight"][:, 6:],
        "turn.weight": torch.cat([whole["turn.weight"][:4], whole["turn.weight"][20:22]]),
    }
    del part["head.weight"]
    boxes = [
        winit.Box((0, 0), (4, 30), (0, 0)),
        winit.Box((20, 0), (2, 30), (4, 0)),
    ]
    shards = {
        "embedding.weight": winit.Shard((40, 30), (5, 0)),
        "sparse.weight": winit.Shard((30, 20), (0, 6)),
        "turn.weight": winit.Shards(boxes, (30, 30)),
    }
    assert winit.verify(part, plan, seed=3, shards=shards).ok
    part = copy.deepcopy(part)
    part["embedding.weight"][19, 29] = 1.0
    part["sparse.weight"][1, 13] = 2.0
    part["turn.weight"][5, 1] = 3.0
    result = winit.verify(part, plan, seed=3, shards=shards)
    assert {one.name: one.position for one in result.different} == {
        "embedding.weight": (24, 29),
        "sparse.weight": (1, 19),
        "turn.weight": (21, 1),
    }
    with pytest.raises(ValueError, match=r"verify: other, of shards, is not compared"):
        winit.verify(part, plan, seed=3, shards={"other": shards["turn.weight"]})
    with pytest.raises(TypeError, match=r"shards\['norm.bias'\] must be a winit_cuda.Shard"):
        winit.verify(part, plan, seed=3, shards={"norm.bias": (3,)})
