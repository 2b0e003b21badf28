"""The run of a plan: by name, the values of the single calls."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import winit_cuda as winit
from initializers import needs_core
from meshes import mesh_at
from ruled import RULES, Model, assert_filled, expected, ruled_plan
from winit_cuda._dispatch import planned
from winit_cuda._dispatch.planned import can_run

pytestmark = needs_core


@pytest.fixture
def plan():
    return ruled_plan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_every_parameter_has_the_values_of_its_name(plan, dtype):
    model = Model().to(dtype)
    memory = [parameter.data_ptr() for parameter in model.parameters()]
    report = plan.run(model, seed=3)
    assert_filled(model, expected(plan, 3, dtype))
    assert report.filled == [entry.name for entry in plan]
    assert [parameter.data_ptr() for parameter in model.parameters()] == memory
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert model.head.weight is model.embedding.weight
    assert str(report) == f"filled {len(plan)} tensors, {report.elements:,} elements"
    assert report.elements == sum(parameter.numel() for parameter in model.parameters())
    other = Model().to(dtype)
    plan.run(other, winit.key(3))
    assert_filled(other, dict(model.named_parameters()))


def test_a_plan_of_a_file(plan, tmp_path):
    plan.save(tmp_path / "init.json")
    model = Model()
    winit.Plan.load(tmp_path / "init.json").run(model, seed=0)
    assert_filled(model, expected(plan))


def test_other_parameters_change_nothing(plan):
    model = Model(layers=1)
    model.extra = nn.Linear(2, 2)
    winit.plan(model, RULES).run(model, seed=0)
    values = expected(plan)
    assert torch.equal(model.layers[0].q.weight, values["layers.0.q.weight"])
    assert torch.equal(model.embedding.weight, values["embedding.weight"])


def test_compiled_and_wrapped(plan):
    model = Model()
    plan.run(torch.compile(nn.DataParallel(model), backend="eager"), seed=0)
    assert_filled(model, expected(plan))


def test_untied_by_to_empty(plan):
    """Every name of a tied parameter fills alike, under the one key."""
    with torch.device("meta"):
        model = Model()
    model.to_empty(device="cpu")
    model.head.weight = nn.Parameter(torch.empty(16, 6))
    plan.run(model, seed=0)
    assert torch.equal(model.head.weight, model.embedding.weight)
    assert torch.equal(model.head.weight, expected(plan)["embedding.weight"])


class Pair(nn.Module):
    """Two weights, which are one where they are tied."""

    def __init__(self, is_tied=False):
        super().__init__()
        self.a, self.b = nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False)
        if is_tied:
            self.b.weight = self.a.weight


LAWS = {"a.*": winit.Uniform(), "b.*": winit.Normal()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_tied_by_the_instance(dtype):
    """What the plan has apart is filled under its first name; the other one is left over."""
    plan = winit.plan(Pair(), LAWS)
    model = Pair(is_tied=True).to(dtype)
    before = model.a.weight.detach().clone()
    with pytest.raises(ValueError, match=r"^Plan\.run: b\.weight is only in the plan \(1 in all\)"):
        plan.run(model, seed=0)
    assert torch.equal(model.a.weight, before)
    report = plan.run(model, seed=0, strict=False)
    assert (report.filled, report.only_in_plan) == (["a.weight"], ["b.weight"])
    assert report.elements == 25
    assert torch.equal(model.a.weight, expected(plan, dtype=dtype)["a.weight"])


@pytest.mark.parametrize("first", ["a", "b"])
def test_tied_under_a_name_that_is_only_in_the_model(first):
    """It is known by the other one."""
    known = Pair()
    del known.b
    setattr(known, first, known.a)
    if first == "b":
        del known.a
    plan = winit.plan(known, {"*": winit.Uniform()})
    model = Pair(is_tied=True)
    report = plan.run(model, seed=0)
    assert report.filled == ["a.weight"]
    assert torch.equal(model.a.weight, expected(plan)[f"{first}.weight"])


def test_a_tied_weight_beside_a_piece():
    """Its second name has a law of pieces, which a run of the first is not to write."""
    plan = winit.plan(Pair(), {**LAWS, "b.*": winit.Composite(winit.Ones(), {0: winit.Zeros()})})
    model = Pair(is_tied=True)
    plan.run(model, seed=0, strict=False)
    assert torch.equal(model.a.weight, expected(plan)["a.weight"])


def test_a_stage_of_a_pipeline(plan):
    """It has some of the names, and its parameters the values that they have in the whole."""
    stage = Model()
    del stage.layers[0], stage.embedding, stage.head
    stage.layers = nn.ModuleDict({"1": stage.layers[0]})
    with pytest.raises(ValueError, match=r"embedding\.weight is only in the plan; layers\.0\.q"):
        plan.run(stage, seed=0)
    report = plan.run(stage, seed=0, strict=False)
    assert_filled(stage, expected(plan))
    assert "embedding.weight" in report.only_in_plan
    assert "only in the plan: embedding.weight, layers.0" in str(report)


@pytest.mark.usefixtures("fake_ranks")
def test_sharded_parameters(plan, tensor_api):
    mesh = mesh_at((4,), (1,))
    model = Model()
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if module is not model.head:
                placed = tensor_api.distribute_tensor(
                    parameter.detach(), mesh, [tensor_api.Shard(0)], src_data_rank=None
                )
                setattr(module, name, nn.Parameter(placed))
    model.head.weight = model.embedding.weight
    plan.run(model, seed=0)
    for name, parameter in model.named_parameters():
        whole = expected(plan)[name]
        local = tensor_api.distribute_tensor(
            whole, mesh, [tensor_api.Shard(0)], src_data_rank=None
        ).to_local()
        assert torch.allclose(parameter.to_local(), local, rtol=0, atol=1e-6), name
        assert "q.weight" in name or torch.equal(parameter.to_local(), local), name


def test_plain_parts(plan):
    model = Model()
    model.layers[0].k.weight = nn.Parameter(torch.empty(2, 6))
    model.layers[1].v.weight = nn.Parameter(torch.empty(6, 3))
    shards = {
        "layers.0.k.weight": winit.Shard((6, 6), (4, 0)),
        "layers.1.v.weight": winit.Shard((6, 6), (0, 3)),
    }
    with pytest.raises(ValueError, match=r"k.weight has shape \(2, 6\), planned is \(6, 6\)"):
        plan.run(model, seed=0)
    plan.run(model, seed=0, shards=shards)
    values = expected(plan)
    assert torch.equal(model.layers[0].k.weight, values["layers.0.k.weight"][4:])
    assert torch.equal(model.layers[1].v.weight, values["layers.1.v.weight"][:, 3:])
    with pytest.raises(ValueError, match=r"layers\.7\.x, of shards, is not filled"):
        plan.run(model, seed=0, shards={**shards, "layers.7.x": shards["layers.0.k.weight"]})


def test_parametrized_weights():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2))
    plan = winit.plan(model, {"*.weight": winit.Normal(std=0.5), "*": winit.Zeros()})
    plan.run(model, seed=0)
    values = expected(plan)
    assert torch.allclose(model[0].weight, values["0.weight"], atol=1e-6)
    assert torch.equal(model[1].weight, values["1.weight"])


def test_what_is_left_as_it_is(plan):
    model = Model()
    before = copy.deepcopy(model)
    model.layers[0].q.weight._is_hf_initialized = True
    report = plan.run(model, seed=0, skip=["*.norm.*", "embedding*"])
    assert len(report.skipped) == 6
    for name in report.skipped:
        assert torch.equal(model.get_parameter(name), before.get_parameter(name))
    assert torch.equal(model.layers[1].q.weight, expected(plan)["layers.1.q.weight"])
    assert "skipped: embedding.weight, layers.0.q.weight" in str(report)


def test_globs_to_skip(plan):
    """One of the names of a tied weight is enough; what matches nothing is a mistake."""
    model = Model()
    before = copy.deepcopy(model)
    assert "embedding.weight" in plan.run(model, seed=0, skip=["head.*"]).skipped
    assert torch.equal(model.head.weight, before.head.weight)
    with pytest.raises(ValueError, match=r"'no\.such', of skip, matches nothing"):
        plan.run(model, seed=0, skip=["no.such"])
    plan.run(model, seed=0, skip=["no.such"], strict=False)
    for skip in ("*.bias", None, [3]):
        with pytest.raises(TypeError, match=r"Plan\.run: skip must be a list of globs"):
            plan.run(model, seed=0, skip=skip)


def test_nothing_is_written_by_planning():
    """In training, spectral_norm goes on with its power iteration at every look at the weight."""
    model = nn.Sequential(parametrizations.spectral_norm(nn.Linear(4, 4)))
    before = copy.deepcopy(model.state_dict())
    winit.plan(model, {"*": winit.Uniform()})
    assert model[0].parametrizations.weight[0].training
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]), name


def test_a_parametrized_module_under_two_names():
    layer = parametrizations.weight_norm(nn.Linear(3, 4))
    model = nn.ModuleDict({"a": layer, "b": layer})
    plan = winit.plan(model, {"*": winit.Normal()})
    assert [(entry.name, entry.aliases) for entry in plan] == [
        ("a.weight", ("b.weight",)),
        ("a.bias", ("b.bias",)),
    ]
    plan.run(model, seed=0)
    assert torch.allclose(layer.weight, expected(plan)["a.weight"], atol=1e-6)


def calls_of(call):
    """How many calls of Python's functions there are, and how many of C's."""
    counts = {"call": 0, "c_call": 0}

    def count(_frame, event, _argument):
        if event in counts:
            counts[event] += 1

    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(None)
    return counts["call"], counts["c_call"]


def test_calls_for_each_tensor():
    """A tensor costs a run few calls: 300 small ones are to take less than their values."""
    counts = []
    for count in (100, 200):
        model = nn.ParameterList(torch.empty(8, 4 + i % 5) for i in range(count))
        plan = winit.plan(model, {"0": winit.Ones(), "*": winit.XavierNormal()})
        plan.run(model, seed=0)
        counts.append(calls_of(lambda: plan.run(model, seed=1)))  # noqa: B023
    (python, c), (more_python, more_c) = counts
    reads_at_once = can_run()
    assert (more_python - python) / 100 <= (1 if reads_at_once else 11)
    assert (more_c - c) / 100 <= (7 if reads_at_once else 30)


class Moving(nn.Module):
    """Gives other tensors other memory, once, when the weight is to be set."""

    def __init__(self):
        super().__init__()
        self.others = []

    def forward(self, weight):
        return 2 * weight

    def right_inverse(self, weight):
        while self.others:
            other = self.others.pop()
            other.data = torch.empty_like(other)
        return weight / 2


def test_memory_that_moves_during_a_run():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    plan = winit.plan(model, {"*": winit.Uniform()})
    parametrize.register_parametrization(model[1], "weight", Moving())
    model[1].parametrizations.weight[0].others.append(model[0].weight)
    old = model[0].weight.data
    before = old.clone()
    plan.run(model, seed=0)
    values = expected(plan)
    assert torch.equal(old, before)
    assert torch.equal(model[0].weight, values["0.weight"])
    assert torch.equal(model[1].weight, values["1.weight"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_tensors_that_are_read_one_by_one(plan, dtype, monkeypatch):
    """As before torch 2.10, and in another dtype than was planned."""
    if dtype == torch.float32:
        monkeypatch.setattr(planned, "exchange", None)
    model = Model().to(dtype)
    versions = [parameter._version for parameter in model.parameters()]
    plan.run(model, seed=0)
    assert_filled(model, expected(plan, dtype=dtype))
    after = [parameter._version for parameter in model.parameters()]
    assert all(old < new for old, new in zip(versions, after, strict=True))
