"""The value of a constant in a tensor's dtype, or a ValueError where the dtype does not have it.

Infinity and NaN are values of most floating dtypes, and what a caller of `constant_` wrote; a
finite number too large for the dtype is a mistake, as is 1.5 in an integer tensor.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from .._core.checks import wrong
from .._core.dtypes import CODES, FLOATING, LARGEST


def as_float(function: str, code: int, value: Any) -> float:
    """Return `value` as a float that the dtype `code` of the core holds, up to rounding."""
    real: float = value if type(value) is float else _real(function, as_scalar(function, value))
    if abs(real) > LARGEST[code]:  # false for NaN, which every dtype has
        described = FLOATING[code]
        if abs(real) != math.inf or not described.has_infinity:
            raise _not_representable(function, described.dtype, real)
    return float(real)


def as_element(function: str, dtype: torch.dtype, value: Any) -> float | int | complex:
    """Return `value` as a float, int or complex number, whichever the dtype holds."""
    code = CODES.get(dtype)
    if code is not None:
        return as_float(function, code, value)
    scalar = as_scalar(function, value)
    if dtype.is_complex:
        return complex(scalar)
    real = _real(function, scalar)
    if dtype.is_floating_point:
        if torch.finfo(dtype).max < abs(real) != math.inf:
            raise _not_representable(function, dtype, value)
        return float(real)
    return _as_integer(function, dtype, real)


def as_scalar(function: str, value: Any) -> Any:
    """Return a number of Python's: from a NumPy scalar or a tensor without dimensions, too."""
    scalar = value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        scalar = value.item()
    if not isinstance(scalar, (int, float, complex)):
        raise wrong(function, "val", "a number", value, TypeError)
    return scalar


def _as_integer(function: str, dtype: torch.dtype, real: float) -> int:
    low, high = 0, 1
    if dtype != torch.bool:
        limits = torch.iinfo(dtype)
        low, high = limits.min, limits.max
    if not low <= real <= high or real != int(real):  # NaN and infinity are not in between
        raise _not_representable(function, dtype, real)
    return int(real)


def _real(function: str, scalar: Any) -> float:
    """Return a float or an int, as it is."""
    if isinstance(scalar, complex):
        raise wrong(function, "val", "real for a real tensor", scalar, TypeError)
    real: float = scalar
    return real


def _not_representable(function: str, dtype: torch.dtype, value: object) -> Exception:
    return wrong(function, "val", f"representable in {dtype}", value)
