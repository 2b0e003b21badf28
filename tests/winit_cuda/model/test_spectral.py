"""Weights under `spectral_norm`: the law of what was there, and vectors that belong to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core

RULES = {"weight*": winit.Normal(), "*": winit.Zeros()}


def normed():
    layer = nn.Linear(24, 16)
    nn.init.normal_(layer.weight)
    return parametrizations.spectral_norm(layer)


def normed_by_hook():
    return nn.utils.spectral_norm(nn.Linear(24, 16))


def normed_convolution():
    return parametrizations.spectral_norm(nn.ConvTranspose2d(4, 6, 3), dim=1)


def norm(layer):
    """The spectral norm that the layer has in evaluation, where it iterates no more."""
    layer.eval()
    if isinstance(layer, nn.Linear):
        matrix = layer(torch.eye(24)) - layer.bias
    else:
        matrix = layer.weight.movedim(1, 0).flatten(1)
    return torch.linalg.matrix_norm(matrix, 2).item()


def drawn():
    return winit.normal_(torch.empty(16, 24), key=winit.fold_in(winit.key(0), "weight"))


def test_the_law_is_that_of_the_weight_before():
    plan = winit.plan(normed)
    assert plan["weight"].initializer == winit.Normal()
    torch.manual_seed(0)
    layer, built = normed(), winit.build(normed, 0)
    plan.run(layer, 0)
    assert torch.equal(layer.parametrizations.weight.original, drawn())
    for name, values in layer.state_dict().items():
        assert torch.equal(values, built.state_dict()[name]), name
    assert 1 <= norm(layer) < 1.1
    parts = plan["parametrizations.weight.0._u"].program
    assert torch.equal(layer.parametrizations.weight[0]._u, parts.values(winit.key(0)))


@pytest.mark.parametrize("factory", [normed, normed_by_hook, normed_convolution])
@pytest.mark.parametrize(
    "fill",
    [
        lambda model, _: winit.initialize(model, 0, rules={"weight*": winit.Normal()}),
        lambda model, _: winit.plan(model, RULES).run(model, 0),
        lambda model, make: winit.plan(make, {"weight*": winit.Normal()}).run(model, 0),
        lambda model, make: winit.plan(make).run(model, 0, buffers=False),
    ],
    ids=["initialize", "rules", "with_rules", "buffers"],
)
def test_vectors_are_those_of_the_new_weight(factory, fill):
    model = factory()
    for buffer in model.buffers():
        buffer.fill_(float("nan"))  # as memory may be
    report = fill(model, factory)
    assert {name for name, _ in model.named_buffers()} < set(report.filled)
    assert report.elements == sum(
        tensor.numel() for tensor in (*model.parameters(), *model.buffers())
    )
    assert 1 <= norm(model) < 1.1


def test_what_is_skipped_keeps_its_vectors():
    model = normed()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    winit.initialize(model, 0, skip=["weight"])
    for name, values in model.state_dict().items():
        assert torch.equal(values, before[name]) == (name != "bias"), name


def test_vectors_of_a_part():
    """They are those of the whole, on each rank alike."""
    whole, part = normed(), normed()
    plan = winit.plan(whole, RULES)
    plan.run(whole, 0)
    part.parametrizations.weight.original = nn.Parameter(torch.empty(5, 24))
    plan.run(part, 0, shards={"weight": winit.Shard((16, 24), (3, 0))})
    assert torch.equal(part.parametrizations.weight.original, drawn()[3:8])
    for name, buffer in part.named_buffers():
        assert torch.allclose(buffer, whole.get_buffer(name), atol=1e-5), name


class Doubled(nn.Module):
    def forward(self, values):
        return 2 * values

    def right_inverse(self, values):
        return values / 2


class Upper(nn.Module):
    """One through which no weight can be set."""

    def forward(self, values):
        return values.triu()


def under(*parametrizations_in_order):
    layer = nn.Linear(24, 16)
    for one in parametrizations_in_order:
        if isinstance(one, nn.Module):
            parametrize.register_parametrization(layer, "weight", one)
        else:
            one(layer)
    return layer


CHAINS = {
    "then doubled": (lambda: under(parametrizations.spectral_norm, Doubled()), 2),
    "doubled before": (lambda: under(Doubled(), parametrizations.spectral_norm), 1),
    "weight_norm before": (
        lambda: under(parametrizations.weight_norm, parametrizations.spectral_norm),
        1,
    ),
    "twice": (lambda: under(parametrizations.spectral_norm, parametrizations.spectral_norm), 1),
}
FILLS = {
    "initialize": lambda model, _: winit.initialize(model, 0),
    "rules": lambda model, _: winit.plan(model, RULES).run(model, 0),
    "build": lambda model, make: model.load_state_dict(winit.build(make, 0).state_dict()),
    "without buffers": lambda model, make: winit.plan(make).run(model, 0, buffers=False),
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("fill", FILLS)
def test_among_other_parametrizations(chain, fill):
    make, expected = CHAINS[chain]
    model = make()
    for buffer in model.buffers():
        buffer.fill_(float("nan"))
    FILLS[fill](model, make)
    assert norm(model) == pytest.approx(expected, rel=0.1)


def test_behind_one_through_which_no_weight_can_be_set():
    def make():
        return under(Upper(), parametrizations.spectral_norm)

    model = make()
    for buffer in model.buffers():
        buffer.fill_(float("nan"))
    report = winit.plan(make).run(model, 0, buffers=False)
    assert {name for name, _ in model.named_buffers()} < set(report.filled)
    assert norm(model) == pytest.approx(1, rel=0.1)


def test_a_part_among_other_parametrizations():
    make, _ = CHAINS["doubled before"]
    part = make()
    shards = {"weight": winit.Shard((32, 24), (3, 0))}
    plan = winit.plan(nn.Linear(24, 32), RULES)
    with pytest.raises(ValueError, match=r"weight, of shards, is under spectral_norm and others"):
        plan.run(part, 0, shards=shards)
