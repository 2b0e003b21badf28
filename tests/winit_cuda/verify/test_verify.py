"""`verify`: exact bits, the first element that differs, dtypes, seeds, names, and what is left."""

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
from models import GPT, ActorCritic, LoRA, Pieces, mixed
from winit_cuda._verify import compare
from winit_cuda._verify.stored import of_tensor

pytestmark = needs_core

FACTORIES = [GPT, ActorCritic, LoRA.of_gpt, Pieces, mixed]


class Model(nn.Module):
    """An embedding tied to the head, a matrix in columns, and one that is orthogonal."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(40, 30)
        self.sparse = nn.Linear(20, 30)
        self.turn = nn.Linear(30, 30, bias=False)
        self.norm = nn.LayerNorm(30)
        self.head = nn.Linear(30, 40, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("scale", torch.full((3,), 0.5))


RULES = {
    "embedding.*": winit.Composite(winit.Normal(std=0.02), {0: winit.Zeros(), 7: winit.Ones()}),
    "sparse.weight": winit.Sparse(0.5),
    "turn.weight": winit.Orthogonal(),
    "norm.weight": winit.Ones(),
    "*.bias": winit.Zeros(),
}


@pytest.fixture
def plan():
    return winit.plan(Model, RULES)


@pytest.fixture
def model(plan):
    model = Model()
    plan.run(model, seed=3)
    return model


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles that cut rows, columns and single rows of these models."""
    for name, size in (("_TILE", 23), ("_TOGETHER", 100), ("_PROBE", 3)):
        monkeypatch.setattr(compare, name, size)


def values_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__qualname__)
def test_models_as_they_were_built(factory):
    plan, model = winit.plan(factory), winit.build(factory, seed=3)
    for what in (model, model.state_dict(), {"model": model.state_dict(), "step": 3}):
        result = winit.verify(what, plan, seed=3)
        assert result.ok, result
        assert (
            {*result.matched, *result.close}
            >= {
                f"{'model.' if 'step' in what else ''}{name}"
                for name, _ in model.named_parameters()
            }
            if isinstance(what, dict)
            else True
        )
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
        assert list(torch.tensor(found.position)) == list(
            torch.tensor(torch.unravel_index(torch.tensor(index), found.shape))
        )
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


def test_a_dtype_without_values(plan, model):
    state = values_of(model)
    state["sparse.weight"] = state["sparse.weight"].to(torch.int32)
    (found,) = winit.verify(state, plan, seed=3).different
    assert found.name == "sparse.weight"
    assert "the dtype of tensor must be" in found.reason


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


def test_what_cannot_be_verified(plan, model):
    with pytest.raises(TypeError, match=r"verify: model must be a torch\.nn\.Module, a mapping"):
        winit.verify(3, plan, seed=0)
    with pytest.raises(TypeError, match=r"verify: plan must be a winit_cuda\.Plan"):
        winit.verify(model, {}, seed=0)
    with pytest.raises(RuntimeError, match=r"on meta, without values: embedding\.weight"):
        winit.verify(Model().to("meta"), plan, seed=0)
    with pytest.raises(RuntimeError, match="verify: on meta, without values: "):
        winit.verify(Model().to("meta").state_dict(), plan, seed=0)
    within = {}
    within["more"] = within
    with pytest.raises(ValueError, match="nested too deeply"):
        winit.verify(within, plan, seed=0)
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
