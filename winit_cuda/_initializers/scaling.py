"""Initializers of any scale, mode and distribution, as JAX and Keras have them; LeCun's are two."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .._core import checks
from .._core.checks import wrong
from .._fills.elementwise import NORMAL, TRUNC_NORMAL, UNIFORM
from .base import Law
from .fans import FanInitializer

Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution = Literal["uniform", "normal", "truncated_normal"]
_MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
_DISTRIBUTIONS = ("uniform", "normal", "truncated_normal")

# The standard deviation of N(0, 1) truncated to [-2, 2]: 0.8796.
_TRUNCATED_STD = math.sqrt(
    1.0 - 4.0 * math.exp(-2.0) / (math.sqrt(2.0 * math.pi) * math.erf(math.sqrt(2.0)))
)


def _scaled(scale: float, mode: Mode, distribution: Distribution, fans: tuple[int, int]) -> Law:
    fan_in, fan_out = fans
    fan = {
        "fan_in": fan_in,
        "fan_out": fan_out,
        "fan_avg": (fan_in + fan_out) / 2.0,
        "fan_geo_avg": math.sqrt(fan_in * fan_out),
    }[mode]
    variance = scale / fan if fan else 0.0
    if distribution == "uniform":
        bound = math.sqrt(3.0 * variance)
        return Law(UNIFORM, (-bound, bound))
    if distribution == "normal":
        return Law(NORMAL, (0.0, math.sqrt(variance)))
    std = math.sqrt(variance) / _TRUNCATED_STD
    return Law(TRUNC_NORMAL, (0.0, std, -2.0 * std, 2.0 * std))


@dataclass(frozen=True, repr=False)
class VarianceScaling(FanInitializer):
    """A distribution with mean 0 and variance scale / fan, as in JAX and Keras.

    The fan is fan_in, fan_out, (fan_in + fan_out) / 2 or sqrt(fan_in fan_out). A uniform
    distribution lies on [-bound, bound), bound = sqrt(3 scale / fan). A truncated normal one is cut
    at 2 sigma, sigma = sqrt(scale / fan) / 0.8796, so that its variance is scale / fan afterwards.

    Args:
        scale: The scale, at least 0.
        mode: "fan_in", "fan_out", "fan_avg" or "fan_geo_avg".
        distribution: "truncated_normal", "normal" or "uniform".
        in_axis: The dimensions of the inputs.
        out_axis: Those of the outputs.
        batch_axis: Those that number independent weights.
        groups: Of a grouped convolution.
        chunks: How many weights dimension 0 stacks.

    Raises:
        TypeError: `scale` is not a number, or an axis, `groups` or `chunks` not an integer.
        ValueError: `scale` is negative, NaN or infinite, or the mode or distribution is unknown.

    Example:
        >>> import torch, winit_cuda as winit
        >>> initializer = winit.VarianceScaling(2.0, "fan_in", "truncated_normal")
        >>> w = initializer(torch.empty(300, 200), key=winit.key(0))
        >>> round(w.std().item(), 2)
        0.1

    Paper:
        K. He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification", ICCV 2015.
    """

    scale: float = 1.0
    mode: Mode = "fan_in"
    distribution: Distribution = "truncated_normal"

    def __post_init__(self) -> None:
        super().__post_init__()
        function = "VarianceScaling"
        self._set(scale=checks.deviation(function, "scale", self.scale))
        for name, known in (("mode", _MODES), ("distribution", _DISTRIBUTIONS)):
            value = getattr(self, name)
            if value not in known:
                raise wrong(function, name, f"one of {', '.join(known)}", value)

    def law(self, shape: Sequence[int]) -> Law:
        """The distribution with the variance of this shape."""
        return _scaled(self.scale, self.mode, self.distribution, self.fans(shape))


@dataclass(frozen=True, repr=False)
class LecunUniform(FanInitializer):
    """LeCun's uniform distribution, `VarianceScaling(1, "fan_in", "uniform")`.

    On [-bound, bound), bound = sqrt(3 / fan_in).

    Args:
        in_axis: The dimensions of the inputs.
        out_axis: Those of the outputs.
        batch_axis: Those that number independent weights.
        groups: Of a grouped convolution.
        chunks: How many weights dimension 0 stacks.

    Raises:
        TypeError: An argument is not an integer.
        ValueError: groups < 1 or chunks < 1.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.LecunUniform()(torch.empty(5, 3), key=winit.key(0))
        >>> w.abs().max().item() <= 1
        True

    Paper:
        Y. LeCun, L. Bottou, G. B. Orr & K.-R. Müller, "Efficient BackProp", Neural Networks: Tricks
        of the Trade, 1998.
    """

    def law(self, shape: Sequence[int]) -> Law:
        """Uniform on the bounds of this shape."""
        return _scaled(1.0, "fan_in", "uniform", self.fans(shape))


@dataclass(frozen=True, repr=False)
class LecunNormal(FanInitializer):
    """LeCun's truncated normal distribution, `VarianceScaling(1, "fan_in", "truncated_normal")`.

    Standard deviation sqrt(1 / fan_in) after truncation at 2 sigma.

    Args:
        in_axis: The dimensions of the inputs.
        out_axis: Those of the outputs.
        batch_axis: Those that number independent weights.
        groups: Of a grouped convolution.
        chunks: How many weights dimension 0 stacks.

    Raises:
        TypeError: An argument is not an integer.
        ValueError: groups < 1 or chunks < 1.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.LecunNormal()(torch.empty(300, 100), key=winit.key(0))
        >>> round(w.std().item(), 1)
        0.1

    Paper:
        Y. LeCun, L. Bottou, G. B. Orr & K.-R. Müller, "Efficient BackProp", Neural Networks: Tricks
        of the Trade, 1998.
    """

    def law(self, shape: Sequence[int]) -> Law:
        """The truncated normal distribution of this shape."""
        return _scaled(1.0, "fan_in", "truncated_normal", self.fans(shape))
