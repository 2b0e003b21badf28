"""Fills of one distribution for every element: uniform, normal, truncated normal."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from .._core import checks, torch_init
from .._core.checks import NOT_NUMBERS, WrongValueError, unfit
from .._core.dtypes import (
    FLOATING,
    LARGEST,
    LEAST_SPACING,
    RELATIVE_SPACING,
    largest_at_most,
    nearest_inside,
    smallest_at_least,
)
from .._keys.generators import drawn
from .constants import write_value
from .fill import COMPLEX, REAL, Fill, Numbers, too_large
from .parts import ElementwiseFill

if TYPE_CHECKING:
    import torch

    from .._core.target import Place
    from .._keys.generators import Words

# No 32-bit word has a normal quantile beyond 6.24: no value is further from the mean, in units of
# std. See csrc/values/maps.h.
LARGEST_QUANTILE = 6.4

# A standard deviation further than this from the mean there is nothing, not even of a tail.
_OUT_OF_REACH = 40.0
_LARGEST_DOUBLE = sys.float_info.max


class UniformFill(ElementwiseFill):
    """Uniform on [a, b); numbers: a, b."""

    name = "uniform"
    number_count = 2
    arguments = ("a", "b")
    aten_dtypes = REAL | COMPLEX

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The bounds are in order and finite in the dtype, and a value lies between them."""
        a, b = numbers
        largest = LARGEST[code]
        try:
            fits = -largest <= a <= b <= largest
        except NOT_NUMBERS:
            fits = False
        if not fits:
            a, b = checks.interval(function, a, b)
            raise too_large(function, "a" if -a > b else "b", max(-a, b), code)
        if b - a > RELATIVE_SPACING[code] * (b if b > -a else -a) + LEAST_SPACING[code]:
            return True
        if a != b and smallest_at_least(a, code) >= b:
            raise _empty(function, f"[{a}, {b})", code)
        return bool(a != b)

    def only_value(self, code: int, numbers: Numbers) -> float | None:  # noqa: ARG002
        """The bounds, where they are equal."""
        a, b = numbers
        return a if a == b else None

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """One word an element, unless there is nothing to choose from."""
        value = self.only_value(place[1], numbers)
        if value is not None:
            drawn(words)
            write_value(tensor, value)
        else:
            self.native(*place, *words, *numbers)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.uniform_` does."""
        a, b = numbers
        torch_init.uniform_(tensor, a, b, generator=generator)


class NormalFill(ElementwiseFill):
    """Normal; numbers: mean, std."""

    name = "normal"
    number_count = 2
    arguments = ("mean", "std")
    aten_dtypes = REAL | COMPLEX

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The numbers are finite, and so is, in the dtype, the furthest value a word gives."""
        mean, std = numbers
        try:
            fits = std >= 0.0 and abs(mean) + LARGEST_QUANTILE * std <= LARGEST[code]
        except NOT_NUMBERS:
            fits = False
        if fits:
            return True
        mean = checks.finite(function, "mean", mean)
        std = checks.deviation(function, "std", std)
        reach = abs(mean) + LARGEST_QUANTILE * std
        raise too_large(function, f"|mean| + {LARGEST_QUANTILE} std", reach, code)

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:  # noqa: ARG002
        """One word an element."""
        self.native(*place, *words, *numbers)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.normal_` does."""
        mean, std = numbers
        torch_init.normal_(tensor, mean, std, generator=generator)


class TruncNormalFill(ElementwiseFill):
    """Normal, given that it lies in [a, b]; numbers: mean, std, a, b."""

    name = "trunc_normal"
    number_count = 4
    arguments = ("mean", "std", "a", "b")
    aten_dtypes = REAL
    aten_needs_memory = True

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """Mean and std are finite, so are the values in the dtype, and one lies in [a, b]."""
        mean, std, a, b = numbers
        mean = checks.finite(function, "mean", mean)
        std = checks.deviation(function, "std", std)
        a, b = checks.truncation(function, a, b)
        largest = LARGEST[code]
        if abs(mean) > largest or std > largest:
            raise too_large(function, "|mean| and std", max(abs(mean), std), code)
        spread = LARGEST_QUANTILE * std
        upper, lower = max(mean, a) + spread, min(mean, b) - spread
        if (b > largest and upper > largest) or (a < -largest and lower < -largest):
            values = f"the values around {mean} that lie in [{a}, {b}]"
            raise too_large(function, values, max(upper, -lower), code)
        if a != b and smallest_at_least(a, code) > largest_at_most(b, code):
            raise _empty(function, f"[{a}, {b}]", code)
        return False

    def prepared(self, function: str, dtype: torch.dtype, numbers: Numbers) -> Numbers:
        """As for every fill, and the bounds are finite after it."""
        return _bounded(super().prepared(function, dtype, numbers))

    def core_numbers(self, numbers: Numbers) -> Numbers:
        """The bounds are finite."""
        return _bounded(numbers)

    def only_value(self, code: int, numbers: Numbers) -> float | None:
        """The mean or what is nearest to it in [a, b], where nothing is spread."""
        mean, std, a, b = numbers
        if std == 0.0 or a == b:
            return nearest_inside(min(max(mean, a), b), a, b, code)
        return None

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """One word an element, unless there is nothing to choose from."""
        value = self.only_value(place[1], numbers)
        if value is not None:
            drawn(words)
            write_value(tensor, value)
        else:
            self.native(*place, *words, *_bounded(numbers))

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.trunc_normal_` does, but for the cases where it divides by 0."""
        mean, std, a, b = numbers
        if std == 0.0 or a == b:
            torch_init.constant_(tensor, min(max(mean, a), b))
        else:
            torch_init.trunc_normal_(tensor, mean, std, a, b, generator=generator)


UNIFORM = UniformFill()
NORMAL = NormalFill()
TRUNC_NORMAL = TruncNormalFill()

ELEMENTWISE: tuple[Fill, ...] = (UNIFORM, NORMAL, TRUNC_NORMAL)
"""The fills that lists and operators take, too."""


def _bounded(numbers: Numbers) -> Numbers:
    """The numbers with a bound that no value reaches in the place of an infinite one."""
    mean, std, a, b = numbers
    if -math.inf < a and b < math.inf:
        return numbers
    beyond = _OUT_OF_REACH * std  # no double is that far from 1, as a probability
    low = a if a > -math.inf else max(min(mean, b) - beyond, -_LARGEST_DOUBLE)
    high = b if b < math.inf else min(max(mean, a) + beyond, _LARGEST_DOUBLE)
    return mean, std, low, high


def _empty(function: str, interval: str, code: int) -> Exception:
    name = FLOATING[code].name
    requirement = f"an interval with a {name} value in it"
    return unfit(function, "a and b", requirement, interval, WrongValueError)
