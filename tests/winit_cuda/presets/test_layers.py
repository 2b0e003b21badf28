"""Rules for embeddings and for the forget gate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core


@needs_core
@pytest.mark.parametrize("kind", [nn.LSTM, nn.LSTMCell])
def test_the_forget_gate(kind):
    """The sum of both biases is what was asked for; the other gates and weights are torch's."""
    model = nn.ModuleDict({"rnn": kind(3, 5), "other": nn.GRU(3, 5)})
    rules = {**winit.presets.lstm(forget_bias=1.5), **winit.presets.torch_defaults()}
    plan = winit.plan(model, rules)
    plan.run(model, seed=0)
    biases = [one for name, one in model["rnn"].named_parameters() if "bias" in name]
    gates = sum(biases).unflatten(0, (4, 5))
    assert (gates[1] == 1.5).all()
    assert not (gates[[0, 2, 3]] == 1.5).any()
    bound = 5**-0.5
    assert all((one[:5].abs() > 0).all() and one[:5].abs().max() < bound for one in biases)
    assert plan["other.bias_ih_l0"].initializer == winit.Uniform(-bound, bound)
    assert plan["other.bias_ih_l0"].kind == "law"
    # The forget gate of an LSTM is where torch computes with it: a cell that is full stays so.
    hidden = torch.zeros(1, 5), torch.ones(1, 5)
    if kind is nn.LSTMCell:
        with torch.no_grad():
            for one in model["rnn"].parameters():
                one[:5] = one[10:] = 0
                one.view(4, 5, -1)[1] *= one.dim() == 1
            _, cell = model["rnn"](torch.zeros(1, 3), hidden)
        assert torch.allclose(cell, torch.sigmoid(torch.tensor(1.5)))


def test_other_gates_and_projections():
    model = nn.LSTM(3, 5, 2, bidirectional=True, proj_size=2)
    rules = {**winit.presets.lstm(others=winit.Zeros()), "*": winit.Normal()}
    plan = winit.plan(model, rules)
    for name in ("bias_ih_l0", "bias_ih_l1_reverse"):
        assert plan[name].initializer == winit.Zeros()
        (piece,) = plan[name].pieces
        assert (piece.offsets, piece.sizes, piece.initializer) == ((5,), (5,), winit.Constant(1.0))
    assert plan["bias_hh_l0"].pieces[0].initializer == winit.Zeros()
    assert plan["weight_hr_l0"].initializer == winit.Normal()


def test_padding_rows():
    model = nn.ModuleList([nn.Embedding(6, 4), nn.Embedding(6, 4, -1), nn.EmbeddingBag(6, 4)])
    plan = winit.plan(model, winit.presets.embedding(winit.Normal(std=0.02)))
    assert [entry.initializer for entry in plan] == [winit.Normal(std=0.02)] * 3
    assert [len(entry.pieces) for entry in plan] == [0, 1, 0]
    (piece,) = plan["1.weight"].pieces
    assert (piece.offsets, piece.sizes, piece.initializer) == ((5, 0), (1, 4), winit.Zeros())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: winit.presets.lstm("1"), TypeError, "presets.lstm: forget_bias must be a number"),
        (lambda: winit.presets.lstm(float("nan")), ValueError, "forget_bias must be finite"),
        (lambda: winit.presets.lstm(others=0), TypeError, "presets.lstm: others must be an init"),
        (lambda: winit.presets.embedding(0.02), TypeError, "presets.embedding: initializer must"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
