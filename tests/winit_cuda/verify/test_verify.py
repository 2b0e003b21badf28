"""`verify`: the first element that differs, seeds, names, and what is not compared."""

from __future__ import annotations

import math
from collections import UserDict

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core
from models import GPT, ActorCritic, LoRA, Pieces, mixed
from verified import Model, values_of
from winit_cuda._verify import compare
from winit_cuda._verify.stored import of_tensor

pytestmark = needs_core

FACTORIES = [GPT, ActorCritic, LoRA.of_gpt, Pieces, mixed]


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__qualname__)
def test_models_as_they_were_built(factory):
    plan, model = winit.plan(factory), winit.build(factory, seed=3)
    for what in (model, model.state_dict(), {"model": model.state_dict(), "step": 3}):
        result = winit.verify(what, plan, seed=3)
        assert result.ok, result
        prefix = "model." if isinstance(what, dict) and "step" in what else ""
        compared = {*result.matched, *result.close}
        assert compared >= {prefix + name for name, _ in model.named_parameters()}
        other = winit.verify(what, plan, seed=2, seeds=range(5))
        assert not other.ok
        assert {one.seeds for one in other.different} == {(3,)}
        assert set(other.matched) | {one.name for one in other.different} >= set(result.matched)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(
    ("name", "index"),
    [
        *(
            (name, index)
            for name in ("embedding.weight", "sparse.weight")
            for index in (0, 313, -1)
        ),
        ("turn.weight", 500),
        ("norm.bias", 29),
        ("scale", 1),
    ],
)
def test_one_element(plan, model, name, index):
    state = values_of(model)
    if name == "embedding.weight":
        state.pop("head.weight")
    flat = state[name].view(-1)
    index %= len(flat)
    old = flat[index].item()
    flat[index] = 0.75
    for given in (state, {f"module._orig_mod.{key}": value for key, value in state.items()}):
        result = winit.verify(given, plan, seed=3)
        assert not result.ok
        (found,) = result.different
        assert found.name.endswith(name)
        assert (found.index, found.count, found.found) == (index, 1, 0.75)
        assert found.planned == pytest.approx(old, abs=1e-6)
        assert state[name][found.position] == 0.75
        assert result.verdict.startswith("different: 1 of ")
        assert "0.75" in str(result)


@pytest.mark.usefixtures("small_tiles")
def test_the_first_of_several(plan, model):
    """Tiles of columns come before elements of the first rows."""
    state = values_of(model)
    state["sparse.weight"][[2, 9, 1], [0, 5, 19]] = 9.0
    (found,) = winit.verify(state, plan, seed=3).different
    assert (found.index, found.position, found.count) == (39, (1, 19), 3)


def test_tiles():
    """Of a sparse matrix whole columns, of an orthogonal one all of it, else rows or less."""
    laws = {"a": winit.Normal(), "b": winit.Sparse(0.5), "c": winit.Orthogonal()}
    model = nn.ParameterDict({name: torch.empty(4, 100, 50)[0] for name in laws})
    model["d"] = torch.empty(3, 2, 700)
    found = {}
    for entry in winit.plan(model, {**laws, "d": winit.Zeros()}):
        item = compare.Item(entry.name, entry, of_tensor("verify", model[entry.name]))
        found[entry.name] = [tile.sizes for tile in compare._tiles(item, is_probe=True)]
        whole = [tile.sizes for tile in compare._tiles(item, is_probe=False)]
        assert sum(map(math.prod, whole)) == model[entry.name].numel()
    assert found == {"a": [(20, 50)], "b": [(100, 10)], "c": [(100, 50)], "d": [(1, 1, 700)]}


def test_torch_compares_on_one_thread(monkeypatch):
    """Threads of torch that wait for each other at each tile took 15 times as long."""
    sizes = []
    equal = torch.equal

    def noted(own, other):
        sizes.append(own.numel())
        return equal(own, other)

    plan = winit.plan(lambda: nn.Linear(3000, 40))
    model = winit.build(lambda: nn.Linear(3000, 40), seed=3)
    with torch.no_grad():
        model.weight[35, 7] = model.weight[39, 2999] = math.nan
    monkeypatch.setattr(torch, "equal", noted)
    (found,) = winit.verify(model, plan, seed=3).different
    assert (found.index, found.position, found.count) == (105_007, (35, 7), 2)
    assert sum(sizes) == 120_040
    assert max(sizes) <= 1 << 15  # what torch shares out is more


def test_names_that_do_not_agree(plan, model):
    state = values_of(model)
    state["more"] = state.pop("norm.bias")
    result = winit.verify(state, plan, seed=3)
    assert not result.ok
    assert (result.missing, result.extra, result.different) == (("norm.bias",), ("more",), ())
    assert "incomplete" in result.verdict
    assert winit.verify(state, plan, seed=3, strict=False).ok
    assert not winit.verify({"other": torch.ones(2)}, plan, seed=3, strict=False).ok


