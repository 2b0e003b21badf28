"""Initializers whose numbers follow from the fans of a layer: Xavier, Kaiming, LeCun, any scale.

torch's weights have the shape (out, in, *kernel), and so the defaults have it. Other layouts say
which dimensions are inputs, outputs and independent weights; all others are the receptive field.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .._core import checks
from .._core.checks import WrongValueError, unfit, wrong
from .._fills.elementwise import NORMAL, UNIFORM
from .._schemes.gain import Nonlinearity, gain_of
from .._schemes.shapes import fans
from .._schemes.variance_scaling import FanMode, fan_mode, kaiming_std, xavier_std
from .base import Initializer, Law

Axes = int | tuple[int, ...]

_SQRT_3 = math.sqrt(3.0)


@dataclass(frozen=True, repr=False, kw_only=True)
class FanInitializer(Initializer):
    """What initializers by fans have in common: where the inputs and the outputs of a weight are.

    fan_in = prod(sizes of in_axis) * field, fan_out = prod(sizes of out_axis) * field, and field is
    the product of the sizes in neither, nor in batch_axis.

    Args:
        in_axis: The dimensions of the inputs.
        out_axis: Those of the outputs.
        batch_axis: Those that number independent weights, such as experts.
        groups: Of a grouped convolution. Dimension 0 has the channels of all groups, of which each
            is connected to its own only.
        chunks: How many weights dimension 0 stacks: 3 for a fused query, key and value.
    """

    in_axis: Axes = 1
    out_axis: Axes = 0
    batch_axis: Axes = ()
    groups: int = 1
    chunks: int = 1

    def __post_init__(self) -> None:
        function = type(self).__name__
        for name in ("in_axis", "out_axis", "batch_axis"):
            value = getattr(self, name)
            axes = value if isinstance(value, (tuple, list)) else (value,)
            checked = tuple(checks.integer(function, name, axis) for axis in axes)
            self._set(**{name: checked[0] if len(checked) == 1 else checked})
        for name in ("groups", "chunks"):
            self._set(**{name: checks.count(function, name, getattr(self, name))})

    def fans(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return (fan_in, fan_out) of a weight of this shape.

        Raises:
            ValueError: The shape has fewer than two dimensions or not those that are named, a
                dimension is named twice, or `groups` times `chunks` does not divide dimension 0.
        """
        function = type(self).__name__
        if len(shape) < 2:
            return fans(function, shape)
        inputs = self._dimensions("in_axis", shape)
        outputs = self._dimensions("out_axis", shape)
        batch = self._dimensions("batch_axis", shape)
        named = [*inputs, *outputs, *batch]
        if len(set(named)) < len(named):
            requirement = "different from out_axis and batch_axis"
            raise wrong(function, "in_axis", requirement, self.in_axis)
        sizes = list(shape)
        parts = self.groups * self.chunks
        if parts > 1:
            if 0 not in inputs and 0 not in outputs:
                requirement = "1 where dimension 0 is neither in in_axis nor in out_axis"
                raise wrong(function, "groups * chunks", requirement, parts)
            if sizes[0] % parts:
                requirement = f"a divisor of tensor.shape[0] = {sizes[0]}"
                raise wrong(function, "groups * chunks", requirement, parts)
            sizes[0] //= parts
        # Lists: torch.compile takes no generators here.
        field = math.prod([size for dim, size in enumerate(sizes) if dim not in named])
        fan_in = math.prod([sizes[dim] for dim in inputs])
        fan_out = math.prod([sizes[dim] for dim in outputs])
        return fan_in * field, fan_out * field

    def _dimensions(self, name: str, shape: Sequence[int]) -> list[int]:
        value: Axes = getattr(self, name)
        axes = value if isinstance(value, tuple) else (value,)
        for axis in axes:
            if not -len(shape) <= axis < len(shape):
                requirement = f"of a dimension {axis}, as {name} is"
                received = f"shape {tuple(shape)}"
                raise unfit(type(self).__name__, "tensor", requirement, received, WrongValueError)
        return [axis % len(shape) for axis in axes]


def _uniform(std: float) -> Law:
    bound = _SQRT_3 * std
    size = abs(bound)
    return Law(UNIFORM, (0.0 - size, size), bound < 0)


def _normal(std: float) -> Law:
    return Law(NORMAL, (0.0, abs(std)), std < 0)


@dataclass(frozen=True, repr=False)
class _Xavier(FanInitializer):
    gain: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(gain=checks.finite(type(self).__name__, "gain", self.gain))


