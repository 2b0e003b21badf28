"""What a law expects of the statistics of a tensor, and how far chance takes them from it.

A tensor consists of parts, whose elements are independent draws of one distribution each: the boxes
of an embedding with a padding row, zeros and others of a sparse matrix. How many elements a part
has is not random. So mean and variance of the sums over the tensor follow from those of the parts:

    E[sum x] = sum n mu                   Var[sum x] = sum n s^2
    E[sum (x - c)^2] = sum n (s^2 + d^2)  Var[sum (x - c)^2] = sum n (m4 - s^4 + 4 d m3 + 4 d^2 s^2)

with n elements of mean mu, variance s^2, third and fourth central moments m3 and m4, d = mu - c and
c the mean of the whole. The fourth moment makes the error of a standard deviation that of its law:
a uniform law's is a third smaller than a normal one's. An orthogonal matrix has the sum of its
elements from chance, with the same variance as if they were independent, but no sum of squares.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._initializers.base import Law
    from .entries import Entry

# The density of a truncated normal is integrated where it is above exp(-40) of its peak.
_NEGLIGIBLE = 80.0
_NODES = 2000
_ELEMENTWISE = ("uniform", "normal", "trunc_normal", "constant", "zeros")


@dataclass(frozen=True)
class Part:
    """So many elements of one distribution."""

    count: int
    mean: float
    variance: float = 0.0
    third: float = 0.0
    """The third central moment."""
    fourth: float = 0.0
    """The fourth central moment."""
    low: float = -math.inf
    high: float = math.inf
    is_orthogonal: bool = False
    cdf: Callable[[float], float] | None = None
    """The distribution function; None of orthogonal matrices, where it depends on their size."""


@dataclass(frozen=True)
class Expectation:
    """What a law says of the statistics of a tensor."""

    count: int
    mean: float
    std: float
    mean_error: float
    """The standard error of the mean; 0 where chance has no part in it."""
    square_error: float
    """That of the mean of (x - mean)^2."""
    low: float
    """No value is below."""
    high: float
    """No value is above."""
    parts: int
    """How many distributions its elements have."""

    @property
    def is_random(self) -> bool:
        """Whether anything is drawn."""
        return self.mean_error > 0

    @property
    def constant(self) -> float | None:
        """The value of all elements, if there is one."""
        return self.mean if self.low == self.high else None


def expectation(entry: Entry) -> Expectation | None:
    """What the law of an entry expects; None where it has no law, or one that is not followed.

    That is a computed tensor, and a structured one of which boxes are overwritten.
    """
    parts = _parts_of(entry)
    return _together(parts) if parts else None


def std_of(law: Law, shape: Sequence[int]) -> float:
    """The standard deviation of the elements of a law; NaN where there are none."""
    parts = [part for part in _parts(law, shape) if part.count]
    return _together(parts).std if parts else math.nan


def planned_histogram(entry: Entry, counts: Sequence[int], low: float, high: float) -> list[float]:
    """What the law of an entry expects of a histogram of [low, high] with so many elements.

    It is empty where `expectation` has none, and for orthogonal matrices.
    """
    parts, total, bins = _parts_of(entry), sum(counts), len(counts)
    if not total or any(part.cdf is None for part in parts):
        return []
    edges = [low + (high - low) * i / bins for i in range(bins + 1)]
    size = sum(part.count for part in parts)
    shares = [0.0] * bins
    for part in parts:
        below = [part.cdf(edge) for edge in edges] if part.cdf else []
        for i, (a, b) in enumerate(pairwise(below)):
            shares[i] += (b - a) * part.count / size
    return [round(total * share, 2) for share in shares] if parts else []


def _parts_of(entry: Entry) -> list[Part]:
    """The parts of the tensor of an entry; none where they are not known."""
    parts: list[Part] = []
    for piece in entry.pieces:
        parts += _parts(piece.initializer.law(piece.sizes), piece.sizes)
    rest = math.prod(entry.shape) - sum(part.count for part in parts)
    law = entry.law
    if law is None and (rest or not parts):
        return []
    if law is not None:
        if parts and law.fill.name not in _ELEMENTWISE:
            return []
        parts += _parts(law, (rest,) if parts else entry.shape)
    return [part for part in parts if part.count]


def _together(parts: list[Part]) -> Expectation:
    count = sum(part.count for part in parts)
    mean = math.fsum(part.count * part.mean for part in parts) / count
    square = mean_error = square_error = 0.0
    for part in parts:
        d, variance = part.mean - mean, part.variance
        square += part.count * (variance + d**2)
        mean_error += part.count * variance
        if not part.is_orthogonal:
            own = part.fourth - variance**2 + 4 * d * part.third + 4 * d**2 * variance
            square_error += part.count * max(own, 0.0)
    return Expectation(
        count,
        mean,
        math.sqrt(square / count),
        math.sqrt(mean_error) / count,
        math.sqrt(square_error) / count,
        min(part.low for part in parts),
        max(part.high for part in parts),
        len(parts),
    )


def _parts(law: Law, shape: Sequence[int]) -> list[Part]:
    """The parts of a whole tensor of a law."""
    name, count = law.fill.name, math.prod(shape)
    if name == "sparse":
        sparsity, std = law.numbers
        zeros = math.ceil(sparsity * shape[0]) * shape[1]
        return [_constant(zeros, 0.0), _normal(count - zeros, 0.0, std)]
    if name in ("eye", "dirac"):
        groups = law.numbers[0] if name == "dirac" else 1
        ones = int(groups * min(shape[0] // groups, shape[1]))
        return [_constant(ones, 1.0), _constant(count - ones, 0.0)]
    if name in ("orthogonal", "delta_orthogonal"):
        return _orthogonal(law, shape)
    # Laws whose signs are flipped are symmetric about 0.
    return [_elementwise(name, law.numbers, count)]


def _elementwise(name: str, numbers: Sequence[float], count: int) -> Part:
    if name == "uniform":
        low, high = numbers
        width = high - low
        if width == 0:
            return _constant(count, low)
        mean = low + width / 2
        moments = mean, width**2 / 12, 0.0, width**4 / 80
        return Part(count, *moments, low, high, cdf=lambda x: min(max((x - low) / width, 0.0), 1.0))
    if name == "normal":
        return _normal(count, *numbers)
    if name == "trunc_normal":
        return _truncated_normal(count, *numbers)
    if name in ("constant", "zeros"):
        return _constant(count, float(numbers[0]) if numbers else 0.0)
    raise NotImplementedError(f"the moments of the law {name!r} are not known here")


def _constant(count: int, value: float) -> Part:
    return Part(count, value, low=value, high=value, cdf=lambda x: float(x >= value))


def _normal(count: int, mean: float, std: float) -> Part:
    if std == 0:
        return _constant(count, mean)
    from statistics import NormalDist  # which takes longer than the rest of the package

    return Part(count, mean, std**2, 0.0, 3 * std**4, cdf=NormalDist(mean, std).cdf)


def _truncated_normal(count: int, mean: float, std: float, a: float, b: float) -> Part:
    if std == 0 or a == b:
        return _constant(count, min(max(mean, a), b))

    def whole(x: float) -> float:
        return math.erfc((mean - x) / (std * math.sqrt(2))) / 2

    # From the nearer tail, where small probabilities have digits.
    sign = -1 if a > mean else 1
    ends = sorted(whole(mean + sign * (bound - mean)) for bound in (a, b))
    mass = ends[1] - ends[0]

    def cdf(x: float) -> float:
        inside = whole(mean + sign * (min(max(x, a), b) - mean))
        return (inside - ends[0] if sign > 0 else ends[1] - inside) / mass

    moments = _truncated(mean, std, a, b)
    return Part(count, *moments, low=a, high=b, cdf=cdf if mass > 0 else None)


def _orthogonal(law: Law, shape: Sequence[int]) -> list[Part]:
    """A matrix of r rows and c columns has the mean square gain^2 / max(r, c)."""
    fill: Any = law.fill
    is_delta = fill.name == "delta_orthogonal"
    batch_dims, chunks = (0, 1) if is_delta else (fill.batch_dims, fill.chunks)
    sizes = shape[:2] if is_delta else shape
    rows, columns = sizes[batch_dims] // chunks, math.prod(sizes[batch_dims + 1 :])
    count, gain = math.prod(sizes), abs(law.numbers[0])
    variance = gain**2 / max(rows, columns, 1)
    matrices = Part(count, 0.0, variance, low=-gain, high=gain, is_orthogonal=True)
    rest = math.prod(shape) - count
    return [matrices, *([_constant(rest, 0.0)] if rest else [])]


@functools.lru_cache(maxsize=1024)
def _truncated(mean: float, std: float, a: float, b: float) -> tuple[float, float, float, float]:
    """Mean and central moments of a truncated normal distribution, by Simpson's rule.

    In units of std and about the bound or mean where the density is highest, so that nothing
    cancels however far out in a tail the interval is.
    """
    low, high = (a - mean) / std, (b - mean) / std
    peak = min(max(0.0, low), high)
    reach = math.sqrt(peak**2 + _NEGLIGIBLE)
    begin, end = max(low, -reach) - peak, min(high, reach) - peak
    step = (end - begin) / _NODES
    points = [begin + i * step for i in range(_NODES + 1)]
    weights = [
        math.exp(-y * (y / 2 + peak)) * (1 if i in (0, _NODES) else 2 + 2 * (i % 2))
        for i, y in enumerate(points)
    ]
    mass = math.fsum(weights)
    first = math.fsum(map(math.prod, zip(weights, points, strict=True))) / mass

    def central(power: int) -> float:
        terms = (w * (y - first) ** power for w, y in zip(weights, points, strict=True))
        return std**power * math.fsum(terms) / mass

    return mean + std * (peak + first), central(2), central(3), central(4)
