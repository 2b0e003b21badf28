"""Rules of the maximal update parametrization, by which small models are tuned for wide ones."""

import math
from typing import Any

import torch
from torch import nn

from .._core import checks
from .._core.checks import wrong
from .._initializers.base import Initializer
from .._initializers.elementwise import Normal, Zeros
from .._model.rules import Choice, Modules, Pattern
from .._model.slots import slots
from .transformers import NormsAndBiases


def mup(
    base: nn.Module,
    *,
    std: float = 0.02,
    query: str | None = None,
    output_multiplier: bool = False,
) -> dict[Pattern, Choice]:
    """Return the rules of muP: how a weight's standard deviation goes on from a narrow base model.

    With r = fan_in / fan_in of the base model, a weight both of whose dimensions grow has std /
    sqrt(r) (hidden), one of which only fan_in grows std / r (output), and all others, embeddings
    among them, std (input). Biases are zeros, the weights of norms ones. At the base's own widths
    every weight has std.

    The rest of muP is for your training: the learning rates (by Adam, those of hidden and output
    weights go by 1 / r) and attention by 1 / d instead of 1 / sqrt(d). Where embedding and output
    are one tensor, that is an embedding, and the output needs the multiplier 1 / r.

    Args:
        base: The model of base widths, which may be on meta. Names and numbers of dimensions are
            those of the model; weights are (out, in, *kernel).
        std: The standard deviation at the base widths.
        query: A glob for the query weights, which are zeros then.
        output_multiplier: Whether the model itself multiplies its output by 1 / r, as a MuReadout
            does; output weights have std then.

    Raises:
        TypeError: `base` is not a Module, `std` not a number, or `query` not a string.
        ValueError: `std` is negative, NaN or infinite; or, where a plan is made, the base model has
            no such parameter.

    Example:
        >>> import torch, winit_cuda as winit
        >>> def model(width):
        ...     first, last = torch.nn.Linear(3, width), torch.nn.Linear(width, 2)
        ...     return torch.nn.Sequential(first, torch.nn.Linear(width, width), last)
        >>> with torch.device("meta"):
        ...     rules = winit.presets.mup(model(16), std=0.1)
        ...     print(winit.plan(model(64), rules))
        name             initializer        shape    dtype    std
        0.weight         Normal(std=0.1)    64 x 3   float32  0.1
        {0-1}.bias  (2)  Zeros()            64       float32  0
        1.weight         Normal(std=0.05)   64 x 64  float32  0.05
        2.weight         Normal(std=0.025)  2 x 64   float32  0.025
        2.bias           Zeros()            2        float32  0
        6 tensors, 4,546 elements

    Paper:
        G. Yang et al., "Tensor programs V: tuning large neural networks via zero-shot
        hyperparameter transfer", NeurIPS 2021 (table 3).
    """
    function = "presets.mup"
    if not isinstance(base, nn.Module):
        raise wrong(function, "base", "a torch.nn.Module", base, TypeError)
    std = checks.deviation(function, "std", std)
    if query is not None and not isinstance(query, str):
        raise wrong(function, "query", "a glob over names or None", query, TypeError)
    shapes = {slot.name: tuple(slot.tensor.shape) for slot in slots(base)}

    def choose(name: str, parameter: torch.Tensor, modules: Modules) -> Initializer | None:
        shape = tuple(parameter.shape)
        narrow = shapes.get(name)
        if narrow is None or len(narrow) != len(shape):
            requirement = f"a model with {name} of {len(shape)} dimensions"
            raise wrong(function, "base", requirement, narrow or "none of that name")
        scale = 1.0
        if len(shape) > 1 and not isinstance(modules[0], (nn.Embedding, nn.EmbeddingBag)):
            scale = _scale(shape, narrow, output_multiplier)
        return NormsAndBiases(Normal(std=std * scale))(name, parameter)

    rules: dict[Pattern, Choice] = {} if query is None else {query: Zeros()}
    return {**rules, nn.Module: choose}


def _scale(shape: tuple[int, ...], narrow: tuple[int, ...], output_multiplier: bool) -> float:
    """The factor of a weight's standard deviation."""
    outputs, *inputs = shape
    narrow_outputs, *narrow_inputs = narrow
    ratio: Any = math.prod(inputs) / (math.prod(narrow_inputs) or 1)
    if ratio in (0, 1):
        return 1.0
    if outputs != narrow_outputs:
        return 1 / math.sqrt(ratio)
    return 1.0 if output_multiplier else 1 / float(ratio)
