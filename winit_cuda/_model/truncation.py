"""The truncated normal as libraries write it by hand: erfinv of a uniform draw, scaled and clamped.

If u is uniform on (2 P(a) - 1, 2 P(b) - 1), with P the distribution function of N(0, 1), then
sqrt(2) erfinv(u) is N(0, 1) truncated to (a, b). A clamp afterwards takes off what rounding adds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING

from .._initializers.elementwise import TruncNormal, Uniform
from .draws import NoLawError

if TYPE_CHECKING:
    from .._initializers.base import Initializer

_STANDARD = NormalDist()
# A bound and a clamp that are so near, in standard deviations, are the same number: libraries
# compute the one from the other by way of the distribution function.
_SAME = 1e-6
# What a clamp cuts off may be so rare that no word of 32 bits is among it.
_RAREST = 2.0**-33


def through_erfinv(initializer: Initializer | None) -> TruncNormal:
    """The law of erfinv(x).

    Raises:
        NoLawError: x is not uniform on a part of (-1, 1).
    """
    if not isinstance(initializer, Uniform) or not -1 <= initializer.a < initializer.b <= 1:
        raise NoLawError("by erfinv")
    a, b = (_quantile((1 + bound) / 2) * math.sqrt(0.5) for bound in (initializer.a, initializer.b))
    return TruncNormal(0.0, math.sqrt(0.5), a, b)


def clamped(initializer: Initializer | None, low: float, high: float) -> TruncNormal:
    """The law of clamp(x, low, high).

    Raises:
        NoLawError: x is no truncated normal, or the clamp changes more than its bounds.
    """
    if not isinstance(initializer, TruncNormal) or initializer.std == 0:
        raise NoLawError("by clamp")
    mean, std = initializer.mean, float(f"{initializer.std:.15g}")  # 0.02, after two roundings
    _, numbers, _ = initializer.law(())
    bounds = []
    for bound, limit, sign in ((numbers[2], low, 1), (numbers[3], high, -1)):
        inside = sign * (limit - bound)
        is_same = abs(inside) <= _SAME * std
        if inside > 0 and not is_same and _STANDARD.cdf(sign * (limit - mean) / std) > _RAREST:
            raise NoLawError("by clamp")
        bounds.append(limit if is_same or inside > 0 else bound)
    return replace(initializer, mean=mean, std=std, a=bounds[0], b=bounds[1], bounds="absolute")


def _quantile(p: float) -> float:
    return _STANDARD.inv_cdf(p) if 0 < p < 1 else math.copysign(math.inf, p - 0.5)