def test_tied_weights(plan, model):
    """Each of the names that are there is compared, and one of them is enough."""
    state = values_of(model)
    state["head.weight"] = state["head.weight"] + 1
    assert [one.name for one in winit.verify(state, plan, seed=3).different] == ["head.weight"]
    del state["embedding.weight"]
    state["head.weight"] -= 0
    result = winit.verify(state, plan, seed=3)
    assert [one.name for one in result.different] == ["head.weight"]
    assert result.missing == ()


def test_prefixes(plan, model):
    state = values_of(model)
    average = {name: tensor * 2 for name, tensor in state.items()}
    both = {"model": state, "average": average, "steps": [torch.ones(2)], "epoch": 3}
    with pytest.raises(ValueError, match=r"behind 'average\.' and 'model\.'; say which as prefix"):
        winit.verify(both, plan, seed=3)
    assert winit.verify(both, plan, seed=3, prefix="model.").ok
    assert not winit.verify(both, plan, seed=3, prefix="average.").ok
    with pytest.raises(
        ValueError, match=r"verify: prefix must be that of names such as 'average\."
    ):
        winit.verify(both, plan, seed=3, prefix="models.")
    assert winit.verify({**state, "average": average}, plan, seed=3, strict=False).ok


def test_another_shape(plan, model):
    state = values_of(model)
    state["turn.weight"] = torch.ones(30, 31)
    (found,) = winit.verify(state, plan, seed=3).different
    assert found.reason == "has shape (30, 31), planned is (30, 30)"
    assert found.reason in str(winit.verify(state, plan, seed=3))


def test_what_has_no_law():
    unset = lambda: nn.ParameterDict({"a": torch.empty(3), "b": torch.zeros(2)})  # noqa: E731
    plan = winit.plan(unset)
    result = winit.verify(unset(), plan, seed=0)
    assert (list(result.unplanned), result.matched) == (["a"], ("b",))
    assert "not compared: a (" in str(result)
    assert winit.verify(dict(unset()), plan, seed=0).unplanned == result.unplanned


def test_what_transformers_marks(plan, model):
    """A run leaves such parameters alone; they are compared all the same."""
    model.norm.bias._is_hf_initialized = True
    with torch.no_grad():
        model.norm.bias[4] = 1.0
    (found,) = winit.verify(model, plan, seed=3).different
    assert (found.name, found.index) == ("norm.bias", 4)


def test_buffers(plan, model):
    model.scale.add_(1)
    assert [one.name for one in winit.verify(model, plan, seed=3).different] == ["scale"]
    assert winit.verify(model, plan, seed=3, buffers=False).ok
    assert winit.verify(model.state_dict(), plan, seed=3, buffers=False).ok
    state = values_of(model)
    del state["scale"]
    assert winit.verify(state, plan, seed=3).unplanned == {"scale": "not saved"}


@pytest.mark.usefixtures("small_tiles")
def test_other_seeds(plan, model):
    state = values_of(model)
    other = Model()
    plan.run(other, seed=8)
    state["sparse.weight"] = other.sparse.weight.detach()
    state["turn.weight"] = other.turn.weight.detach()
    state["embedding.weight"][39, 29] += 1
    result = winit.verify(state, plan, seed=3, seeds=[*range(10), 3])
    assert {one.name: one.seeds for one in result.different} == {
        "embedding.weight": (),
        "sparse.weight": (8,),
        "turn.weight": (8,),
    }
    assert "of seed 8: sparse.weight, turn.weight" in str(result)
    state["sparse.weight"] = state["sparse.weight"].clone()
    state["sparse.weight"][29, 19] += 1  # not where seeds are told apart
    result = winit.verify(state, plan, seed=3, seeds=range(10))
    assert {one.seeds for one in result.different if one.name == "sparse.weight"} == {()}
    assert winit.verify(model, plan, winit.key(3)).ok
    with pytest.raises(TypeError, match="verify: seeds must be a list of integers"):
        winit.verify(state, plan, seed=3, seeds="0-9")
    with pytest.raises(
        ValueError, match=r"verify: seeds must be in \[-2\*\*63, 2\*\*64\), got 1844"
    ):
        winit.verify(state, plan, seed=3, seeds=[1, 2**64])


@pytest.mark.parametrize("tolerance", [True, torch.tensor(True), "1"])
def test_a_tolerance_is_a_number(tolerance, plan, model):
    with pytest.raises(TypeError, match="verify: tolerance must be a number, got "):
        winit.verify(model, plan, seed=3, tolerance=tolerance)


