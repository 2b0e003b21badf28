"""The gain of a nonlinearity."""

import math
from typing import Literal

from torch.compiler import is_dynamo_compiling

from .._core import checks
from .._core.checks import wrong
from .._core.subnormals import SMALLEST, kept

Nonlinearity = Literal[
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "selu",
]

_INF = math.inf
_DEFAULT_SLOPE = 0.01
_LARGEST_EXACT = 2**53  # of the integers that floats hold
_FIXED_GAINS: dict[str, float] = {
    "linear": 1,
    "conv1d": 1,
    "conv2d": 1,
    "conv3d": 1,
    "conv_transpose1d": 1,
    "conv_transpose2d": 1,
    "conv_transpose3d": 1,
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    # By experiment, https://github.com/pytorch/pytorch/pull/50664.
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: Nonlinearity, param: float | None = None) -> float:
    """Return the gain that keeps the variance of activations through a nonlinearity.

    1 for linear, convolutions and sigmoid, 5/3 for tanh, sqrt(2) for relu, 3/4 for selu, and
    sqrt(2 / (1 + param^2)) for leaky_relu.

    Args:
        nonlinearity: Its name in `torch.nn.functional`.
        param: The negative slope of leaky_relu, 0.01 where None; others ignore it.

    Raises:
        ValueError: The nonlinearity is unknown, or the slope is not a number.

    Example:
        >>> import winit_cuda as winit
        >>> winit.calculate_gain("leaky_relu", 1.0)
        1.0

    Paper:
        K. He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification", ICCV 2015.
    """
    return gain_of("calculate_gain", "param", nonlinearity, param)


def gain_of(function: str, argument: str, nonlinearity: str, slope: float | None) -> float:
    """The gain, for the public `function` whose `argument` is the slope."""
    gain = _FIXED_GAINS.get(nonlinearity) if isinstance(nonlinearity, str) else None
    if gain is not None:
        return gain
    if not isinstance(nonlinearity, str) or nonlinearity != "leaky_relu":
        known = ", ".join([*_FIXED_GAINS, "leaky_relu"])
        raise wrong(function, "nonlinearity", f"one of {known}", nonlinearity)
    if slope is None:
        slope = _DEFAULT_SLOPE
    if type(slope) is not float:
        slope = _as_float(function, argument, slope)
    if not -_INF < slope < _INF:
        raise _not_a_slope(function, argument, slope)
    if not SMALLEST and not is_dynamo_compiling():
        with kept():
            return math.sqrt(2.0 / (1 + slope * slope))
    return math.sqrt(2.0 / (1 + slope * slope))


def _as_float(function: str, argument: str, slope: float) -> float:
    if type(slope) is int and -_LARGEST_EXACT <= slope <= _LARGEST_EXACT:
        return float(slope)
    if not isinstance(slope, (int, float)) or isinstance(slope, bool):
        raise _not_a_slope(function, argument, slope)
    return checks.number(function, argument, slope)


def _not_a_slope(function: str, argument: str, slope: object) -> Exception:
    return wrong(function, argument, "a finite number (the negative slope)", slope)
