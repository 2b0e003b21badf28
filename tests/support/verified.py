"""A small model with laws of each kind, for the tests of `verify`."""

from __future__ import annotations

import torch
from torch import nn

import winit_cuda as winit


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


def values_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}
