"""A model with rules of several kinds, and what a run of its plan is to give."""

from __future__ import annotations

import torch
from torch import nn

import winit_cuda as winit

RULES = {
    "*norm.weight": winit.Ones(),
    "*.bias": winit.Zeros(),
    "*.q.weight": winit.Orthogonal(),
    "*.k.weight": winit.XavierUniform(-1.0),
    "*.v.weight": winit.Sparse(0.5),
    "*": winit.Normal(std=0.02),
}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(6, 6) for _ in range(3))
        self.norm = nn.LayerNorm(6)


class Model(nn.Module):
    def __init__(self, layers=2):
        super().__init__()
        self.embedding = nn.Embedding(16, 6)
        self.layers = nn.ModuleList(Block() for _ in range(layers))
        self.head = nn.Linear(6, 16, bias=False)
        self.head.weight = self.embedding.weight


def ruled_plan():
    """The plan of the rules."""
    with torch.device("meta"):
        return winit.plan(Model(), RULES)


def expected(plan, seed=0, dtype=torch.float32):
    """What single calls under the names give."""
    base = winit.key(seed)
    return {
        entry.name: entry.initializer(
            torch.empty(entry.shape, dtype=dtype), key=winit.fold_in(base, entry.name)
        )
        for entry in plan
    }


def assert_filled(model, values):
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, values[name]), name
