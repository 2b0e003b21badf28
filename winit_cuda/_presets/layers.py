"""Rules for one kind of layer: embeddings with a padding row, the forget gate of an LSTM."""

import math
from typing import Any

import torch
from torch import nn

from .._core import checks
from .._core.checks import wrong
from .._initializers.base import Initializer
from .._initializers.composite import Composite
from .._initializers.elementwise import Constant, Normal, Uniform, Zeros
from .._model.rules import Choice, Modules, Pattern

# The second of i, f, g, o, in which order torch stacks an LSTM's gates.
_FORGET, _GATES = 1, 4


def embedding(initializer: Initializer | None = None) -> dict[Pattern, Choice]:
    """Return the rule of embeddings: one law, and zeros in the padding row where there is one.

    It is for `Embedding` and `EmbeddingBag`; their `padding_idx` says which row.

    Args:
        initializer: The law of the other rows; None is torch's, N(0, 1).

    Raises:
        TypeError: `initializer` is none, or one with pieces.

    Example:
        >>> import torch, winit_cuda as winit
        >>> model = torch.nn.Embedding(10, 4, padding_idx=0)
        >>> plan = winit.plan(model, winit.presets.embedding(winit.Normal(std=0.02)))
        >>> report = plan.run(model, seed=0)
        >>> model.weight[0].tolist()
        [0.0, 0.0, 0.0, 0.0]
    """
    law = Normal() if initializer is None else _law("presets.embedding", initializer)

    def choose(name: str, parameter: torch.Tensor, modules: Modules) -> Initializer:  # noqa: ARG001
        return padded(modules[0], law)

    return {(nn.Embedding, nn.EmbeddingBag): choose}


def padded(module: Any, law: Initializer) -> Initializer:
    """The law of an embedding, with zeros in its padding row."""
    row = module.padding_idx
    return law if row is None else Composite(law, {row: Zeros()})


def lstm(forget_bias: float = 1.0, *, others: Initializer | None = None) -> dict[Pattern, Choice]:
    """Return the rule of an LSTM's biases, with the forget gate open at first.

    torch adds two biases, b_ih and b_hh, each with the gates i, f, g, o. The forget gate of b_ih is
    `forget_bias`, and that of b_hh is 0, so that the sum is what is asked for. The rule is for
    `LSTM` and `LSTMCell`, and says nothing of their weights.

    Args:
        forget_bias: The sum of both biases of the forget gate.
        others: The law of the other gates; None is torch's, U[-bound, bound) with bound = 1 /
            sqrt(hidden_size). `Zeros()` is what Keras has, with its `unit_forget_bias`.

    Raises:
        TypeError: `forget_bias` is not a number, or `others` no initializer, or one with pieces.
        ValueError: `forget_bias` is NaN or infinite.

    Example:
        >>> import torch, winit_cuda as winit
        >>> model = torch.nn.LSTM(3, 2)
        >>> rules = {**winit.presets.lstm(others=winit.Zeros()), **winit.presets.torch_defaults()}
        >>> report = winit.plan(model, rules).run(model, seed=0)
        >>> (model.bias_ih_l0 + model.bias_hh_l0).tolist()
        [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]

    Paper:
        R. Jozefowicz, W. Zaremba & I. Sutskever, "An empirical exploration of recurrent network
        architectures", ICML 2015.
    """
    value = Constant(checks.finite("presets.lstm", "forget_bias", forget_bias))
    law = None if others is None else _law("presets.lstm", others, "others")

    def choose(name: str, parameter: torch.Tensor, modules: Modules) -> Initializer | None:
        leaf = name.rpartition(".")[2]
        if not leaf.startswith("bias"):
            return None
        owner: Any = modules[0]
        bound = 1 / math.sqrt(owner.hidden_size) if parameter.numel() else 0.0
        gate = value if leaf.startswith("bias_ih") else Zeros()
        return Composite(law or Uniform(-bound, bound), {_FORGET: gate}, chunks=_GATES)

    return {(nn.LSTM, nn.LSTMCell): choose}


def _law(function: str, initializer: Any, argument: str = "initializer") -> Initializer:
    if not isinstance(initializer, Initializer) or isinstance(initializer, Composite):
        requirement = "an initializer with one law, such as Normal"
        raise wrong(function, argument, requirement, initializer, TypeError)
    return initializer
