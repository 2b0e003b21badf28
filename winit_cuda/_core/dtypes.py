"""The dtypes the native core fills, and exact rounding of a bound into one of them.

The numbers come from `torch.finfo`; arithmetic on Python floats is exact here, because every step
is a scaling by a power of two or a rounding to an integer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch


class FloatingDType(NamedTuple):
    """A floating dtype of the native core."""

    dtype: torch.dtype
    name: str
    largest: float
    """The largest finite value."""
    digits: int
    """Significant bits, the hidden one included."""
    least_exponent: int
    """Of the smallest subnormal, 2**least_exponent."""
    has_infinity: bool


# In the order of the core's codes: csrc/values/dtype.h and `_C.DTYPES`.
_NAMES = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def _describe(name: str) -> FloatingDType:
    dtype: torch.dtype = getattr(torch, name)
    limits = torch.finfo(dtype)
    digits = 1 - round(math.log2(limits.eps))
    least_exponent = round(math.log2(limits.smallest_normal)) - (digits - 1)
    return FloatingDType(
        dtype, name, limits.max, digits, least_exponent, has_infinity=name != "float8_e4m3fn"
    )


FLOATING = tuple(_describe(name) for name in _NAMES)
CODES = {described.dtype: code for code, described in enumerate(FLOATING)}

# A complex tensor is filled, by ATen, with numbers of its component's dtype.
COMPONENTS = {
    torch.complex32: torch.float16,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}

# [a, b] surely holds a value of dtype `code` where b - a exceeds
# RELATIVE_SPACING[code] * max(|a|, |b|) + LEAST_SPACING[code].
RELATIVE_SPACING = tuple(math.ldexp(1.0, 1 - described.digits) for described in FLOATING)
LEAST_SPACING = tuple(math.ldexp(1.0, described.least_exponent) for described in FLOATING)
LARGEST = tuple(described.largest for described in FLOATING)


def smallest_at_least(bound: float, code: int) -> float:
    """The smallest finite value of the dtype that is not below `bound`, or inf if there is none."""
    described = FLOATING[code]
    if bound > described.largest:
        return math.inf
    if bound < -described.largest:
        return -described.largest
    exponent = max(math.frexp(bound)[1] - described.digits, described.least_exponent)
    return math.ldexp(math.ceil(math.ldexp(bound, -exponent)), exponent)


def largest_at_most(bound: float, code: int) -> float:
    """The largest finite value of the dtype that is not above `bound`, or -inf."""
    return 0.0 - smallest_at_least(-bound, code)


def nearest_inside(value: float, a: float, b: float, code: int) -> float:
    """The value of the dtype nearest to `value` in [a, b], or nearest at all where a == b."""
    low, high = smallest_at_least(a, code), largest_at_most(b, code)
    below, above = largest_at_most(value, code), smallest_at_least(value, code)
    if a < b:
        below, above = min(max(below, low), high), min(max(above, low), high)
    return below if value - below <= above - value else above
