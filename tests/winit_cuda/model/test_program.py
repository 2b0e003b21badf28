"""Values that are no law: computed again from keyed draws and data, the same from JSON."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import winit_cuda as winit
from initializers import needs_core
from meshes import mesh_at
from winit_cuda._model.allowed import OPERATORS

pytestmark = needs_core


class Rotary(nn.Module):
    """Buffers and parameters without a draw."""

    def __init__(self):
        super().__init__()
        self.register_buffer("inv_freq", 1 / 10000 ** (torch.arange(0, 8, 2).float() / 8))
        self.register_buffer("mask", torch.tril(torch.ones(4, 4)).bool())
        table = torch.outer(torch.arange(5.0), self.inv_freq)
        self.table = nn.Parameter(torch.cat([table.sin(), table.cos()], dim=1).half())
        self.scale = nn.Parameter(torch.tensor([1.0, float("inf"), 3.0]))
        self.even = nn.Parameter(torch.zeros(6))
        self.even.data[::2] = torch.linspace(1, 2, 3)


class Drawn(nn.Module):
    """Parameters computed from draws, some from a draw that is another's law."""

    def __init__(self):
        super().__init__()
        self.g = nn.Parameter(torch.empty(4))
        self.v = nn.Parameter(torch.randn(4, 3))
        self.g.data = self.v.data.norm(dim=1)
        self.dt = nn.Parameter(torch.log(torch.expm1(torch.rand(5) * 0.1 + 0.001)))
        rows = torch.randn(4, 6)
        self.a, self.b = nn.Parameter(rows[:3].clone()), nn.Parameter(-rows[1:])
        self.steps = nn.Parameter(torch.empty(50).exponential_())
        self.register_buffer("order", torch.randperm(50))
        q, r = torch.linalg.qr(torch.randn(3, 3))
        self.q = nn.Parameter(q * torch.diag(r).sign())
        self.blocks = nn.Parameter(torch.block_diag(torch.rand(2, 2), torch.rand(3, 1)))
        chosen = torch.zeros(4).masked_scatter_(torch.arange(4) > 1, torch.rand(2))
        self.chosen = nn.Parameter(chosen)
        self.own = nn.Parameter(winit.orthogonal_(torch.empty(3, 3)).abs())
        self.whole = nn.Parameter(nn.init.orthogonal_(torch.empty(3, 3)).abs())


def planned(factory):
    """The plan, by way of JSON."""
    plan = winit.plan(factory)
    again = winit.Plan.from_json(plan.to_json())
    assert again == plan
    return again


def emptied(factory):
    model = factory()
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.fill_(1)
    return model


def tensors(model):
    return dict([*model.named_parameters(), *model.named_buffers()])


def test_without_a_draw_they_are_those_of_a_build():
    plan, model, real = planned(Rotary), emptied(Rotary), Rotary()
    plan.run(model, seed=0)
    for name, tensor in tensors(model).items():
        assert torch.equal(tensor, tensors(real)[name]), name
        assert plan[name].program is not None
    assert plan["scale"].program.is_data
    assert not plan["even"].program.is_data
    assert plan["inv_freq"].program.keys == []
    assert model.table.dtype is torch.float16


def test_values_under_another_default_dtype():
    """They are those of the constructor, whatever a run finds, and so under autocast."""

    def make():
        thirds = torch.arange(4) / 3
        column = thirds.float()[:, None]
        made = {"a": thirds, "b": torch.linspace(0, 1, 5), "plain": column @ column.T}
        with torch.autocast("cpu"):
            made["cast"] = column @ column.T
        return nn.ParameterDict(made)

    def factory():
        with default_dtype(torch.float64):
            return make()

    plan, real = planned(factory), factory()
    assert real.a.dtype is torch.float64
    assert real.cast.dtype is torch.bfloat16
    for default in (torch.float16, torch.float32, torch.float64):
        model = factory()
        for parameter in model.values():
            parameter.data.zero_()
        with default_dtype(default), torch.autocast("cpu"):
            plan.run(model, seed=0)
        for name, tensor in real.items():
            assert torch.equal(model[name], tensor), name


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def test_data_with_memory():
    held = torch.arange(3.0)

    def factory():
        module = nn.Module()
        module.w = nn.Parameter(held)
        module.ones = nn.Parameter(HELD_ONES)
        return module

    plan, model = planned(factory), nn.Module()
    assert plan["ones"].initializer == winit.Ones()
    model.w, model.ones = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))
    plan.run(model, seed=0)
    assert torch.equal(model.w, held)
    assert "data" in str(plan)


