"""What is odd in a parameter: facts of its values, and how far they are from its law.

A parameter has up to three tests against its law: of its mean, its standard deviation and its
histogram. Each gives a z-score, and the limit is such that a report on a model that is as planned
has a false alarm with probability `FALSE_ALARM`, however many parameters it has: the probability is
divided by the number of tests (Bonferroni).

The mean square of few elements is skewed. Its z-score is that of a gamma distribution with its
mean and variance (Wilson and Hilferty's cube root), which for a normal law is exactly what it has;
that of a histogram is of a chi-square distribution, which is one of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._model.expectation import Expectation
    from .tensor_statistics import Statistics

FALSE_ALARM = 1e-3
# With fewer elements the z-scores are not normal in the tails.
_FEWEST = 16
# The same of a histogram.
_FEWEST_IN_A_BIN = 25
# A bin has the width of so many spacings of the dtype, or there is no test of the histogram.
_WIDE = 64


@dataclass(frozen=True)
class Finding:
    """Something odd."""

    kind: str
    """In a word or two: not finite, all zero, std."""
    text: str
    """What it is, with the numbers."""
    severity: Literal["odd", "wrong"] = "wrong"
    """wrong: not what was planned, or no values at all; odd: what may be meant."""


@dataclass(frozen=True)
class Scores:
    """The z-scores of a parameter, None where there is no test."""

    mean: float | None = None
    std: float | None = None
    histogram: float | None = None
    """Of the shape of the distribution; only large ones, not small ones, are far from the law."""

    @property
    def count(self) -> int:
        """How many tests there are."""
        return sum(score is not None for score in (self.mean, self.std, self.histogram))

    @property
    def worst(self) -> float:
        """The largest distance from the law, in standard errors."""
        scores = (abs(score) for score in (self.mean, self.std) if score is not None)
        return max(self.histogram or 0.0, *scores, 0.0)


def limit_of(tests: int) -> float:
    """Beyond which z-score one of so many tests is an alarm."""
    from statistics import NormalDist  # which takes longer than the rest of the package

    return -NormalDist().inv_cdf(FALSE_ALARM / (2 * max(tests, 1)))


def scores_of(
    found: Statistics, expected: Expectation, planned: Sequence[float], dtype: torch.dtype
) -> Scores:
    """How far mean, standard deviation and histogram are from the law, in standard errors.

    What rounding to the dtype may do to the first two is taken off before.

    Args:
        found: Of the tensor.
        expected: What its law says of it.
        planned: What its law says of its histogram; empty where that is not known.
        dtype: That of the tensor.
    """
    if not found.is_finite or found.count < _FEWEST or not expected.is_random:
        return Scores()
    in_mean, in_square = _rounding(expected, dtype)
    mean = _beyond(found.mean - expected.mean, in_mean) / expected.mean_error
    if expected.square_error == 0:
        return Scores(mean)
    square = expected.std**2
    ratio = 1 + _beyond(found.mean_square(expected.mean) - square, in_square) / square
    # A gamma distribution of shape k has mean k and variance k, in units of its scale.
    spread = (expected.square_error / square) ** 2 / 9  # 1 / (9 k)
    std = (max(ratio, 0.0) ** (1 / 3) - 1 + spread) / math.sqrt(spread)
    return Scores(mean, std, _histogram_score(found, expected, planned, dtype))


def _histogram_score(
    found: Statistics, expected: Expectation, planned: Sequence[float], dtype: torch.dtype
) -> float | None:
    """The z-score of Pearson's chi-square test, sum (observed - planned)^2 / planned over bins.

    There is one for independent draws of one law, in bins that are wide against the spacing of
    the dtype, so that rounding moves few elements over their edges.
    """
    width = (found.high - found.low) / len(found.histogram)
    spacing = _spacing(max(abs(found.low), abs(found.high)), dtype)
    if expected.parts != 1 or width < _WIDE * spacing:
        return None
    bins = _joined(found.histogram, planned)
    if len(bins) < 3:
        return None
    # The range is that of the elements, so that what the law has beyond it is in none of them.
    scale = sum(count for count, _ in bins) / math.fsum(own for _, own in bins)
    square = math.fsum((count - scale * own) ** 2 / (scale * own) for count, own in bins)
    degrees = len(bins) - 1
    spread = 2 / (9 * degrees)
    score: float = ((square / degrees) ** (1 / 3) - 1 + spread) / math.sqrt(spread)
    return score


def _joined(counts: Sequence[int], planned: Sequence[float]) -> list[tuple[int, float]]:
    """Observed and planned elements of bins, joined until each has enough; none without a plan."""
    bins: list[tuple[int, float]] = []
    count, expected = 0, 0.0
    for own, law in zip(counts, planned, strict=bool(planned)):
        count, expected = count + own, expected + law
        if expected >= _FEWEST_IN_A_BIN:
            bins.append((count, expected))
            count, expected = 0, 0.0
    if bins:
        bins[-1] = (bins[-1][0] + count, bins[-1][1] + expected)
    return bins


def facts(found: Statistics) -> list[Finding]:
    """What is odd whatever was planned."""
    if not found.is_finite:
        counts = ((found.nan, "NaN"), (found.infinite, "infinite"))
        text = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        return [Finding("not finite", f"{text} of {found.count:,} elements")]
    return []


def without_law(found: Statistics, shape: tuple[int, ...]) -> list[Finding]:
    """What is odd where no law is known: a matrix of one value."""
    if len(shape) < 2 or found.count < 2 or not found.is_constant:
        return []
    if found.low == 0:
        return [Finding("all zero", "all elements are 0", "odd")]
    return [Finding("constant", f"all elements are {found.low:.4g}", "odd")]


def against_law(
    found: Statistics, expected: Expectation, scores: Scores, limit: float, dtype: torch.dtype
) -> list[Finding]:
    """What is not as planned."""
    if not found.is_finite or not found.count:
        return []
    if expected.constant is not None:
        return _against_constant(found, expected.constant, dtype)
    if found.is_constant and found.count > 1:
        kind = "constant" if found.low else "all zero"
        text = f"all elements are {found.low:.4g}, planned is a std of {expected.std:.4g}"
        return [Finding(kind, text)]
    findings = []
    if scores.mean is not None and abs(scores.mean) > limit:
        text = f"mean {found.mean:.4g}, planned {expected.mean:.4g}: z = {scores.mean:+.3g}"
        findings.append(Finding("mean", text))
    if scores.std is not None and abs(scores.std) > limit:
        text = f"std {found.std:.4g}, planned {expected.std:.4g}: z = {scores.std:+.3g}"
        findings.append(Finding("std", text))
    elif expected.square_error == 0:
        findings += _against_square(found, expected, dtype)
    low, high = expected.low, expected.high
    if found.low < low - _room(low, dtype) or found.high > high + _room(high, dtype):
        text = (
            f"values from {found.low:.4g} to {found.high:.4g}, planned are [{low:.4g}, {high:.4g}]"
        )
        findings.append(Finding("bounds", text))
    if not findings and scores.histogram is not None and scores.histogram > limit:
        text = f"mean and std are right, the histogram is not: z = {scores.histogram:+.3g}"
        findings.append(Finding("distribution", text))
    return findings


def _against_constant(found: Statistics, value: float, dtype: torch.dtype) -> list[Finding]:
    number = torch.tensor(value, dtype=torch.float64, device="cpu")
    rounded = number.to(dtype).to(torch.float64).item()
    if found.low == found.high == rounded:
        return []
    if found.is_constant:
        kind = "constant" if found.low else "all zero"
        return [Finding(kind, f"all elements are {found.low:.4g}, planned {value:.4g}")]
    text = f"values from {found.low:.4g} to {found.high:.4g}, planned is {value:.4g} for all"
    return [Finding("not constant", text)]


def _against_square(found: Statistics, expected: Expectation, dtype: torch.dtype) -> list[Finding]:
    """Where chance has no part in the standard deviation: orthogonal and fixed matrices."""
    square = expected.std**2
    difference = abs(found.mean_square(expected.mean) - square)
    # Rounding moves each element by at most half a spacing, and so the root of the mean square.
    room = _spacing(max(abs(found.low), abs(found.high)), dtype) * expected.std
    if difference <= max(2 * room, 1e-5 * square):  # orthogonal_ agrees to 1e-6
        return []
    return [Finding("std", f"std {found.std:.4g}, planned {expected.std:.4g}")]


def _rounding(expected: Expectation, dtype: torch.dtype) -> tuple[float, float]:
    """What rounding to nearest may add to the mean and to the mean square, generously.

    Errors within a spacing h are even-handed, but at a bound, next to which one element in
    (width / h) is; so the mean moves by about h^2 / std, and the mean square by h^2 / 12.
    """
    root = math.hypot(expected.std, expected.mean)
    spacing = _spacing(root, dtype)
    return min(spacing, spacing**2 / expected.std) / 4, spacing**2 / 4


def _room(bound: float, dtype: torch.dtype) -> float:
    """How far beyond a bound rounding may lead."""
    return 2 * _spacing(abs(bound), dtype) if math.isfinite(bound) else 0.0


def _spacing(value: float, dtype: torch.dtype) -> float:
    """The distance between the numbers of a dtype there, at most."""
    if not dtype.is_floating_point:
        return 1.0
    limits = torch.finfo(dtype)
    return max(value * limits.eps, limits.smallest_normal * limits.eps)


def _beyond(difference: float, room: float) -> float:
    """The difference without what there is room for."""
    return math.copysign(max(abs(difference) - room, 0.0), difference)
