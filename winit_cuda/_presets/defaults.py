"""What torch's own modules do in their constructors, as a rule."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from .._initializers.base import Initializer
from .._initializers.elementwise import Constant, Normal, Ones, Uniform, Zeros
from .._initializers.fans import KaimingUniform, XavierNormal, XavierUniform
from .._model.rules import Choice, Modules, Pattern
from .._schemes.shapes import fans
from .layers import padded


def torch_defaults() -> dict[Pattern, Choice]:
    """Return the rule that gives torch's own modules the laws of their constructors.

    It is for all modules of `torch.nn` with parameters: linear, convolutions, embeddings, recurrent
    layers, attention and transformers, norms, PReLU. Of a class derived from one of them that has
    another `reset_parameters`, it says nothing: that is for rules of your own.

    Linear and convolutions have w ~ U[-bound, bound), bound = 1 / sqrt(fan_in), and the same for b.

    Example:
        >>> import torch, winit_cuda as winit
        >>> model = torch.nn.Linear(4, 8)
        >>> print(winit.plan(model, {"bias": winit.Zeros(), **winit.presets.torch_defaults()}))
        name    initializer              shape  dtype    std
        weight  KaimingUniform(a=2.236)  8 x 4  float32  0.2887
        bias    Zeros()                  8      float32  0
        2 tensors, 40 elements
    """
    return {tuple(_LAWS): torch_default}


def torch_default(name: str, parameter: torch.Tensor, modules: Modules) -> Initializer | None:
    """The law of a parameter in the constructor of its owner, the first of `modules`."""
    owner, *around = modules
    leaf = name.rpartition(".")[2]
    if parameter.dim() > 1 and any(_keeps_reset(one, nn.Transformer) for one in around):
        return XavierUniform()
    if leaf == "bias" and around and _keeps_reset(around[0], nn.MultiheadAttention):
        return Zeros()  # of its out_proj
    for kind, law in _LAWS.items():
        if _keeps_reset(owner, kind):
            return law(owner, leaf)
    return None


def _keeps_reset(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is of a kind, and draws as that does."""
    if not isinstance(module, kind):
        return False
    names = ("reset_parameters", "_reset_parameters")
    return all(getattr(type(module), one, None) is getattr(kind, one, None) for one in names)


def _of_fan_in(module: Any, leaf: str) -> Initializer | None:
    if leaf == "weight":
        return KaimingUniform(math.sqrt(5))  # whose bound is 1 / sqrt(fan_in)
    if leaf != "bias":
        return None
    return _within_root(fans("torch_defaults", module.weight.shape)[0])


def _within_root(size: int) -> Initializer:
    bound = 1 / math.sqrt(size) if size else 0.0
    return Uniform(-bound, bound)


def _bilinear(module: Any, leaf: str) -> Initializer | None:  # noqa: ARG001
    return _within_root(module.in1_features)


def _recurrent(module: Any, leaf: str) -> Initializer | None:  # noqa: ARG001
    return _within_root(module.hidden_size)


def _embedding(module: Any, leaf: str) -> Initializer | None:  # noqa: ARG001
    return padded(module, Normal())


def _attention(module: Any, leaf: str) -> Initializer | None:  # noqa: ARG001
    if leaf in ("bias_k", "bias_v"):
        return XavierNormal()
    return Zeros() if leaf == "in_proj_bias" else XavierUniform()


def _norm(module: Any, leaf: str) -> Initializer | None:  # noqa: ARG001
    return Zeros() if leaf == "bias" else Ones()


def _prelu(module: Any, leaf: str) -> Initializer | None:  # noqa: ARG001
    return Constant(module.init)


_LAWS: dict[type[nn.Module], Callable[[Any, str], Initializer | None]] = {
    nn.Linear: _of_fan_in,
    _ConvNd: _of_fan_in,
    nn.Bilinear: _bilinear,
    nn.Embedding: _embedding,
    nn.EmbeddingBag: _embedding,
    nn.RNNBase: _recurrent,
    nn.RNNCellBase: _recurrent,
    nn.MultiheadAttention: _attention,
    _NormBase: _norm,
    nn.LayerNorm: _norm,
    nn.GroupNorm: _norm,
    nn.RMSNorm: _norm,
    nn.PReLU: _prelu,
}
