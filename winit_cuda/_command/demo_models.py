"""The models of ``winit-cuda demo``: a ConvNet, ``torch.nn.Transformer`` and a GPT-2-sized decoder.

Each comes with an initialization function written as people write it today, against a namespace
``init`` that may be ``torch.nn.init`` or ``winit_cuda.init``: the same code runs with either.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

# A namespace with the functions of torch.nn.init. Any, because a module is not a type and
# the two that are meant here differ in their keyword arguments.
InitNamespace = Any


@dataclass(frozen=True)
class DemoModel:
    """A model of the demo: how it is built, how it is initialized, how many parameters it has."""

    name: str
    title: str
    build: Callable[[], nn.Module]
    initialize: Callable[[nn.Module, InitNamespace], None]
    parameters: tuple[int, int]  # smallest and largest number of parameters it may have

    def build_on_meta(self) -> nn.Module:
        """The model without memory: its constructor's own initialization costs nothing there."""
        with torch.device("meta"):
            return self.build()

    def initialized(self, init: InitNamespace) -> nn.Module:
        """The model with weights."""
        module = self.build()
        self.initialize(module, init)
        return module


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with BatchNorm around a residual (He et al., 2015)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != 4 * channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, 4 * channels, 1, stride, bias=False),
                nn.BatchNorm2d(4 * channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Features of (batch, channels_in, height, width)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class ConvNet(nn.Module):
    """A residual ConvNet for ImageNet of 50 layers."""

    def __init__(self, blocks: tuple[int, ...] = (3, 4, 6, 3), classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(64)
        self.stages = nn.ModuleList()
        channels_in = 64
        for stage, count in enumerate(blocks):
            channels = 64 << stage
            stride = 1 if stage == 0 else 2
            layers = [Bottleneck(channels_in, channels, stride)]
            layers += [Bottleneck(4 * channels, channels, 1) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*layers))
            channels_in = 4 * channels
        self.classifier = nn.Linear(channels_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch, classes) of images (batch, 3, height, width)."""
        x = functional.max_pool2d(functional.relu(self.bn(self.stem(x))), 3, 2, 1)
        for stage in self.stages:
            x = stage(x)
        scores: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return scores


def initialize_convnet(model: nn.Module, init: InitNamespace) -> None:
    """One rule per kind of module with ``apply``; zero for the last BatchNorm of a residual."""

    def initialize_module(module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            init.uniform_(module.bias, -bound, bound)

    model.apply(initialize_module)
    for module in model.modules():
        if isinstance(module, Bottleneck):
            init.zeros_(module.bn3.weight)


def build_transformer() -> nn.Module:
    """``torch.nn.Transformer()``, without its warning about nested tensors in inference."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="enable_nested_tensor is True")
        return nn.Transformer()


def initialize_transformer(model: nn.Module, init: InitNamespace) -> None:
    """A loop over the named parameters that decides by name and number of dimensions."""
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            init.xavier_uniform_(parameter)
        elif name.endswith("bias"):
            init.constant_(parameter, 0.0)
        else:
            init.ones_(parameter)


class DecoderBlock(nn.Module):
    """Causal self-attention and a 4-fold feed-forward, both before a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.feedforward_in = nn.Linear(width, 4 * width)
        self.feedforward_out = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Features of (batch, length, width)."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.attention_in(self.norm1(x)).chunk(3, dim=-1)
        )
        y = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention_out(y.transpose(1, 2).flatten(-2))
        y = functional.gelu(self.feedforward_in(self.norm2(x)), approximate="tanh")
        residual: Tensor = x + self.feedforward_out(y)
        return residual


class Decoder(nn.Module):
    """A decoder of the size of GPT-2 small; the output layer uses the token embedding's weight."""

    def __init__(
        self,
        layers: int = 12,
        width: int = 768,
        heads: int = 12,
        vocabulary: int = 50257,
        context: int = 1024,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(DecoderBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        """Scores (batch, length, vocabulary) of token ids (batch, length)."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[-1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.tokens.weight)


def initialize_decoder(model: nn.Module, init: InitNamespace) -> None:
    """Normal(0.02) everywhere; residual projections smaller by sqrt(2 layers), as GPT-2 has it."""

    def initialize_module(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            init.normal_(module.weight, mean=0.0, std=0.02)
        if isinstance(module, nn.Linear):
            init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    model.apply(initialize_module)
    layers = sum(isinstance(module, DecoderBlock) for module in model.modules())
    for name, parameter in model.named_parameters():
        if name.endswith("_out.weight"):
            init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * layers))


MODELS = {
    model.name: model
    for model in (
        DemoModel(
            "convnet",
            "residual ConvNet with BatchNorm, 50 layers, ImageNet",
            ConvNet,
            initialize_convnet,
            (25_000_000, 26_000_000),
        ),
        DemoModel(
            "transformer",
            "torch.nn.Transformer with its default sizes",
            build_transformer,
            initialize_transformer,
            (44_000_000, 45_000_000),
        ),
        DemoModel(
            "gpt2",
            "decoder of GPT-2's size: 12 layers, width 768, tied output layer",
            Decoder,
            initialize_decoder,
            (123_000_000, 126_000_000),
        ),
    )
}
