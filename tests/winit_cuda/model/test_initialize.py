"""Models that exist, initialized by their own functions."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import winit_cuda as winit
from initializers import needs_core
from meshes import as_each_rank

pytestmark = needs_core


def layers():
    return nn.Sequential(
        nn.Linear(32, 32),
        nn.BatchNorm1d(8),
        nn.LSTM(8, 8),
        nn.MultiheadAttention(8, 2),
        nn.Embedding(9, 4, padding_idx=2),
        nn.Conv2d(3, 4, 3),
        nn.PReLU(),
    )


class GPT(nn.Module):
    """The residual projections are drawn again in the body of the constructor."""

    def __init__(self, depth=2, width=32):
        super().__init__()
        self.embedding = nn.Embedding(20, width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"up": nn.Linear(width, width), "down": nn.Linear(width, width)})
            for _ in range(depth)
        )
        self.head = nn.Linear(width, 20, bias=False)
        self.embedding.weight = self.head.weight
        self.position = nn.Parameter(torch.randn(8, width))
        self.register_buffer("mask", torch.tril(torch.ones(8, 8)))
        self.apply(self._init_weights)
        for name, parameter in self.named_parameters():
            if name.endswith("down.weight"):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * depth))

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)


def state(model):
    """All that can be seen of a model: attributes and values."""
    attributes = [(dict(vars(module)), module.training) for module in model.modules()]
    tensors = [tensor.clone() for tensor in (*model.parameters(), *model.buffers())]
    return attributes, tensors


def assert_as_before(model, before):
    attributes, tensors = before
    for module, (own, training) in zip(model.modules(), attributes, strict=True):
        assert vars(module).keys() == own.keys()
        assert all(vars(module)[name] is value for name, value in own.items())
        assert module.training == training
    for now, value in zip((*model.parameters(), *model.buffers()), tensors, strict=True):
        assert torch.equal(now, value)


def assert_equal(model, other):
    for (name, one), two in zip(
        model.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name


@pytest.mark.parametrize(
    "factory",
    [
        layers,
        lambda: nn.Sequential(nn.Linear(4, 6, dtype=torch.bfloat16), nn.Linear(6, 4).double()),
        lambda: nn.DataParallel(layers()),
    ],
    ids=["layers of torch", "dtypes", "wrapped"],
)
def test_the_values_of_a_plan(factory):
    torch.manual_seed(0)
    model, planned = factory(), factory()
    attributes, _ = state(model)
    generator = torch.get_rng_state()
    report = winit.initialize(model, seed=3)
    assert torch.equal(torch.get_rng_state(), generator)
    assert_as_before(model, (attributes, state(model)[1]))
    plan = winit.plan(factory)
    plan.run(planned, seed=3)
    assert_equal(model, planned)
    assert list(report.plan) == list(plan)
    assert str(report) == f"filled {len(plan)} tensors, {report.elements:,} elements"
    winit.initialize(planned, winit.key(3))
    assert_equal(model, planned)
    winit.initialize(planned, seed=4)
    assert not torch.equal(next(model.parameters()), next(planned.parameters()))


def test_what_a_constructor_does_itself():
    torch.manual_seed(0)
    model = GPT()
    position, mask = model.position.clone(), model.mask.clone()
    report = winit.initialize(model, seed=0)
    assert report.unwritten == ["position", "mask"]
    assert torch.equal(model.position, position)
    assert torch.equal(model.mask, mask)
    assert list(report.differs) == ["blocks.0.down.weight", "blocks.1.down.weight"]
    assert report.differs["blocks.1.down.weight"].startswith("std 0.01")
    expected = (
        r"filled 9 tensors, 4,864 elements\n"
        r"left, no function writes them: position, mask\n"
        r"differs: blocks\.\{0-1\}\.down\.weight \(2\) had std 0\.0\d+, now Normal\(std=0\.02\)"
    )
    assert re.fullmatch(expected, str(report))
    assert model.embedding.weight is model.head.weight
    again = winit.initialize(model, seed=1)
    assert not again.differs


def test_a_value_beyond_the_law():
    """Of so few elements, mean and scale say nothing."""
    model = nn.Linear(4, 2)  # within 1/2
    nn.init.constant_(model.bias, 0.501)
    with torch.no_grad():
        model.weight[0, 0] = 0.6
    assert winit.initialize(model, seed=0).differs.keys() == {"weight", "bias"}
    assert not winit.initialize(model, seed=1).differs


def test_rules_and_strictness():
    model = GPT()
    before = state(model)
    with pytest.raises(ValueError, match=r"position has no law \(never written\)"):
        winit.initialize(model, seed=0, strict=True)
    assert_as_before(model, before)
    rules = {"position": winit.Normal(std=0.01), "*.down.weight": winit.Normal(std=0.01)}
    report = winit.initialize(model, seed=0, rules=rules, strict=True)
    assert report.unwritten == ["mask"]
    key = winit.fold_in(winit.key(0), "position")
    assert torch.equal(model.position, winit.normal_(torch.empty(8, 32), std=0.01, key=key))


def test_what_is_left():
    model = layers()
    model[0].weight._is_hf_initialized = True
    loaded, kept = model[0].weight.clone(), model[2].weight_ih_l0.clone()
    report = winit.initialize(model, seed=0, skip=["2.*"], buffers=False)
    assert torch.equal(model[0].weight, loaded)
    assert torch.equal(model[2].weight_ih_l0, kept)
    assert report.skipped[:2] == ["0.weight", "2.weight_ih_l0"]
    assert report.unwritten == []
    assert "1.running_var" not in report.filled
    report = winit.initialize(GPT(), seed=0, skip=["pos*"], buffers=False)
    assert report.skipped == ["position"]
    assert report.unwritten == []


class Ordered(nn.Module):
    """Its functions tell in which order they are called."""

    def __init__(self, tell, *children):
        super().__init__()
        self.tell, self.below = tell, nn.ModuleList(children)
        self.weight = nn.Parameter(torch.zeros(3))

    def reset_parameters(self):
        self.tell(("own", len(self.below)))
        nn.init.constant_(self.weight, 1.0)

    def _reset_parameters(self, value):
        raise AssertionError(value)


class Whole(Ordered):
    def _init_weights(self, module, name="of each"):
        if isinstance(module, Ordered):
            self.tell((name, len(module.below)))
            nn.init.constant_(module.weight, 2.0)

    def init_weights(self, mode="fan_in"):
        self.tell(("all", mode))
        nn.init.constant_(self.below[0].weight, 3.0)


class Wrapper(nn.Module):
    """Has what is inside for its own, as that of `torch.compile`."""

    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inside, name)


def test_the_order_of_functions():
    calls = []
    inner = Whole(calls.append, Ordered(calls.append))
    model = Whole(calls.append, inner, Ordered(calls.append))
    winit.initialize(Wrapper(model), seed=0)
    assert calls == [
        *[("own", 0), ("own", 1), ("of each", 0), ("of each", 1), ("all", "fan_in")],
        *[("own", 0), ("own", 2), ("of each", 0), ("of each", 2), ("all", "fan_in")],
    ]
    values = [parameter[0].item() for parameter in model.parameters()]
    assert values == [2.0, 3.0, 3.0, 2.0]


def test_parametrized_weights():
    torch.manual_seed(0)
    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(32, 32)),
        parametrizations.spectral_norm(nn.Linear(32, 32)),
    )
    report = winit.initialize(model, seed=0)
    vectors = [f"1.parametrizations.weight.0.{name}" for name in ("_u", "_v")]
    assert report.filled == ["0.weight", "0.bias", "1.weight", "1.bias", *vectors]
    plain = nn.Linear(32, 32)
    winit.KaimingUniform(a=math.sqrt(5))(plain.weight, key=winit.fold_in(winit.key(0), "0.weight"))
    assert torch.allclose(model[0].weight, plain.weight, rtol=1e-5)
    assert not report.unwritten
    old = nn.utils.spectral_norm(nn.Linear(4, 4))
    assert "weight_orig" in winit.initialize(old, seed=0).filled


def test_a_base_that_setting_the_weight_replaces():
    layer = parametrizations.orthogonal(nn.Linear(6, 6), orthogonal_map="matrix_exp")
    before = layer.parametrizations.weight[0].base
    report = winit.initialize(layer, seed=0)
    assert layer.parametrizations.weight[0].base is not before
    assert not report.unwritten
    kept = winit.initialize(layer, seed=0, skip=["weight"])
    assert kept.unwritten == ["parametrizations.weight.0.base"]


class Tied(nn.Module):
    """The weight is tied when both modules have written theirs, as in transformers."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8, padding_idx=1)
        self.head = nn.Linear(8, 20)
        self.head.weight = self.embedding.weight


