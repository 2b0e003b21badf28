"""The parameters of a Llama, with how they are initialized and divided; there is no forward pass.

Shapes are those of "The Llama 3 Herd of Models" (A. Dubey et al., 2024, table 3). The laws are the
usual ones: normal embeddings, truncated normals of std 0.02, those that end a residual branch
scaled down by the depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

import winit_cuda as winit

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Config:
    """The sizes of a Llama."""

    layers: int
    width: int
    heads: int
    key_value_heads: int
    hidden: int
    vocabulary: int


CONFIGS = {
    "405B": Config(126, 16_384, 128, 8, 53_248, 128_256),
    "8B": Config(32, 4_096, 32, 8, 14_336, 128_256),
    "tiny": Config(2, 32, 4, 2, 48, 96),
}


class Layer(nn.Module):
    """A block of the decoder: 9 parameters."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        linear = partial(nn.Linear, bias=False)
        head = config.width // config.heads
        self.wq = linear(config.width, config.width)
        self.wk = linear(config.width, config.key_value_heads * head)
        self.wv = linear(config.width, config.key_value_heads * head)
        self.wo = linear(config.width, config.width)
        self.w1 = linear(config.width, config.hidden)
        self.w2 = linear(config.hidden, config.width)
        self.w3 = linear(config.width, config.hidden)
        self.attention_norm = nn.RMSNorm(config.width)
        self.ffn_norm = nn.RMSNorm(config.width)


class Llama(nn.Module):
    """All of its parameters: 9 a layer and 3."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width)
        self.output = nn.Linear(config.width, config.vocabulary, bias=False)


# How tensor parallelism divides them: the dimension of the weight.
SPLIT = {
    "wq": 0, "wk": 0, "wv": 0, "w1": 0, "w3": 0, "output": 0, "wo": 1, "w2": 1, "tok_embeddings": 1,
}  # fmt: skip


def initializer(name: str, config: Config) -> Callable[[torch.Tensor], torch.Tensor]:
    """The initializer of a parameter, with its key: seed 0 and its name."""
    module = name.removesuffix(".weight").rpartition(".")[2]
    if module.endswith("norm"):
        return winit.ones_
    key = winit.fold_in(winit.key(0), name)
    if module == "tok_embeddings":
        return partial(winit.normal_, key=key)
    std = 0.02
    if module == "output":
        std = config.width**-0.5
    elif module in ("wo", "w2"):
        std = 0.02 / math.sqrt(2 * config.layers)
    return partial(winit.trunc_normal_, std=std, a=-3 * std, b=3 * std, key=key)
