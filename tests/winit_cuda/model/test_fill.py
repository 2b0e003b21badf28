"""Runs of plans that were read: pieces, copies and buffers, in whole tensors and in parts."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import models
import winit_cuda as winit
from initializers import needs_core
from meshes import as_each_rank, mesh_at

pytestmark = needs_core


def emptied(factory):
    """An instance whose tensors hold what no law gives."""
    model = factory()
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.fill_(77)
    return model


def expected(plan, dtype=torch.float32):
    """What single calls give, piece by piece."""
    base = winit.key(0)
    values = {}
    for entry in plan:
        whole = torch.empty(entry.shape, dtype=dtype)
        if entry.initializer is not None:
            entry.initializer(whole, key=winit.fold_in(base, entry.key_name or entry.name))
        for piece in entry.pieces:
            own = torch.empty(piece.sizes, dtype=dtype)
            piece.initializer(own, key=winit.fold_in(base, piece.key_name))
            box = zip(piece.offsets, piece.sizes, strict=True)
            whole[tuple(slice(a, a + n) for a, n in box)] = own
        values[entry.name] = whole
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_pieces(dtype):
    plan = winit.plan(models.Pieces)
    model = emptied(models.Pieces).to(dtype)
    plan.run(model, seed=0)
    values = expected(plan, dtype)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, values[name]), name
    assert torch.equal(model.embedding.weight[2], torch.zeros(4, dtype=dtype))
    assert not torch.equal(model.qkv[:4], model.qkv[4:8])
    assert model.qkv.requires_grad


def test_a_backward_pass_sees_the_write():
    model = emptied(models.Pieces)
    loss = (model.qkv * model.qkv).sum()
    winit.plan(models.Pieces).run(model, seed=0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_copies_and_buffers():
    plan = winit.plan(models.ActorCritic)
    model = emptied(models.ActorCritic)
    plan.run(model, seed=0)
    assert torch.equal(model.target[0].weight, model.critic[0].weight)
    assert not torch.equal(model.actor[0].weight, model.critic[0].weight)
    norm = emptied(lambda: nn.BatchNorm1d(3))
    plan = winit.plan(lambda: nn.BatchNorm1d(3))
    assert len(plan.run(norm, seed=0, buffers=False).filled) == 2
    assert norm.running_var.tolist() == [77.0] * 3
    assert len(plan.run(norm, seed=0).filled) == 5
    assert norm.running_var.tolist() == [1.0] * 3
    assert norm.num_batches_tracked.item() == 0


def test_a_model_of_all_kinds():
    """Filled by its plan, a model has what the functions of the same names write."""
    plan = winit.plan(models.mixed)
    model = emptied(models.mixed)
    plan.run(model, seed=0)
    for name, parameter in model.named_parameters():
        entry = plan[name]
        key = winit.fold_in(winit.key(0), name)
        assert torch.equal(entry.initializer(torch.empty_like(parameter), key=key), parameter), name


@pytest.mark.usefixtures("fake_ranks")
@pytest.mark.parametrize("dim", [0, 1])
def test_pieces_of_sharded_parameters(dim, tensor_api):
    plan = winit.plan(models.Pieces)
    values = expected(plan)
    model = emptied(models.Pieces)
    mesh = mesh_at((3,), (1,))
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            placement = tensor_api.Shard(min(dim, parameter.dim() - 1))
            placed = tensor_api.distribute_tensor(
                parameter.detach(), mesh, [placement], src_data_rank=None
            )
            setattr(module, name, nn.Parameter(placed))
    version = model.qkv._version
    plan.run(model, seed=0)
    assert model.qkv._version > version
    for name, parameter in model.named_parameters():
        local = tensor_api.distribute_tensor(
            values[name], mesh, parameter.placements, src_data_rank=None
        ).to_local()
        assert torch.allclose(parameter.to_local(), local, rtol=0, atol=1e-6), name


def test_pieces_of_plain_parts():
    plan = winit.plan(models.Pieces)
    values = expected(plan)
    model = emptied(models.Pieces)
    model.qkv = nn.Parameter(torch.empty(6, 4))
    model.columns = nn.Parameter(torch.empty(4, 2))
    shards = {
        "qkv": winit.Shard.partition((12, 4), dim=0, rank=1, world=2, stride=3),
        "columns": winit.Shard((4, 6), (0, 4)),
    }
    plan.run(model, seed=0, shards=shards)
    rows = [2, 3, 6, 7, 10, 11]
    assert torch.equal(model.qkv, values["qkv"][rows])
    assert torch.equal(model.columns, values["columns"][:, 4:])


def unread():
    module = nn.Linear(2, 2)
    module.computed = nn.Parameter(torch.special.i0(torch.randn(3)))
    module.register_buffer("cache", torch.empty(3))
    return module


def test_what_was_not_read():
    """It is an error that says why; a buffer that nobody writes is left alone."""
    plan = winit.plan(unread)
    model = emptied(unread)
    before = [tensor.clone() for tensor in model.parameters()]
    with pytest.raises(ValueError, match=r"computed has no law \(computed by i0, .*test_fill.py:"):
        plan.run(model, seed=0)
    assert all(map(torch.equal, model.parameters(), before))
    report = plan.with_rules({"computed": winit.Ones()}).run(model, seed=0)
    assert report.filled == ["weight", "bias", "computed"]
    assert model.cache.tolist() == [77.0] * 3


class Sharded(nn.Module):
    """A model with entries of every kind, which FSDP2 takes."""

    def __init__(self):
        super().__init__()
        self.pieces = models.Pieces()
        self.gpt = models.GPT()
        self.rates = nn.Parameter(torch.log(torch.arange(1.0, 8.0) + torch.rand(7)))
        self.register_buffer("inv_freq", 1 / 10000 ** (torch.arange(0, 8, 2) / 8), persistent=False)
        self.copy = copy.deepcopy(self.pieces.embedding)


def test_from_meta_to_fsdp2(tensor_api):
    """What a user writes: a plan of the constructor, a model on meta, divided, and filled."""
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not hasattr(fsdp, "fully_shard"):
        pytest.skip("torch has no FSDP2")
    plan = winit.plan(Sharded)
    assert {entry.kind for entry in plan} == {"law", "pieces", "copy", "computed"}
    whole = Sharded()
    plan.run(whole, seed=0)
    for _, mesh in as_each_rank((3,), ("shard",)):
        with torch.device("meta"):
            model = Sharded()
        fsdp.fully_shard(model.gpt, mesh=mesh)
        fsdp.fully_shard(model, mesh=mesh).to_empty(device="cpu")
        plan.run(model, seed=0)
        wanted = dict(whole.named_parameters())
        for name, parameter in model.named_parameters():
            expected = tensor_api.distribute_tensor(
                wanted[name].detach(), mesh, parameter.placements, src_data_rank=None
            )
            mine = parameter.to_local()
            assert torch.allclose(mine, expected.to_local(), rtol=0, atol=1e-6), name
        assert torch.equal(model.inv_freq, whole.inv_freq)


class HalfACharacter(nn.Module):
    """A weight whose name has a lone surrogate, and others before and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(3, 3)
        self.add_module("w\udc80", nn.Linear(3, 3))
        self.after = nn.Linear(3, 3)