def test_tied_weights():
    model, planned = Tied(), Tied()
    report = winit.initialize(model, seed=0)
    winit.plan(Tied).run(planned, seed=0)
    assert_equal(model, planned)
    assert model.head.weight is model.embedding.weight
    assert report.plan["embedding.weight"].aliases == ("head.weight",)


class Custom(nn.Module):
    """Reads a buffer, finds a weight in a list, replaces another, computes a table."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.zeros(6, 6))
        self.two = nn.Parameter(torch.zeros(6))
        self.weights = [self.one]
        self.register_buffer("scale", torch.tensor(3.0))
        self.register_buffer("table", torch.zeros(4))

    def _init_weights(self, gain=0.5):
        for weight in self.weights:
            nn.init.normal_(weight, std=gain * self.scale.item())
        self.two = nn.Parameter(torch.full((6,), 5.0))
        self.table = torch.arange(4.0) ** 2
        self.scale.mul_(2)
        self.is_done = True
        self.weights.append(self.two)


def test_what_functions_may_do():
    model = Custom()
    before, _ = state(model)
    report = winit.initialize(model, seed=0)
    assert report.plan["one"].initializer == winit.Normal(std=1.5)
    assert model.two.tolist() == [5.0] * 6
    assert model.table.tolist() == [0.0, 1.0, 4.0, 9.0]
    assert model.scale.item() == 3.0
    assert report.unwritten == ["scale"]
    assert_as_before(model, (before, state(model)[1]))
    assert len(model.weights) == 1
    assert model.weights[0] is model.one


def test_sharded_models():
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not hasattr(fsdp, "fully_shard"):
        pytest.skip("torch has no FSDP2")
    whole = GPT()
    winit.initialize(whole, seed=0)
    wanted = dict(whole.named_parameters())
    for rank, (_, mesh) in enumerate(as_each_rank((2,), ("data",))):
        model = GPT()
        fsdp.fully_shard(model, mesh=mesh)
        report = winit.initialize(model, seed=0)
        assert [*report.differs] == ["blocks.0.down.weight", "blocks.1.down.weight"]
        for name, parameter in model.named_parameters():
            if name != "position":
                mine = wanted[name].detach().chunk(2)[rank]
                assert torch.equal(parameter.to_local(), mine), name


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def reset_parameters(self):
        self.linear.weight = None
        self.flag = True
        raise ValueError("no such mode")


class Hidden(nn.Module):
    """It reaches its weight by no attribute."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.get = (lambda weight: lambda: weight)(self.weight)

    def reset_parameters(self):
        nn.init.ones_(self.get())


