"""Laws read from constructors: what is written is what was drawn, scaled, copied or set."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import models
import winit_cuda as winit

INF = float("inf")


def entry(write, shape=(4, 6), dtype=torch.float32):
    """The entry of a parameter that is allocated and written, or is the tensor returned."""

    def factory():
        module = nn.Module()
        tensor = torch.empty(shape, dtype=dtype)
        with torch.no_grad():
            made = write(tensor)
        module.w = nn.Parameter(made if torch.is_tensor(made) else tensor, False)
        return module

    return winit.plan(factory)["w"]


def detached(tensor):
    """In inference mode torch dispatches `detach_`, which writes nothing."""
    with torch.inference_mode():
        made = torch.randn(4, 6).detach_()
    return tensor.copy_(made)


@pytest.mark.parametrize(
    ("write", "law"),
    [
        (lambda w: nn.init.normal_(w, 1.0, 0.5), winit.Normal(1.0, 0.5)),
        (lambda w: w.normal_(std=2.0).mul_(0.5).add_(3, alpha=2), winit.Normal(6.0, 1.0)),
        (lambda _: torch.randn(4, 6) * -0.02, winit.Normal(-0.0, 0.02)),
        (lambda w: 0.02 * torch.randn_like(w), winit.Normal(0.0, 0.02)),
        (lambda _: torch.normal(1.0, 2.0, (4, 6)) / torch.tensor(4.0), winit.Normal(0.25, 0.5)),
        (lambda _: torch.randn(6, 4).t() / math.sqrt(4), winit.Normal(0.0, 0.5)),
        (lambda w: w.copy_(torch.randn(4, 6).double()), winit.Normal()),
        (lambda _: torch.randn(9, 6)[2:6], winit.Normal()),
        (lambda w: [w.zero_(), w[2:].normal_()] and w.clone()[2:], winit.Normal()),
        (lambda _: 1 - torch.rand(4, 6) * 2, winit.Uniform(-1.0, 1.0)),
        (lambda w: w.uniform_(-1, 3).sub_(1).neg_(), winit.Uniform(-2.0, 2.0)),
        (lambda w: nn.init.xavier_uniform_(w, 2.0), winit.XavierUniform(2.0)),
        (lambda w: nn.init.xavier_normal_(w), winit.XavierNormal()),
        (lambda w: nn.init.kaiming_uniform_(w, a=5**0.5), winit.KaimingUniform(a=5**0.5)),
        (lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"),
         winit.KaimingNormal(mode="fan_out", nonlinearity="relu")),
        (lambda w: nn.init.xavier_normal_(w).mul_(2), winit.Normal(std=2 * math.sqrt(0.2))),
        (lambda w: nn.init.trunc_normal_(w, std=0.5), winit.TruncNormal(std=0.5)),
        (lambda w: nn.init.trunc_normal_(w, std=0.5, a=1, b=2).mul_(-2),
         winit.TruncNormal(-0.0, 1.0, -4.0, -2.0)),
        (lambda w: nn.init.orthogonal_(w, 2.0).mul_(0.5), winit.Orthogonal(1.0)),
        (lambda w: nn.init.sparse_(w, 0.5).div_(2), winit.Sparse(0.5, 0.005)),
        (lambda w: nn.init.eye_(w), winit.Eye()),
        (lambda w: w.fill_(0.25).mul_(2), winit.Constant(0.5)),
        (lambda _: torch.full((4, 6), 3.0) - 2, winit.Ones()),
        (lambda w: w.copy_(torch.tensor(-2.0)), winit.Constant(-2.0)),
        (lambda w: nn.init.normal_(w).zero_(), winit.Zeros()),
        (lambda w: nn.init.ones_(w).normal_(), winit.Normal()),
        (lambda w: w.normal_().mul_(0), winit.Zeros()),
        (lambda w: [w.set_(torch.randn(4, 6))], winit.Normal()),
        (lambda _: torch.randn(6, 4).t_().mul_(2), winit.Normal(std=2.0)),
        (detached, winit.Normal()),
    ],
)  # fmt: skip
def test_laws(write, law):
    found = entry(write)
    assert type(found.initializer) is type(law)
    mine, expected = found.initializer.law((4, 6)), law.law((4, 6))
    assert mine.fill is expected.fill
    assert mine.numbers == pytest.approx(expected.numbers, rel=1e-15)
    assert (found.key_name, found.pieces, found.note) == ("", (), "")


def test_other_shapes_and_dtypes():
    assert entry(lambda w: nn.init.dirac_(w, 2), (4, 2, 3)).initializer == winit.Dirac(2)
    low = entry(lambda w: w.fill_(0.1), dtype=torch.bfloat16)
    assert low.initializer == winit.Constant(0.10009765625)
    assert low.dtype == "bfloat16"
    assert entry(lambda w: w.normal_().to(torch.float16)).initializer == winit.Normal()
    nothing = entry(lambda _: None, (0, 3))
    assert (nothing.initializer, nothing.shape) == (winit.Zeros(), (0, 3))
    integers = entry(lambda _: torch.full((3,), 7))
    assert (integers.initializer, integers.dtype) == (winit.Constant(7), "int64")


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda w: w.normal_().abs_(), "computed by abs_"),
        (lambda w: w.normal_().clamp_(-1, 1), "computed by clamp_"),
        (lambda w: w.normal_().mul_(torch.rand(6)), "computed by mul_ with a tensor"),
        (lambda w: w.normal_().mul_(torch.rand(())), "computed by mul_ with a random number"),
        (lambda _: torch.randn(4, 6) + torch.randn(4, 6), "computed by add with a tensor"),
        (lambda _: torch.randn(6).expand(4, 6), "computed by randn, expanded"),
        (lambda w: w.copy_(torch.randn(6)), "computed by copy_"),
        (lambda w: [nn.init.orthogonal_(w.t())], "computed by orthogonal_"),
        (lambda w: w.bernoulli_(0.5), "computed by bernoulli_"),
        (lambda w: [w.view(torch.int32).fill_(1)], "computed by fill_ in another dtype"),
        (lambda w: [w.normal_()[::2].zero_()], "computed by a write that is no box"),
        (lambda w: w.normal_().fill_diagonal_(0), "computed by a write that is no box"),
        (lambda w: [w.normal_()[0].mul_(2)], "computed by mul_ of a part"),
        (lambda w: w.copy_(torch.arange(24.0).view(4, 6)), "computed by arange"),
        (lambda _: torch.tensor([1.0, 2.0]), "computed from data of the constructor"),
        (lambda _: torch.tensor([-0.0, 0.0]), "computed from data of the constructor"),
        (lambda _: None, "never written"),
        (lambda w: [w[:2].zero_()], "partly unset"),
    ],
)
def test_what_has_no_law(write, why):
    """Where it is not known for sure, the entry says why, with the line."""
    found = entry(write)
    assert found.initializer is None
    assert found.note.startswith(why)
    assert "computed" not in why or "test_laws.py:" in found.note
    assert found.is_planned == ("computed" in why)


@pytest.mark.parametrize(
    ("write", "law"),
    [
        (lambda w: winit.normal_(w, 1.0, 0.5), winit.Normal(1.0, 0.5)),
        (lambda w: winit.uniform_(w, key=winit.key(3)), winit.Uniform()),
        (lambda w: winit.trunc_normal_(w).mul_(2), winit.TruncNormal(0.0, 2.0, -4.0, 4.0)),
        (lambda w: winit.orthogonal_(w, 2.0, chunks=2), winit.Orthogonal(2.0, chunks=2)),
        (lambda w: winit.sparse_(w, 0.5), winit.Sparse(0.5)),
        (lambda w: winit.constant_(w, 3), winit.Constant(3.0)),
        (lambda w: winit.Normal(std=3)(w), winit.Normal(std=3.0)),
    ],
)
def test_functions_of_this_package(write, law):
    """They are one operator to torch; a key that the constructor gives has no effect."""
    assert entry(write).initializer == law


def test_a_delta_of_this_package():
    found = entry(winit.delta_orthogonal_, (4, 3, 3))
    assert found.initializer == winit.DeltaOrthogonal()
    part = entry(lambda w: winit.normal_(w, shard=winit.Shard((8, 6), (4, 0))))
    assert not part.is_planned


@pytest.mark.parametrize("is_scaled", [False, True])
def test_gpt(is_scaled):
    plan = winit.plan(lambda: models.GPT(is_scaled=is_scaled))
    assert plan["embedding.weight"].aliases == ("head.weight",)
    laws = {found.name: found.initializer for found in plan}
    assert laws["embedding.weight"] == winit.Normal(std=0.02)
    assert laws["blocks.1.attention.weight"] == winit.Normal(std=0.02)
    assert laws["blocks.1.projection.weight"].std == pytest.approx(0.01, rel=1e-15)
    assert laws["blocks.1.projection.bias"] == winit.Zeros()
    assert laws["blocks.0.norm.weight"] == winit.Ones()
    assert len(plan) == 1 + 2 * 6


def test_copies():
    """A copy has the law of the first, and its key; what is drawn anew has its own."""
    plan = winit.plan(models.ActorCritic)
    assert plan["critic.0.weight"].initializer == winit.Orthogonal(2**0.5)
    assert plan["actor.2.weight"].initializer == winit.Orthogonal(0.01)
    assert plan["target.0.weight"].initializer == winit.Orthogonal(2**0.5)
    assert plan["target.2.weight"].key_name == "critic.2.weight"
    assert plan["target.2.bias"].key_name == ""
    layers = winit.plan(lambda: nn.Transformer(8, 2, 2, 2, 16, batch_first=True))
    assert layers["encoder.layers.1.linear1.weight"].key_name == ""
    assert layers["encoder.layers.1.linear1.bias"].key_name == "encoder.layers.0.linear1.bias"


def test_parts_of_one_draw():
    """Rows of one draw are independent, equal rows are copies, and what overlaps is no law."""

    def factory():
        rows = torch.randn(4, 6)
        module = nn.Module()
        module.a, module.b, module.c = (nn.Parameter(rows[i].clone()) for i in (0, 1, 1))
        module.d = nn.Parameter(2 * rows[1])
        return module

    plan = winit.plan(factory)
    assert [found.key_name for found in plan] == ["", "", "b", "b"]
    assert plan["d"].initializer == winit.Normal(std=2.0)

    def overlapping():
        module = factory()
        rows = torch.randn(4, 6)
        module.e, module.f = nn.Parameter(rows[:3].clone()), nn.Parameter(rows[2:].clone())
        module.g = nn.Parameter(-module.a.detach())
        return module

    plan = winit.plan(overlapping)
    notes = {found.name: found.note for found in plan}
    assert {name for name, note in notes.items() if note} == {*"aefg", *"bcd"}
    assert notes["e"] == "computed with others from one draw"


def test_pieces():
    plan = winit.plan(models.Pieces)
    embedding = plan["embedding.weight"]
    assert embedding.initializer == winit.Normal()
    assert embedding.pieces[0] == winit.Piece((2, 0), (1, 4), winit.Zeros(), "embedding.weight")
    qkv = plan["qkv"]
    assert qkv.initializer is None
    assert qkv.is_planned
    assert [piece.initializer for piece in qkv.pieces] == [winit.XavierUniform()] * 3
    assert [piece.offsets for piece in qkv.pieces] == [(0, 0), (4, 0), (8, 0)]
    assert [piece.key_name for piece in qkv.pieces] == ["qkv", "qkv#1", "qkv#2"]
    expert = plan["experts"].pieces[2]
    assert (expert.sizes, expert.initializer) == ((1, 4, 4), winit.Orthogonal(batch_dims=1))
    (gate,) = plan["lstm.bias_hh_l0"].pieces
    assert (gate.offsets, gate.sizes, gate.initializer) == ((4,), (4,), winit.Ones())
    columns = plan["columns"]
    assert columns.initializer == winit.Zeros()
    assert columns.pieces == (winit.Piece((0, 2), (4, 3), winit.Normal(std=0.1), "columns"),)


@pytest.mark.parametrize(
    "write",
    [
        lambda w: w.copy_(torch.tensor([-0.0, 0.0])),
        lambda w: w.copy_(torch.tensor([-0.0, -0.0])),
        lambda w: [w.zero_(), w[1:].fill_(-0.0)],
        lambda w: [w.fill_(-0.0), w[1:].zero_()],
        lambda w: w.zero_().neg_(),
        lambda w: w.fill_(-0.0).div_(2).sub_(0.0),
        lambda w: w.fill_(-0.0).add_(0.0),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_zeros_that_differ_by_their_sign(write, dtype):
    def factory():
        module = nn.Module()
        module.w = nn.Parameter(torch.empty(2, dtype=dtype))
        write(module.w.data)
        return module

    expected = factory().w.signbit().tolist()
    model = factory()
    winit.plan(factory).run(model, 0)
    assert model.w.signbit().tolist() == expected


def test_buffers():
    plan = winit.plan(lambda: nn.Sequential(nn.BatchNorm1d(3)))
    assert [found.name for found in plan if found.is_buffer] == [
        "0.running_mean", "0.running_var", "0.num_batches_tracked"
    ]  # fmt: skip
    assert plan["0.running_var"].initializer == winit.Ones()
    assert plan["0.num_batches_tracked"].dtype == "int64"


def test_what_is_no_factory():
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module or a callable"):
        winit.plan(3)
    with pytest.raises(TypeError, match="rules must be given for a Module"):
        winit.plan(nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"what the factory returns must be a torch.nn.Module"):
        winit.plan(lambda: 3)