def run_planned(rules):
    model = emptied(HalfACharacter)
    try:
        winit.plan(HalfACharacter, rules).run(model, 0)
    finally:
        assert all((each == 77).all() for each in model.parameters())


def initialize(rules):
    model = emptied(HalfACharacter)
    try:
        winit.initialize(model, 0, rules=rules)
    finally:
        assert all((each == 77).all() for each in model.parameters())


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("Plan.run", run_planned),
        ("initialize", initialize),
        ("build", lambda rules: winit.build(HalfACharacter, 0, rules)),
        ("ensemble", lambda rules: winit.ensemble(HalfACharacter, 2, 0, rules)),
    ],
    ids=["run", "initialize", "build", "ensemble"],
)
@pytest.mark.parametrize(
    "rules", [None, {"after.weight": winit.Orthogonal()}, {"*": winit.Normal()}]
)
def test_a_name_that_gives_no_key(function, call, rules):
    requirement = "the name of a parameter must be text that UTF-8 can encode"
    with pytest.raises(ValueError, match=f"^{function}: {requirement}, got ") as told:
        call(rules)
    assert str(told.value).endswith(r"'w\udc80.weight'")


def test_a_name_that_gives_no_key_is_left_and_told():
    plan, model = winit.plan(HalfACharacter), emptied(HalfACharacter)
    report = plan.run(model, 0, skip=["w*"])
    assert (model.before.weight != 77).all()
    assert r"skipped: w\udc80.weight, w\udc80.bias" in str(report)
    found = {one.name: one.reason for one in winit.verify(model, plan, 0).different}
    assert [ascii(name) for name in found] == [r"'w\udc80.weight'", r"'w\udc80.bias'"]
    assert set(found.values()) == {
        r"the name of a parameter must be text that UTF-8 can encode, got 'w\udc80.weight'",
        r"the name of a parameter must be text that UTF-8 can encode, got 'w\udc80.bias'",
    }
