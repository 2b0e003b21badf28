"""A model that is built has, bit for bit, what a plan gives to a model that is constructed."""

from __future__ import annotations

import copy
import functools
import gc
import io
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import models
import winit_cuda as winit
from initializers import needs_core
from winit_cuda._model.fake_tensors import FakeTensor

pytestmark = needs_core


def tensors(model):
    return [*model.named_parameters(), *model.named_buffers()]


def like_planned(factory, seed=3):
    """The built model, after a look at it beside one that is constructed and filled."""
    torch.manual_seed(1)
    state = torch.get_rng_state()
    built = winit.build(factory, seed)
    assert torch.equal(torch.get_rng_state(), state)
    model = factory()
    winit.plan(factory).run(model, seed)
    for (name, mine), (its_name, other) in zip(tensors(built), tensors(model), strict=True):
        assert name == its_name
        assert type(mine) is type(other), name
        assert (mine.dtype, mine.stride()) == (other.dtype, other.stride()), name
        assert vars(mine) == vars(other), name
        assert mine.requires_grad == other.requires_grad, name
        assert mine.untyped_storage().nbytes() == other.untyped_storage().nbytes(), name
        assert torch.equal(mine, other), name
    assert list(built.state_dict()) == list(model.state_dict())
    return built


def built(add, seed=0, rules=None):
    return winit.build(lambda: models.Extended(add), seed, rules)


def reduced():
    return nn.BatchNorm1d(4).half().eval().requires_grad_(False)


def of_rows():
    """Parameters and a buffer in one memory, the last of them with gaps between its rows."""
    rows = torch.randn(6, 4)
    model = nn.Module()
    model.a, model.b = nn.Parameter(rows[:3]), nn.Parameter(rows[3:, 1:3])
    model.register_buffer("gaps", torch.zeros(4, 6)[:, ::2].t())
    return model


def lazy():
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    model(torch.ones(2, 3))
    return model


def converted_after_views():
    """Views of a parameter, and what is computed from it, hold on to it as long as they live."""
    model = nn.ModuleList([nn.Embedding(3, 4, padding_idx=0), nn.Linear(3, 4)])
    with torch.no_grad():
        model[1].weight[0].zero_()
    model[1].weight.square()[0]
    model.append(parametrizations.spectral_norm(nn.Linear(3, 4)))
    return model.to(torch.bfloat16)


def scaled_with_a_copy_of_rows():
    layer = nn.Linear(64, 64)
    with torch.no_grad():
        layer.weight.div_(3)
    layer.rows = layer.weight.detach()[:8].clone()
    return layer


@pytest.mark.filterwarnings("ignore:.* a random value is read")  # by `orthogonal`
@pytest.mark.parametrize(
    "factory",
    [
        models.GPT,
        models.ActorCritic,
        models.Pieces,
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        lambda: parametrizations.weight_norm(nn.Linear(4, 5)),
        lambda: parametrizations.spectral_norm(nn.Linear(4, 5)),
        lambda: parametrizations.orthogonal(nn.Linear(4, 4)),
        lambda: parametrizations.orthogonal(nn.Linear(6, 3), orthogonal_map="householder"),
        lambda: nn.utils.spectral_norm(nn.Linear(4, 5)),
        reduced,
        of_rows,
        lazy,
        converted_after_views,
        scaled_with_a_copy_of_rows,
    ],
)
def test_as_planned(factory):
    like_planned(factory)


@pytest.mark.filterwarnings("ignore:.* a random value is read")
def test_parametrizations_that_draw():
    """Where `orthogonal` is set, it draws what completes a square matrix."""

    def factory():
        return parametrizations.orthogonal(nn.Linear(4, 5))

    plan = winit.plan(factory)
    models_filled = []
    for seed in range(2):
        torch.manual_seed(seed)
        model = factory()
        before = torch.get_rng_state()
        plan.run(model, 0)
        models_filled += [winit.build(factory, 0), model]
        assert torch.equal(torch.get_rng_state(), before)
    for first, *others in zip(*(m.state_dict().values() for m in models_filled), strict=True):
        assert all(torch.equal(first, other) for other in others)


def test_a_buffer_that_is_expanded():
    """It has its elements more than once, which no run of a plan fills."""
    model = built(lambda model: model.register_buffer("wide", torch.full((2, 1), 4.0).expand(2, 3)))
    assert model.wide.stride() == (1, 0)
    assert torch.equal(model.wide, torch.full((2, 3), 4.0))


