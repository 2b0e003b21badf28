"""Models whose constructors write weights in all the ways that libraries do."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn


class GPT(nn.Module):
    """Tied embeddings; residual projections are drawn again, or scaled after the draw."""

    def __init__(self, layers=2, width=8, *, is_scaled=False):
        super().__init__()
        self.embedding = nn.Embedding(20, width)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(width),
                    "attention": nn.Linear(width, 3 * width),
                    "projection": nn.Linear(width, width),
                }
            )
            for _ in range(layers)
        )
        self.head = nn.Linear(width, 20, bias=False)
        self.embedding.weight = self.head.weight
        self.apply(self.initialize)
        factor = 1 / math.sqrt(2 * layers)
        for name, parameter in self.named_parameters():
            if name.endswith("projection.weight"):
                if is_scaled:
                    with torch.no_grad():
                        parameter.mul_(factor)
                else:
                    nn.init.normal_(parameter, std=0.02 * factor)

    @staticmethod
    def initialize(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)


class ActorCritic(nn.Module):
    """As PPO has it: orthogonal layers, and a copy of the critic as its target."""

    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(self.layer(5, 8, 2**0.5), nn.Tanh(), self.layer(8, 1, 1.0))
        self.actor = nn.Sequential(self.layer(5, 8, 2**0.5), nn.Tanh(), self.layer(8, 2, 0.01))
        self.log_std = nn.Parameter(torch.zeros(1, 2))
        self.target = copy.deepcopy(self.critic)

    @staticmethod
    def layer(inputs, outputs, gain):
        made = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(made.weight, gain)
        nn.init.constant_(made.bias, 0.0)
        return made


class LoRA(nn.Module):
    """A frozen layer and its change of low rank, which is 0 at first."""

    def __init__(self, base, rank=4):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.empty(rank, base.in_features))
        self.b = nn.Parameter(torch.empty(base.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))
        nn.init.zeros_(self.b)

    @classmethod
    def of_gpt(cls):
        """A GPT in which each projection is replaced after the model was made."""
        model = GPT(width=32)
        for block in model.blocks:
            block["projection"] = cls(block["projection"])
        return model


class Pieces(nn.Module):
    """Parameters that are written in parts."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, 4, padding_idx=2)
        self.qkv = nn.Parameter(torch.empty(12, 4))
        for part in self.qkv.chunk(3):
            nn.init.xavier_uniform_(part)
        self.experts = nn.Parameter(torch.empty(3, 4, 4))
        for expert in self.experts:
            nn.init.orthogonal_(expert)
        self.lstm = nn.LSTM(3, 4)
        with torch.no_grad():
            self.lstm.bias_hh_l0[4:8].fill_(1.0)
        self.columns = nn.Parameter(torch.zeros(4, 6))
        nn.init.normal_(self.columns.data[:, 2:5], std=0.1)


class Extended(nn.Module):
    """A layer, and what a function adds to it."""

    def __init__(self, add):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        add(self)


def mixed():
    """Layers of torch's, in several dtypes, with every function of torch.nn.init."""
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), nn.ConvTranspose2d(6, 4, 3), nn.PReLU(),
        nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Conv1d(4, 4, 3), nn.Linear(6, 5),
        nn.MultiheadAttention(8, 2), nn.Bilinear(2, 3, 4),
    )  # fmt: skip
    nn.init.trunc_normal_(model[4].weight, std=0.02, a=-0.04, b=0.04)
    nn.init.sparse_(model[5].weight, 0.5)
    nn.init.eye_(model[6].weight)
    nn.init.dirac_(model[7].weight)
    nn.init.kaiming_normal_(model[8].weight, mode="fan_out", nonlinearity="relu")
    model[8].half()
    return model.append(nn.Linear(3, 3).to(torch.bfloat16))