@pytest.mark.parametrize(
    ("model", "arguments", "error", "message"),
    [
        (lambda: Failing(), {}, RuntimeError, r"Failing\.reset_parameters\(\).*no such mode"),
        (lambda: nn.Sequential(Hidden()), {}, RuntimeError, r"0\.reset_parameters\(\).*no module"),
        (lambda: nn.Linear(2, 2), {"skip": ["wieght"]}, ValueError, "skip .* 'wieght'"),
        (lambda: nn.Linear(2, 2), {"skip": "bias"}, TypeError, "skip must be"),
        (lambda: nn.Linear(2, 2), {"rules": {"x": winit.Ones()}}, ValueError, "idle rules: 'x'"),
        (lambda: nn.Linear(2, 2, device="meta"), {}, RuntimeError, "on meta.*: weight, bias"),
        (lambda: nn.LazyLinear(2), {}, RuntimeError, "lazy.*: weight, bias"),
        (lambda: nn.Linear, {}, TypeError, "model must be a torch.nn.Module"),
        (lambda: nn.Linear(2, 2), {"seed": "0"}, TypeError, "seed must be"),
    ],
)
def test_errors_leave_all_as_it_was(model, arguments, error, message):
    model = model()
    is_whole = isinstance(model, nn.Module) and not any(p.is_meta for p in model.parameters())
    before = state(model) if is_whole and not isinstance(model, nn.LazyLinear) else None
    generator = torch.get_rng_state()
    with pytest.raises(error, match=f"^initialize: .*{message}"):
        winit.initialize(model, **({"seed": 0} | arguments))
    assert torch.equal(torch.get_rng_state(), generator)
    if before is not None:
        assert_as_before(model, before)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_what_has_no_functions_of_python():
    model = nn.Sequential(torch.jit.trace(nn.Linear(3, 3), torch.ones(1, 3)), nn.Linear(3, 3))
    values = model[0].weight.clone()
    report = winit.initialize(model, seed=0)
    assert report.filled == ["1.weight", "1.bias"]
    assert report.only_in_model == ["0.weight", "0.bias"]
    assert torch.equal(model[0].weight, values)
