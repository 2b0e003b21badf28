"""A small decoder with what sharding meets: tied weights, fused ones, experts, a frozen one."""

from __future__ import annotations

import torch
from torch import nn

import winit_cuda as winit

KEY = winit.key(21)
VOCABULARY, WIDTH, HIDDEN, EXPERTS = 50, 12, 20, 6


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.mlp_norm = nn.LayerNorm(WIDTH)
        self.mlp = MLP()
        self.experts = nn.Parameter(torch.empty(EXPERTS, WIDTH, WIDTH))


class Decoder(nn.Module):
    """Its layers are under their numbers, so that those of a stage keep the names of the whole."""

    def __init__(self, layers: range | tuple[int, ...] = range(2), is_tied: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleDict({str(number): Block() for number in layers})
        self.norm = nn.LayerNorm(WIDTH)
        self.norm.bias.requires_grad_(False)
        self.output = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.is_tied = is_tied
        self.tie()

    def tie(self) -> None:
        """Tie the two weights, if they are to be and are both there."""
        if self.is_tied and self.embedding is not None and self.output is not None:
            self.output.weight = self.embedding.weight


def fill(name: str, weight: torch.Tensor) -> torch.Tensor:
    """A weight of its name alone: another law for each kind."""
    key = winit.fold_in(KEY, name)
    kind = name.rpartition(".")[0].rpartition(".")[2]
    if name.endswith("bias"):
        return winit.zeros_(weight)
    if name.endswith("experts"):
        return winit.orthogonal_(weight, batch_dims=1, key=key)
    if kind == "qkv":
        return winit.orthogonal_(weight, chunks=3, key=key)
    if kind == "out":
        return winit.xavier_uniform_(weight, key=key)
    if kind == "up":
        return winit.kaiming_normal_(weight, nonlinearity="relu", key=key)
    if kind == "down":
        return winit.sparse_(weight, 0.5, key=key)
    if kind.endswith("norm"):
        return winit.ones_(weight)
    return winit.trunc_normal_(weight, std=0.02, a=-0.06, b=0.06, key=key)