def test_use_of_a_built_model():
    model = like_planned(models.GPT)
    assert model.embedding.weight is model.head.weight
    copied = copy.deepcopy(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for each in (model, copied, loaded):
        each.head(each.embedding(torch.arange(3))).square().sum().backward()
    optimizer.step()
    for mine, one, two in zip(*(m.parameters() for m in (model, copied, loaded)), strict=True):
        assert torch.equal(one, two)
        assert one.grad is None or torch.allclose(mine, one - 0.1 * one.grad)


def test_no_fake_tensor_is_left():
    def add(model):
        model.scratch = [torch.empty(2)]
        model.rows = model.layer.weight.detach()[1:]

    def count():
        gc.collect()
        return sum(type(each) is FakeTensor for each in gc.get_objects())

    def failing(model):
        add(model)
        raise KeyError

    before = count()
    kept = built(add)
    with pytest.raises(RuntimeError, match="the constructor failed"):
        built(failing)
    assert kept.scratch[0].untyped_storage().nbytes() == 8
    assert count() <= before


def test_tensors_that_are_no_parameters():
    def add(model):
        weight = model.layer.weight
        model.average = [copy.deepcopy(model.layer)]
        model.tables = {"half": torch.arange(4) / 2, "mask": torch.ones(3, 3).tril().bool()}
        model.part = weight.detach()[1:, :2].clone()
        model.view = weight.data.t()
        model.noise, model.order = torch.randn(5), torch.randperm(6)
        model.wide = torch.full((3, 1), 4.0).expand(3, 5).detach()
        model.call = functools.partial(torch.add, torch.full((2,), 2.0))

    model = built(add)
    weight = model.layer.weight
    assert torch.equal(model.average[0].weight, weight)
    assert isinstance(model.average[0].weight, nn.Parameter)
    assert model.tables["half"].tolist() == [0.0, 0.5, 1.0, 1.5]
    assert torch.equal(model.tables["mask"], torch.ones(3, 3).tril().bool())
    assert torch.equal(model.part, weight[1:, :2])
    assert model.view.data_ptr() == weight.data_ptr()
    assert torch.equal(model.view.t(), weight)
    key = winit.fold_in(winit.key(0), "noise")
    assert torch.equal(model.noise, winit.normal_(torch.empty(5), key=key))
    assert sorted(model.order.tolist()) == list(range(6))
    assert torch.equal(model.order, built(add).order)
    assert model.wide.stride() == (1, 0)
    assert torch.equal(model.wide, torch.full((3, 5), 4.0))
    assert model.call(1).tolist() == [3.0, 3.0]


@pytest.mark.filterwarnings("ignore:.* a random value is read")
def test_what_is_computed_from_a_parameter():
    """It has the values that follow from those of the parameter, whose draw is turned around."""

    def add(model):
        weight = model.layer.weight.data.neg_()
        weight.std().item()
        model.table = {"spread": weight.std(), "twice": weight[1:] * 2}

    model = like_planned(lambda: models.Extended(add))
    assert torch.equal(model.table["spread"], model.layer.weight.detach().std())
    assert torch.equal(model.table["twice"], model.layer.weight.detach()[1:] * 2)


def test_memory_of_parameters_that_something_else_has_too():
    def add(model):
        model.flat = torch.randn(20)
        model.weight = nn.Parameter(model.flat[:10].view(2, 5))
        model.rest = model.flat[8:]

    model = like_planned(lambda: models.Extended(add))
    assert torch.equal(model.flat[:10], model.weight.flatten())
    assert model.rest.data_ptr() == model.flat[8:].data_ptr()
    assert model.flat[10:].std() > 0.1


def test_references_attributes_and_hooks():
    def add(model):
        weight = model.layer.weight
        weight.is_mine = True
        weight.register_hook(lambda grad: 2 * grad)
        weight.register_post_accumulate_grad_hook(lambda one: setattr(one, "seen", 1))
        model.optimizer = torch.optim.Adam([weight])
        model.weak = weakref.ref(weight)
        if hasattr(nn, "Buffer"):
            model.buffer = nn.Buffer(torch.ones(2), persistent=False)

    model = built(add)
    weight = model.layer.weight
    assert model.optimizer.param_groups[0]["params"][0] is weight is model.weak()
    model.layer(torch.ones(1, 3)).sum().backward()
    assert torch.equal(weight.grad, torch.full((4, 3), 2.0))
    assert vars(weight) == {"is_mine": True, "seen": 1}
    assert not hasattr(nn, "Buffer") or isinstance(model.buffer, nn.Buffer)
    assert "buffer" not in model.state_dict()


def test_tensors_that_a_constructor_keeps():
    @functools.lru_cache
    def frequencies():
        return torch.arange(4) / 4

    model = built(lambda model: setattr(model, "table", frequencies()))
    assert model.table is frequencies()
    assert frequencies().tolist() == [0, 0.25, 0.5, 0.75]


def test_history():
    """A tensor computed from parameters has its values, but does not lead to them."""
    factory = lambda: nn.utils.weight_norm(nn.Linear(4, 5))  # noqa: E731
    with pytest.warns(FutureWarning), pytest.warns(UserWarning, match="build: weight is computed"):
        model = winit.build(factory, 0)
    norms = model.weight_v.norm(dim=1, keepdim=True)
    assert torch.allclose(model.weight, model.weight_v * model.weight_g / norms)
    model(torch.ones(1, 4)).sum().backward()
    assert model.weight_g.grad is not None


def test_rules_and_keys():
    def add(model):
        model.copy = [copy.deepcopy(model.layer)]

    model = built(add, winit.key(7), {"*weight": winit.Normal(std=0.1), "*": winit.Zeros()})
    key = winit.fold_in(winit.key(7), "layer.weight")
    expected = winit.normal_(torch.empty(4, 3), std=0.1, key=key)
    assert torch.equal(model.layer.weight, expected)
    assert model.copy[0].weight.abs().max() > 0
    with pytest.raises(ValueError, match="idle rules"):
        winit.build(lambda: nn.Linear(2, 2), 0, {"x": winit.Ones(), "*": winit.Ones()})
    with pytest.warns(UserWarning, match="idle rules"):
        winit.build(lambda: nn.Linear(2, 2), 0, {"x": winit.Ones()}, strict=False)


def test_tensors_with_memory():
    weights = torch.randn(3, 2)
    model = winit.build(lambda: nn.Embedding.from_pretrained(weights), 0)
    assert model.weight.data_ptr() == weights.data_ptr()


def test_copies_of_a_model_that_exists():
    """They have its values, as `from_pretrained` has those of its tensor."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    made = like_planned(lambda: nn.Sequential(copy.deepcopy(model), nn.Linear(4, 5)))
    for (name, mine), (_, other) in zip(tensors(made[0]), tensors(model), strict=True):
        assert mine is not other, name
        assert torch.equal(mine, other), name
