"""torch's own laws as rules, against what is read from the constructors of all torch.nn has."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core

MODULES = {
    nn.Linear: [(3, 4), (3, 4, False)],
    nn.Bilinear: [(3, 4, 5)],
    nn.Conv1d: [(4, 6, 3), (4, 6, 3, 1, 0, 1, 2)],
    nn.Conv2d: [(4, 6, 3), (4, 4, 3, 1, 0, 1, 4, False)],
    nn.Conv3d: [(2, 4, 3)],
    nn.ConvTranspose1d: [(4, 6, 3), (4, 6, 3, 1, 0, 0, 2)],
    nn.ConvTranspose2d: [(4, 6, 3)],
    nn.ConvTranspose3d: [(4, 2, 3)],
    nn.Embedding: [(6, 4), (6, 4, 0), (6, 4, -1)],
    nn.EmbeddingBag: [(6, 4), (6, 4, None, 2.0, False, "sum", False, None, False, 2)],
    nn.RNN: [(3, 4)],
    nn.LSTM: [(3, 4), (3, 4, 2, False, True, 0.0, True, 2)],
    nn.GRU: [(3, 4)],
    nn.RNNBase: [("GRU", 3, 4)],
    nn.RNNCell: [(3, 4)],
    nn.LSTMCell: [(3, 4)],
    nn.GRUCell: [(3, 4)],
    nn.RNNCellBase: [(3, 4, True, 2)],
    nn.MultiheadAttention: [(4, 2), (4, 2, 0.0, True, True, False, 3, 5), (4, 2, 0.0, False)],
    nn.TransformerEncoderLayer: [(4, 2, 8)],
    nn.TransformerDecoderLayer: [(4, 2, 8)],
    nn.Transformer: [(4, 2, 1, 2, 8, 0.1, nn.functional.relu, None, None, 1e-5, True)],
    nn.LayerNorm: [((3, 4),), (4, 1e-5, True, False)],
    nn.GroupNorm: [(2, 4)],
    nn.RMSNorm: [(4,)],
    nn.BatchNorm1d: [(4,)],
    nn.BatchNorm2d: [(4,)],
    nn.BatchNorm3d: [(4,)],
    nn.SyncBatchNorm: [(4,)],
    nn.InstanceNorm1d: [(4, 1e-5, 0.1, True)],
    nn.InstanceNorm2d: [(4, 1e-5, 0.1, True)],
    nn.InstanceNorm3d: [(4, 1e-5, 0.1, True)],
    nn.PReLU: [(), (3, 0.5)],
    nn.AdaptiveLogSoftmaxWithLoss: [(16, 8, [2, 4])],
}


def laws(entry):
    """The law of the whole and of each piece, as numbers."""
    pieces = [
        (piece.offsets, piece.sizes, piece.initializer.law(piece.sizes)) for piece in entry.pieces
    ]
    return entry.initializer.law(entry.shape), pieces


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_the_laws_of_the_constructor(kind):
    for arguments in MODULES[kind]:
        read = winit.plan(lambda one=arguments: kind(*one))
        with torch.device("meta"):
            model = kind(*arguments)
        ruled = winit.plan(model, winit.presets.torch_defaults())
        parameters = [entry for entry in read if not entry.is_buffer]
        assert [entry.name for entry in ruled] == [entry.name for entry in parameters]
        for entry in parameters:
            assert laws(ruled[entry.name]) == laws(entry), entry.name


def test_every_module_is_here():
    classes = {
        each
        for each in vars(nn).values()
        if isinstance(each, type) and issubclass(each, nn.Module)
        if hasattr(each, "reset_parameters") or hasattr(each, "_reset_parameters")
        if not issubclass(each, nn.modules.lazy.LazyModuleMixin)
    }
    assert classes == MODULES.keys() - {nn.TransformerEncoderLayer, nn.TransformerDecoderLayer}


@needs_core
def test_the_values_of_the_constructor():
    def factory():
        return nn.Sequential(nn.Embedding(6, 4, 0), nn.LSTM(4, 5), nn.Linear(5, 3))

    found, expected = factory(), factory()
    winit.plan(found, winit.presets.torch_defaults()).run(found, seed=0)
    winit.plan(factory).run(expected, seed=0)
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_torch_did_not_write():
    """Of a class with laws of its own nothing is guessed, nor of other parameters of a module."""

    class Own(nn.Linear):
        def reset_parameters(self):
            nn.init.ones_(self.weight)

    class Same(nn.Linear):
        pass

    rules = winit.presets.torch_defaults()
    with pytest.raises(ValueError, match=r"no rule matches: 1\.weight, 1\.bias"):
        winit.plan(nn.Sequential(Same(3, 4), Own(3, 4)), rules)
    odd = nn.Linear(3, 4)
    odd.scale = nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=r"no rule matches: scale \(1 in all\)"):
        winit.plan(odd, rules)
