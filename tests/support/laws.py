"""The exact laws of the fills, and what rounding to a short dtype makes of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from mpmath import mp, mpf
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Law(NamedTuple):
    """A distribution by the core's name and numbers."""

    name: str
    numbers: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{x:g}' for x in self.numbers)})"

    @property
    def exact(self) -> Any:
        if self.name == "uniform":
            low, high = self.numbers
            return stats.uniform(low, high - low)
        if self.name == "normal":
            return stats.norm(*self.numbers)
        mean, std, a, b = self.numbers
        return stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval of the law; of the normal law what a 32-bit word can reach."""
        if self.name == "normal":
            mean, std = self.numbers
            return mean - 6.4 * std, mean + 6.4 * std
        return self.numbers[-2:]

    def interval(self, dtype: torch.dtype) -> tuple[float, float]:
        """The smallest and the largest value of a dtype that lie in the interval.

        The uniform law's is open at its end.
        """
        a, b = self.bounds
        if self.name == "uniform":
            b = np.nextafter(b, -np.inf)
        if dtype.itemsize < 4:
            values = finite_values(dtype)
            inside = values[(values >= a) & (values <= b)]
            return float(inside[0]), float(inside[-1])
        real = np.float32 if dtype == torch.float32 else np.float64
        low, high = real(a), real(b)
        low = np.nextafter(low, real(np.inf)) if float(low) < a else low
        high = np.nextafter(high, real(-np.inf)) if float(high) > b else high
        return float(low), float(high)


@cache
def finite_values(dtype: torch.dtype) -> NDArray[np.float64]:
    """Every finite value of a dtype of 8 or 16 bits, ascending, zero once."""
    patterns = torch.arange(1 << 8 * dtype.itemsize)
    words = patterns.to(torch.uint8 if dtype.itemsize == 1 else torch.int16)
    values = words.view(dtype).double()
    return np.unique(values[values.isfinite()].numpy() + 0.0)  # -0 becomes 0


def rounded_law(law: Law, dtype: torch.dtype) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values of a short dtype inside the law's interval, and their probabilities.

    A value has what rounds to it; the first and the last also have what lies beyond them. A normal
    law's interval is what a fill can reach.
    """
    low, high = law.interval(dtype)
    values = finite_values(dtype)
    values = values[(values >= low) & (values <= high)]
    borders = (values[1:] + values[:-1]) / 2
    below, above = law.exact.cdf(borders), law.exact.sf(borders)
    lower = np.diff(below, prepend=0.0, append=1.0)
    upper = -np.diff(above, prepend=1.0, append=0.0)
    return values, np.where(np.append(below, 1.0) < 0.5, lower, upper)


def moments(law: Law, dtype: torch.dtype, highest: int) -> NDArray[np.float64]:
    """E[y^k], k = 0 ... highest, of y = (x - mean) / std in the exact law, for the dtype's values.

    Every dtype is taken about the exact law's own mean and std.
    """
    mean, std = law.exact.mean(), law.exact.std()
    if dtype.itemsize < 4:
        values, probabilities = rounded_law(law, dtype)
    else:  # Gauss-Legendre on 64 parts of the interval, or of its 10 std about the mean
        low, high = (np.clip(x, mean - 10 * std, mean + 10 * std) for x in law.bounds)
        nodes, weights = np.polynomial.legendre.leggauss(20)
        edges = np.linspace(low, high, 65)
        half = np.diff(edges)[:, None] / 2
        values = (edges[:-1, None] + half + half * nodes).ravel()
        probabilities = (half * weights).ravel() * law.exact.pdf(values)
        probabilities /= probabilities.sum()
    powers = ((values - mean) / std)[:, None] ** np.arange(highest + 1)
    return probabilities @ powers


def truncated_error(law: Law, value: float, share: mpf) -> float:
    """How far a truncated value is from its quantile, to first order, by mpmath.

    `share` is the conditional probability of the nearer tail: of the lower one where it is
    positive, of the upper one, with a minus sign, where it is negative.
    """
    mean, std, a, b = map(mpf, law.numbers)
    alpha, beta, x = (a - mean) / std, (b - mean) / std, (mpf(value) - mean) / std
    target = abs(share) * mass(alpha, beta)
    residual = mass(alpha, x) - target if share > 0 else target - mass(x, beta)
    return float(abs(residual) / mp.npdf(x) * std)


def mass(low: mpf, high: mpf) -> mpf:
    """The standard normal probability of [low, high], without cancellation in the tails."""
    if low > 0:
        return mp.ncdf(-low) - mp.ncdf(-high)
    return mp.ncdf(high) - mp.ncdf(low)