def test_what_cannot_be_verified(plan, model):
    with pytest.raises(TypeError, match=r"verify: model must be a torch\.nn\.Module, a mapping"):
        winit.verify(3, plan, seed=0)
    with pytest.raises(TypeError, match=r"verify: plan must be a winit_cuda\.Plan"):
        winit.verify(model, {}, seed=0)
    with pytest.raises(RuntimeError, match=r"verify: embedding\.weight is on meta"):
        winit.verify(Model().to("meta"), plan, seed=0)
    with pytest.raises(RuntimeError, match=r"verify: .* is on meta: fill"):
        winit.verify(Model().to("meta").state_dict(), plan, seed=0)
    within = {}
    for _ in range(100_000):
        within = {"more": within}
    with pytest.raises(ValueError, match="nested too deeply"):
        winit.verify(within, plan, seed=0)

    class Fresh(UserDict):  # what it gives is new every time, and as soon gone
        def items(self):
            return ((str(i), {"t": torch.zeros(1)}) for i in range(1000))

    assert len(winit.verify(Fresh(), plan, seed=0, strict=False).extra) == 1000
    shared = {"t": torch.zeros(1)}
    for _ in range(50):
        shared = {"a": shared, "b": shared}
    with pytest.raises(ValueError, match="share their parts at too many places"):
        winit.verify(shared, plan, seed=0)
    twice = {"embedding": {"weight": torch.zeros(1)}, "embedding.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"embedding\.weight is the name of two tensors"):
        winit.verify(twice, plan, seed=0)
    with pytest.raises(FileNotFoundError):
        winit.verify("no.such.file", plan, seed=0)


def test_nothing_is_written(plan, model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    versions = [parameter._version for parameter in model.parameters()]
    torch.manual_seed(0)
    generator = torch.get_rng_state()
    winit.verify(model, plan, seed=1, seeds=[2])
    assert torch.equal(torch.get_rng_state(), generator)
    assert [parameter._version for parameter in model.parameters()] == versions
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_values_that_are_not_there(plan, model):
    with pytest.raises(RuntimeError, match="verify: weight is lazy: call the model once"):
        winit.verify(nn.LazyLinear(3), winit.plan(lambda: nn.Linear(2, 3)), seed=0)
    state = {**values_of(model), "norm.bias": [0.0]}
    with pytest.raises(
        TypeError, match=r"verify: norm\.bias must be a torch\.Tensor, got \[0\.0\]"
    ):
        winit.verify(state, plan, seed=3)
    with pytest.raises(TypeError, match="verify: seed must be an integer, got '3'"):
        winit.verify(model, plan, seed="3")


def test_views_that_torch_resolves_later():
    plan, model = winit.plan(Computed), winit.build(Computed, seed=3)
    state = model.state_dict()
    state["modes"] = state["modes"].conj().resolve_conj().conj()
    state["scale"] = torch._neg_view(-state["scale"])
    assert winit.verify(state, plan, seed=3).ok


def test_dtypes_that_have_no_draws():
    plan = winit.plan(lambda: nn.BatchNorm1d(4))
    laws = winit.plan(lambda: nn.Linear(2, 3))
    for dtype in (torch.int32, torch.complex64):
        state = {name: torch.ones(shape).to(dtype) for name, shape in SHAPES.items()}
        reasons = [one.reason for one in winit.verify(state, laws, seed=0).different]
        word = str(dtype).removeprefix("torch.")
        assert reasons == [f"is {word}, planned is float32"] * 2
    state = {name: value.int() for name, value in nn.BatchNorm1d(4).state_dict().items()}
    assert winit.verify(state, plan, seed=0).ok


class Computed(nn.Module):
    """Draws of integers, complex and real numbers, which a plan computes."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randint(0, 9, (5, 5)), requires_grad=False)
        self.modes = nn.Parameter(torch.randn(4, 4, dtype=torch.complex64) / 8)
        self.scale = nn.Parameter(torch.rand(7) * 3)


@pytest.mark.filterwarnings("error")
def test_computed_draws_of_any_dtype():
    plan, model = winit.plan(Computed), winit.build(Computed, seed=3)
    assert winit.verify(model, plan, seed=3).ok
    assert len(winit.verify(model, plan, seed=4).different) == 3
    with torch.no_grad():
        model.table[1, 2] += 1
        model.modes[2, 3] += 1e-4j
        model.scale[4] += 1e-4
    different = winit.verify(model, plan, seed=3).different
    assert [(one.name, one.position) for one in different] == [
        ("table", (1, 2)),
        ("modes", (2, 3)),
        ("scale", (4,)),
    ]
    model.modes.data[0, 0] = complex(0, float("nan"))
    assert winit.verify(model, plan, seed=3).different[1].position == (0, 0)


SHAPES = {"weight": (3, 2), "bias": (3,)}


@pytest.mark.parametrize("prefix", ["ema", "ema."])
def test_the_dot_of_a_prefix_may_be_left_out(plan, model, prefix):
    state = {"model": {name: value + 1 for name, value in values_of(model).items()}}
    state |= {"ema": values_of(model), "emax": {"a": torch.ones(2)}}
    if prefix == "ema":
        del state["emax"]
    assert winit.verify(state, plan, seed=3, prefix=prefix).ok
