"""Initializers whose numbers are their fields: constants, uniform, normal, truncated normal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .._core import checks
from .._core.checks import wrong
from .._fills.constants import CONSTANT, ZEROS, as_scalar
from .._fills.elementwise import NORMAL, TRUNC_NORMAL, UNIFORM
from .base import Initializer, Law


@dataclass(frozen=True, repr=False)
class Constant(Initializer):
    """One value for every element, as `constant_` writes it.

    Args:
        val: A real number: an int, a float or a bool.

    Raises:
        TypeError: `val` is not a real number.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.Constant(0.25)(torch.empty(2))
        tensor([0.2500, 0.2500])
    """

    val: float | bool

    def __post_init__(self) -> None:
        value: Any = as_scalar("Constant", self.val)
        if isinstance(value, complex):
            raise wrong("Constant", "val", "a real number", value, TypeError)
        self._set(val=value)

    def law(self, shape: Sequence[int]) -> Law:  # noqa: ARG002
        """The value, whatever the shape."""
        return Law(CONSTANT, (self.val,))


@dataclass(frozen=True, repr=False)
class Zeros(Initializer):
    """Zeros, as `zeros_` writes them.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.Zeros()(torch.empty(2))
        tensor([0., 0.])
    """

    def law(self, shape: Sequence[int]) -> Law:  # noqa: ARG002
        """Zeros, whatever the shape."""
        return Law(ZEROS, ())


@dataclass(frozen=True, repr=False)
class Ones(Initializer):
    """Ones, as `ones_` writes them.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.Ones()(torch.empty(2))
        tensor([1., 1.])
    """

    def law(self, shape: Sequence[int]) -> Law:  # noqa: ARG002
        """Ones, whatever the shape."""
        return Law(CONSTANT, (1.0,))


@dataclass(frozen=True, repr=False)
class Uniform(Initializer):
    """The uniform distribution on [a, b), as `uniform_` has it.

    Args:
        a: The lower bound.
        b: The upper bound, at least `a`.

    Raises:
        TypeError: A bound is not a number.
        ValueError: A bound is NaN or infinite, or a > b.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.Uniform(-1, 1)(torch.empty(3, 5), key=winit.key(0))
        >>> torch.equal(w, winit.uniform_(torch.empty(3, 5), -1, 1, key=winit.key(0)))
        True
    """

    a: float = 0.0
    b: float = 1.0

    def __post_init__(self) -> None:
        a, b = checks.interval("Uniform", self.a, self.b)
        self._set(a=a, b=b)

    def law(self, shape: Sequence[int]) -> Law:  # noqa: ARG002
        """The bounds, whatever the shape."""
        return Law(UNIFORM, (self.a, self.b))


@dataclass(frozen=True, repr=False)
class Normal(Initializer):
    """The normal distribution N(mean, std^2), as `normal_` has it.

    Args:
        mean: The mean.
        std: The standard deviation, at least 0.

    Raises:
        TypeError: A number is none.
        ValueError: A number is NaN or infinite, or std < 0.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.Normal(std=0.02)(torch.empty(100, 100), key=winit.key(0))
        >>> round(w.std().item(), 3)
        0.02
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        mean = checks.finite("Normal", "mean", self.mean)
        self._set(mean=mean, std=checks.deviation("Normal", "std", self.std))

    def law(self, shape: Sequence[int]) -> Law:  # noqa: ARG002
        """Mean and std, whatever the shape."""
        return Law(NORMAL, (self.mean, self.std))


@dataclass(frozen=True, repr=False)
class TruncNormal(Initializer):
    """The normal distribution N(mean, std^2) truncated to an interval, as `trunc_normal_` has it.

    The interval is [a, b] where `bounds` is "absolute", [mean + a std, mean + b std] where it is
    "sigma". `std` is that of the distribution before truncation.

    Args:
        mean: The mean before truncation.
        std: The standard deviation before truncation, at least 0.
        a: The lower bound; -inf for none.
        b: The upper bound; inf for none.
        bounds: "absolute" or "sigma".

    Raises:
        TypeError: A number is none.
        ValueError: A number is NaN, mean or std is infinite, std < 0, a > b, or `bounds` is another
            word.

    Example:
        >>> import torch, winit_cuda as winit
        >>> k = winit.key(0)
        >>> w = winit.TruncNormal(std=0.02, a=-3, b=3, bounds="sigma")(torch.empty(1000), key=k)
        >>> w.abs().max().item() <= 0.06
        True
    """

    mean: float = 0.0
    std: float = 1.0
    a: float = -2.0
    b: float = 2.0
    bounds: Literal["absolute", "sigma"] = "absolute"

    def __post_init__(self) -> None:
        function = "TruncNormal"
        a, b = checks.truncation(function, self.a, self.b)
        mean = checks.finite(function, "mean", self.mean)
        std = checks.deviation(function, "std", self.std)
        if self.bounds not in ("absolute", "sigma"):
            raise wrong(function, "bounds", "'absolute' or 'sigma'", self.bounds)
        self._set(mean=mean, std=std, a=a, b=b)

    def law(self, shape: Sequence[int]) -> Law:  # noqa: ARG002
        """The numbers with absolute bounds, whatever the shape."""
        a, b = self.a, self.b
        if self.bounds == "sigma":
            a, b = (self.mean + bound * self.std if self.std else self.mean for bound in (a, b))
        return Law(TRUNC_NORMAL, (self.mean, self.std, a, b))