class XavierUniform(_Xavier):
    """Xavier's (Glorot's) uniform distribution, as `xavier_uniform_` has it.

    On [-bound, bound), bound = gain * sqrt(6 / (fan_in + fan_out)).

    Args:
        gain: A factor, see `calculate_gain`; a negative one flips the signs.
        in_axis: The dimensions of the inputs.
        out_axis: Those of the outputs.
        batch_axis: Those that number independent weights.
        groups: Of a grouped convolution.
        chunks: How many weights dimension 0 stacks.

    Raises:
        TypeError: `gain` is not a number, or another argument not an integer.
        ValueError: `gain` is NaN or infinite, groups < 1 or chunks < 1.

    Example:
        Query, key and value in one weight have the bound of each alone:

        >>> import torch, winit_cuda as winit
        >>> w = winit.XavierUniform(chunks=3)(torch.empty(6, 4), key=winit.key(0))
        >>> w.abs().max().item() <= 1
        True

    Paper:
        X. Glorot & Y. Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010.
    """

    def law(self, shape: Sequence[int]) -> Law:
        """Uniform on the bounds of this shape."""
        return _uniform(xavier_std(self.gain, *self.fans(shape)))


class XavierNormal(_Xavier):
    """Xavier's (Glorot's) normal distribution, as `xavier_normal_` has it.

    N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)). It is not truncated; what JAX and Keras
    call Glorot's is `VarianceScaling(1, "fan_avg", "truncated_normal")`.

    Args:
        gain: A factor, see `calculate_gain`; a negative one flips the signs.
        in_axis: The dimensions of the inputs.
        out_axis: Those of the outputs.
        batch_axis: Those that number independent weights.
        groups: Of a grouped convolution.
        chunks: How many weights dimension 0 stacks.

    Raises:
        TypeError: `gain` is not a number, or another argument not an integer.
        ValueError: `gain` is NaN or infinite, groups < 1 or chunks < 1.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.XavierNormal()(torch.empty(300, 100), key=winit.key(0))
        >>> round(w.std().item(), 2)
        0.07

    Paper:
        X. Glorot & Y. Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010.
    """

    def law(self, shape: Sequence[int]) -> Law:
        """Normal, with the standard deviation of this shape."""
        return _normal(xavier_std(self.gain, *self.fans(shape)))


@dataclass(frozen=True, repr=False)
class _Kaiming(FanInitializer):
    a: float = 0.0
    mode: FanMode = "fan_in"
    nonlinearity: Nonlinearity = "leaky_relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        function = type(self).__name__
        gain_of(function, "a", self.nonlinearity, self.a)
        self._set(
            a=checks.finite(function, "a", self.a),
            mode=fan_mode(function, self.mode),
        )

    def _std(self, shape: Sequence[int]) -> float:
        found = self.fans(shape)
        if 0 in shape:
            return 0.0
        function = type(self).__name__
        return kaiming_std(function, found, self.a, self.mode, self.nonlinearity)


class KaimingUniform(_Kaiming):
    """Kaiming's (He's) uniform distribution, as `kaiming_uniform_` has it.

    On [-bound, bound), bound = gain * sqrt(3 / fan).

    Args:
        a: The negative slope of the nonlinearity, used with "leaky_relu".
        mode: "fan_in" or "fan_out".
        nonlinearity: Its name in `torch.nn.functional`, see `calculate_gain`.
        in_axis: The dimensions of the inputs.
        out_axis: Those of the outputs.
        batch_axis: Those that number independent weights.
        groups: Of a grouped convolution.
        chunks: How many weights dimension 0 stacks.

    Raises:
        TypeError: `a` is not a number, or an axis, `groups` or `chunks` not an integer.
        ValueError: `a` is not finite, the mode or nonlinearity is unknown, or groups or chunks is
            less than 1.

    Example:
        A transposed convolution has its inputs first:

        >>> import torch, winit_cuda as winit
        >>> initializer = winit.KaimingUniform(nonlinearity="relu", in_axis=0, out_axis=1)
        >>> w = initializer(torch.empty(6, 20, 3), key=winit.key(0))
        >>> w.abs().max().item() <= (6 / 18) ** 0.5
        True

    Paper:
        K. He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification", ICCV 2015.
    """

    def law(self, shape: Sequence[int]) -> Law:
        """Uniform on the bounds of this shape."""
        return _uniform(self._std(shape))


class KaimingNormal(_Kaiming):
    """Kaiming's (He's) normal distribution, as `kaiming_normal_` has it.

    N(0, std^2), std = gain / sqrt(fan). It is not truncated; what JAX and Keras call He's is
    `VarianceScaling(2, "fan_in", "truncated_normal")`.

    Args:
        a: The negative slope of the nonlinearity, used with "leaky_relu".
        mode: "fan_in" or "fan_out".
        nonlinearity: Its name in `torch.nn.functional`, see `calculate_gain`.
        in_axis: The dimensions of the inputs.
        out_axis: Those of the outputs.
        batch_axis: Those that number independent weights.
        groups: Of a grouped convolution.
        chunks: How many weights dimension 0 stacks.

    Raises:
        TypeError: `a` is not a number, or an axis, `groups` or `chunks` not an integer.
        ValueError: `a` is not finite, the mode or nonlinearity is unknown, or groups or chunks is
            less than 1.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.KaimingNormal(nonlinearity="relu")(torch.empty(300, 200), key=winit.key(0))
        >>> round(w.std().item(), 1)
        0.1

    Paper:
        K. He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification", ICCV 2015.
    """

    def law(self, shape: Sequence[int]) -> Law:
        """Normal, with the standard deviation of this shape."""
        return _normal(self._std(shape))