HELD_ONES = torch.ones(2)


def test_draws_have_keys():
    plan, model = planned(Drawn), emptied(Drawn)
    state = torch.get_rng_state()
    plan.run(model, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    base = winit.key(0)
    assert plan["v"].initializer == winit.Normal()
    assert plan["g"].program.keys == ["v"]
    assert torch.equal(model.g, model.v.norm(dim=1))
    rate = winit.uniform_(torch.empty(5), key=winit.fold_in(base, "dt"))
    assert torch.equal(model.dt, torch.log(torch.expm1(rate * 0.1 + 0.001)))
    rows = winit.normal_(torch.empty(4, 6), key=winit.fold_in(base, "a"))
    assert torch.equal(model.a, rows[:3])
    assert torch.equal(model.b, -rows[1:])
    assert sorted(model.order.tolist()) == list(range(50))
    assert torch.allclose(model.q.T @ model.q, torch.eye(3), atol=1e-6)
    assert (model.blocks == 0).tolist() == [[False, False, True]] * 2 + [[True, True, False]] * 3
    assert (model.chosen == 0).tolist() == [True, True, False, False]
    square = winit.orthogonal_(torch.empty(3, 3), key=winit.fold_in(base, "whole"))
    assert torch.allclose(model.whole, square.abs(), atol=1e-6)
    square = winit.orthogonal_(torch.empty(3, 3), key=winit.fold_in(base, "own"))
    assert torch.allclose(model.own, square.abs(), atol=1e-6)
    other = emptied(Drawn)
    plan.run(other, seed=0)
    for name, tensor in tensors(other).items():
        assert torch.equal(tensor, tensors(model)[name]), name
    plan.run(other, seed=1)
    for name, tensor in tensors(other).items():
        assert not torch.equal(tensor, tensors(model)[name]), name


@pytest.mark.usefixtures("fake_ranks")
def test_parts_are_those_of_the_whole(tensor_api):
    plan, whole, model = planned(Drawn), emptied(Drawn), emptied(Drawn)
    plan.run(whole, seed=0)
    mesh = mesh_at((3,), (1,))
    placed = tensor_api.distribute_tensor(
        model.b.detach(), mesh, [tensor_api.Shard(1)], src_data_rank=None
    )
    model.b = nn.Parameter(placed)
    model.a = nn.Parameter(torch.zeros(1, 6))
    plan.run(model, seed=0, shards={"a": winit.Shard((3, 6), (2, 0))})
    assert torch.equal(model.b.to_local(), whole.b[:, 2:4])
    assert torch.equal(model.a, whole.a[2:])


def test_parametrized_weights():
    def factory():
        return parametrizations.weight_norm(nn.Linear(3, 4))

    plan, model = planned(factory), factory()
    plan.run(model, seed=0)
    found = model.parametrizations.weight
    bound = 3**-0.5
    drawn = winit.uniform_(torch.empty(4, 3), -bound, bound,
                           key=winit.fold_in(winit.key(0), "weight"))  # fmt: skip
    assert torch.allclose(model.weight, drawn, atol=1e-6)
    assert torch.allclose(found.original0, drawn.norm(dim=1, keepdim=True), atol=1e-6)


def test_a_row_of_zeros_under_weight_norm():
    """It has no direction, and torch's own forward has no value for it either."""

    def factory():
        layer = nn.Linear(3, 4)
        nn.init.zeros_(layer.weight[1])
        return parametrizations.weight_norm(layer)

    model = factory()
    winit.plan(factory).run(model, seed=0)
    for made in (model, winit.build(factory, 0)):
        found = made.parametrizations.weight
        assert (found.original0 == 0).flatten().tolist() == [False, True, False, False]
        assert torch.equal(found.original1[1], torch.zeros(3))
        assert found.original1.isfinite().all()


@pytest.mark.parametrize("kind", ["orthogonal", "spectral_norm"])
def test_parametrizations_that_torch_has(kind):
    def factory():
        return getattr(parametrizations, kind)(nn.Linear(4, 3))

    plan, model = planned(factory), factory()
    assert plan["weight"].kind == ("computed" if kind == "orthogonal" else "law")
    plan.run(model, seed=0)
    sizes = torch.linalg.svdvals(model.weight)
    assert (sizes - 1).abs().max() < (1e-5 if kind == "orthogonal" else 1)
    assert all(entry.is_planned for entry in plan)


class Symmetric(nn.Module):
    """A parametrization that cannot be undone, with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.full((), 2.0))

    def forward(self, weight):
        return self.scale * (weight.triu() + weight.triu(1).T)


def test_a_parametrization_that_cannot_be_undone():
    """What the weight is computed from is filled in its place."""

    def factory():
        layer = nn.Linear(3, 3)
        parametrize.register_parametrization(layer, "weight", Symmetric())
        return layer

    plan, model = planned(factory), emptied(factory)
    path = "parametrizations.weight"
    assert [entry.name for entry in plan] == ["bias", f"{path}.original", f"{path}.0.scale"]
    assert plan[f"{path}.original"].initializer == winit.KaimingUniform(a=5**0.5)
    plan.run(model, seed=0)
    assert torch.equal(model.weight, model.weight.T)
    assert model.parametrizations.weight[0].scale == 2


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley"])
def test_orthogonal_maps_that_torch_cannot_undo(kind):
    """Their `right_inverse` only raises."""

    def factory():
        return parametrizations.orthogonal(
            nn.Linear(4, 4), orthogonal_map=kind, use_trivialization=False
        )

    plan, model = planned(factory), factory()
    path = "parametrizations.weight.original"
    assert plan[path].initializer == winit.KaimingUniform(a=5**0.5)
    plan.run(model, seed=0)
    assert torch.equal(model.weight, winit.build(factory, 0).weight)
    before = model.weight.detach().clone()
    assert path in winit.initialize(model, seed=1).unwritten
    assert torch.equal(model.weight, before)


def test_other_laws_keep_keys_apart():
    plan = planned(Drawn).with_rules({"v": winit.Ones()})
    assert plan["g"].program.keys != ["v"]
    assert plan.with_rules({"g": winit.Ones()})["g"].program is None


def test_operators_that_no_plan_may_call():
    def factory():
        module = nn.Module()
        module.w = nn.Parameter(torch.special.i0(torch.randn(3)))
        return module

    entry = winit.plan(factory)["w"]
    assert not entry.is_planned
    assert entry.note.endswith("aten.i0.default, which no plan may call")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": "aten.set_.source_Tensor"}, "no program may call 'aten.set_.source_Tensor'"),
        ({"op": "prims.add.default"}, "no program may call"),
        ({"op": "save"}, "no program may call 'save'"),
        ({"op": "aten.arange.nothing"}, "no program"),
        ({"results": []}, "without a result"),
        ({"results": [3]}, "without a result"),
        ({"args": [{"what": 3}]}, "no program"),
        ({"kwargs": {"dtype": -1}}, r"dtype of \w+ must be a torch\.dtype"),
        ({"kwargs": {"layout": 99}}, r"layout of \w+ must be a torch\.layout"),
        ({"kwargs": {"device": "cuda"}}, r"device of \w+ must be a torch\.device"),
        ({"results": [{"view": [9, "float32", 0, [2], [1]]}]}, "no program: KeyError"),
        ({"results": [{"view": [0, "float32", 10**6, [2], [1]]}]}, "beyond its storage"),
        ({"results": [{"view": [0, "float32", -1, [2], [1]]}]}, "no layout of a tensor"),
        ({"results": [{"view": [0, "float32", 0, [2], [1, 1]]}]}, "no layout of a tensor"),
        (
            {"results": [{"view": [0, "float32", 0, [2**62], [0]]}]},
            "a tensor of 4611686018427387904",
        ),
    ],
)
def test_programs_that_are_none(change, message):
    described = json.loads(winit.plan(Rotary).to_json())
    (entry,) = [each for each in described["entries"] if each["name"] == "inv_freq"]
    entry["program"]["steps"][0].update(change)
    with pytest.raises(ValueError, match=message):
        winit.Plan.from_json(json.dumps(described))


def test_the_operators_are_torchs():
    """No name is a slip; a few are not in every release."""
    missing = [name for name in sorted(OPERATORS) if not hasattr(torch.ops.aten, name)]
    assert len(missing) < 5, missing


def test_a_part_of_a_draw_of_which_the_whole_is_computed_with():
    """Row 0 has the values of row 0 of the draw, since the norms are those of the whole."""

    def factory():
        rows = torch.randn(4, 6)
        module = nn.Module()
        module.first, module.norms = nn.Parameter(rows[0].clone()), nn.Parameter(rows.norm(dim=1))
        return module

    plan, model = planned(factory), emptied(factory)
    plan.run(model, seed=0)
    assert plan["first"].initializer is None
    assert torch.allclose(model.norms[0], model.first.norm())
