"""Fits the tables of the normal quantile and writes them to quantile_table.h.

The normal map needs z(p) = -Phi^-1(p) for the probability p of the nearer tail, in [2^-32, 1/2].
Written as z(p) = (1/2 - p) Q(p), the factor Q is smooth and positive up to p = 1/2, where it is
sqrt(2 pi), so that a polynomial of small relative error gives a z of small relative error
everywhere, its zero included.

Q is fitted in pieces. With f = 2^32 p, every octave [2^e, 2^(e+1)) of f, e = 0 ... 30, is cut into
four equal segments by the top two bits of the mantissa of f. What is left of the mantissa, m in
[1, 5/4), less the segment's center, is the variable u, which is exact in floating point. 1/2 - p is
counted in words as well, so that the coefficients are those of Q / 2^32.

    python csrc/values/fit_quantile_table.py           # write the header
    python csrc/values/fit_quantile_table.py --check    # exit 1 if the header differs
    python csrc/values/fit_quantile_table.py --report   # print the error of every octave

All arithmetic is mpmath's at 50 digits, so the header is the same on every machine.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

from mpmath import mp, mpf

if TYPE_CHECKING:
    from collections.abc import Sequence

OCTAVES = 32
SEGMENTS = 4 * OCTAVES
DIGITS = 50
GRID = 128  # the fits see Q at GRID + 1 Chebyshev points of a segment, both ends included
MIDDLE = 1.125


@dataclass(frozen=True)
class Table:
    """A table to fit: its name in the header, element type, bits of a significand, degree."""

    name: str
    type: str
    suffix: str
    precision: int
    degree: int
    inner: float  # the fit disregards |u| < inner, where the error of a_0 decides
    shift: int  # how far the center may be from the middle, in steps of 2^-23


# Degree 4 reaches 8.6e-8, most of it near p = 1/4, where Q bends most. Rounding a_0 to float32
# would cost 6e-8 more: so each segment has a center of its own, near the middle, where Q is a
# float32 number to within a hundredth of a step.
FLOAT = Table("kQuantileFloat", "float", "f", 24, 4, 1 / 16, 1 << 13)
# Degree 11 reaches 5.7e-17, half of what rounding the coefficient of u^0 to float64 may cost.
DOUBLE = Table("kQuantileDouble", "double", "", 53, 11, 1 / 32, 0)


def quantile(p: mpf) -> mpf:
    """Returns z(p) = -Phi^-1(p), by two Halley steps (1e-16, 1e-48, rounding) from a float."""
    z = -mpf(NormalDist().inv_cdf(float(p)))
    for _ in range(2):
        step = (mp.erfc(z / mp.sqrt(2)) / 2 - p) / mp.npdf(z)
        z += step / (1 - z * step / 2)
    return z


def factor(p: mpf) -> mpf:
    """Returns Q(p) = z(p) / (1/2 - p)."""
    return mp.sqrt(2 * mp.pi) if p == 0.5 else quantile(p) / (mpf(0.5) - p)


def octave(segment: int) -> int:
    """Returns the e of a segment's octave [2^e, 2^(e+1)) of f.

    The segments lie in the table as the exponent bits of f count modulo 32, which begins with 1.
    """
    return (segment // 4 + 1) % OCTAVES


def probability(segment: int, m: mpf) -> mpf:
    """Returns the p at which the mantissa of a segment is m."""
    return mp.ldexp(m + mpf(segment % 4) / 4, octave(segment) - 32)


@cache
def grid() -> tuple[mpf, ...]:
    """Returns the Chebyshev points of [1, 5/4]."""
    with mp.workdps(DIGITS):
        return tuple(MIDDLE - mp.cos(mp.pi * i / GRID) / 8 for i in range(GRID + 1))


@cache
def factors(segment: int) -> tuple[mpf, ...]:
    """Returns Q on the grid of a segment."""
    with mp.workdps(DIGITS):
        return tuple(factor(probability(segment, m)) for m in grid())


def horner(coefficients: Sequence[mpf], u: mpf) -> mpf:
    """Returns the polynomial of these coefficients, u^0 first, at u."""
    value = mpf(0)
    for coefficient in reversed(coefficients):
        value = value * u + coefficient
    return value


def alternation(errors: Sequence[mpf], count: int, level: mpf) -> list[int]:
    """Returns `count` positions where the error alternates in sign and is `level` or larger."""
    peaks: list[int] = []
    for i, error in enumerate(errors):
        if abs(error) < level:
            continue
        if peaks and (error > 0) == (errors[peaks[-1]] > 0):
            if abs(error) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    while len(peaks) > count:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    return peaks


def minimax(
    points: Sequence[mpf], values: Sequence[mpf], weights: Sequence[mpf], degree: int
) -> list[mpf]:
    """Returns the coefficients of the polynomial of least max |weight (polynomial - value)|.

    Remez exchange on the points: solve for an error of equal size and alternating sign at the
    reference points, move these to the peaks of the error found, stop when the peaks are level
    within 1%.
    """
    count = degree + 2
    reference = [round(i * (len(points) - 1) / (count - 1)) for i in range(count)]
    for _ in range(20):
        rows = [
            [points[i] ** j for j in range(degree + 1)] + [(-1) ** k / weights[i]]
            for k, i in enumerate(reference)
        ]
        right = mp.matrix([values[i] for i in reference])
        *coefficients, level = mp.lu_solve(mp.matrix(rows), right)
        samples = zip(points, values, weights, strict=True)
        errors = [(value - horner(coefficients, u)) * weight for u, value, weight in samples]
        if max(map(abs, errors)) <= abs(level) * mpf(1.01):
            return list(coefficients)
        reference = alternation(errors, count, abs(level) * mpf(0.999))
    raise RuntimeError(f"the exchange for degree {degree} does not converge")


def rounded(value: mpf, precision: int) -> mpf:
    with mp.workprec(precision):
        return +value


def residual(value: mpf, precision: int) -> mpf:
    """Returns how far a value is from its rounding, in steps of the last place."""
    _, exponent = mp.frexp(value)
    return (value - rounded(value, precision)) * mp.ldexp(1, precision - int(exponent))


def center(segment: int, table: Table) -> mpf:
    """Returns the mantissa nearest to the middle where Q hardly needs rounding.

    Where Q is looked at is foretold by its slope, and then checked.
    """
    middle = mpf(MIDDLE)
    if not table.shift:
        return middle
    step = mp.ldexp(1, -23)
    q = factor(probability(segment, middle))
    slope = factor(probability(segment, middle + step)) - q
    for distance in range(table.shift):
        for k in (distance, -distance):
            if abs(residual(q + k * slope, table.precision)) < 0.005:
                m = middle + k * step
                if abs(residual(factor(probability(segment, m)), table.precision)) < 0.01:
                    return m
    raise RuntimeError(f"segment {segment} has no center")


def fit(segment: int, table: Table) -> list[mpf]:
    """Returns the center of a segment and its rounded coefficients, u^0 first.

    The error at u = 0 is that of the coefficient of u^0, whatever the others are. So that one is
    Q(center) rounded, and the others give the least largest error of z, counted in its own units
    in the last place, over |u| >= inner: the error then falls from the center of the segment to
    its ends. They are rounded from the highest down, and those below are fitted again.

    Of the last octave only f = 2^31 is ever asked for, p = 1/2.
    """
    with mp.workdps(DIGITS):
        unit = mp.ldexp(1, -32)
        if octave(segment) == OCTAVES - 1:
            half = rounded(factor(mpf(0.5)), table.precision)
            return [mpf(MIDDLE), half * unit] + [mpf(0)] * table.degree
        zero = center(segment, table)
        first = rounded(factor(probability(segment, zero)), table.precision)
        samples = zip(grid(), factors(segment), strict=True)
        outer = [(m, q) for m, q in samples if abs(m - zero) >= table.inner]
        points = [m - zero for m, _ in outer]
        weights = []
        for m, q in outer:
            significand, _ = mp.frexp((mpf(0.5) - probability(segment, m)) * q)
            weights.append(abs(m - zero) * (significand or 1) / q)
        higher: list[mpf] = []
        for j in range(table.degree, 0, -1):
            values = [
                (q - first) / u - u**j * horner(higher, u)
                for u, (_, q) in zip(points, outer, strict=True)
            ]
            top = minimax(points, values, weights, j - 1)[-1]
            higher.insert(0, rounded(top, table.precision))
        return [zero, first * unit, *(a * unit for a in higher)]


def relative_error(segment: int, entries: Sequence[mpf]) -> float:
    """Returns the largest relative error on the grid, in exact arithmetic."""
    with mp.workdps(DIGITS):
        if octave(segment) == OCTAVES - 1:
            return float(abs(mp.ldexp(entries[1], 32) / factor(mpf(0.5)) - 1))
        zero, *coefficients = entries
        pairs = zip(grid(), factors(segment), strict=True)
        return float(
            max(abs(mp.ldexp(horner(coefficients, m - zero), 32) / q - 1) for m, q in pairs)
        )


def literal(value: mpf, suffix: str) -> str:
    """Returns the exact hexadecimal literal of a number that a float holds."""
    digits, exponent = float(value).hex().split("p")
    return f"{digits.rstrip('0')}p{exponent}{suffix}".replace(".p", ".0p")


def definition(table: Table, fits: Sequence[Sequence[mpf]]) -> str:
    """Returns the C++ definition of a table: centers, then a row a power of u; a line an octave."""
    degree = f"k{table.type.capitalize()}Degree"
    lines = [f"inline constexpr {table.type} {table.name}[{degree} + 2][kSegments] = {{"]
    for row in range(table.degree + 2):
        lines.append(f"  {{  // u^{row - 1}" if row else "  {  // centers")
        for start in range(0, SEGMENTS, 4):
            entries = (literal(fits[start + sub][row], table.suffix) for sub in range(4))
            lines.append("    " + ", ".join(entries) + ",")
        lines.append("  },")
    return "\n".join([*lines, "};"])


def header() -> str:
    fits = {t: [fit(s, t) for s in range(SEGMENTS)] for t in (FLOAT, DOUBLE)}
    errors = {t: max(relative_error(s, c) for s, c in enumerate(fits[t])) for t in fits}
    return f"""\
// The piecewise polynomials of the normal quantile, written by csrc/values/fit_quantile_table.py.
//
// For p in [2^-32, 1/2], the probability of the nearer tail,
//     z(p) = -Phi^-1(p) = (1/2 - p) Q(p),
// and Q is a polynomial in u on each of 128 segments. With f = 2^32 p in [1, 2^31]:
//     e = floor(log2 f) in 0 ... 31, sub = the top two bits of f's mantissa,
//     m = that mantissa - sub / 4, in [1, 5/4), u = m - center, exact,
//     segment = 4 ((e - 1) mod 32) + sub.
// Row 0 of a table holds the centers, row 1 + j the coefficients a_j of u^j, divided by 2^32: they
// are for 2^32 (1/2 - p). A line holds the four segments of an octave, 1 ... 31 and then 0.
//
// Largest relative error of Q, in exact arithmetic with the coefficients below:
//     kQuantileFloat {errors[FLOAT]:.1e}, kQuantileDouble {errors[DOUBLE]:.1e}.

#pragma once

namespace winit_cuda {{

inline constexpr int kOctaves = {OCTAVES};
inline constexpr int kSegments = {SEGMENTS};
inline constexpr int kFloatDegree = {FLOAT.degree};
inline constexpr int kDoubleDegree = {DOUBLE.degree};

// clang-format off
{definition(FLOAT, fits[FLOAT])}

{definition(DOUBLE, fits[DOUBLE])}
// clang-format on

}}  // namespace winit_cuda
"""


def report() -> None:
    """Prints the relative error of the fits, before and after rounding, octave by octave."""
    for table in (FLOAT, replace(FLOAT, degree=FLOAT.degree + 1), DOUBLE):
        print(f"{table.type}, degree {table.degree}")
        for start in range(0, SEGMENTS, 4):
            segments = range(start, start + 4)
            exact = replace(table, precision=4 * DIGITS, shift=0)
            before = max(relative_error(s, fit(s, exact)) for s in segments)
            after = max(relative_error(s, fit(s, table)) for s in segments)
            print(f"    f >= 2^{octave(start):<3} before {before:.2e}  after {after:.2e}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit the tables of the normal quantile.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare with the header, write nothing")
    mode.add_argument("--report", action="store_true", help="print errors, write nothing")
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return 0
    path = Path(__file__).with_name("quantile_table.h")
    text = header()
    if arguments.check:
        same = path.read_bytes() == text.encode()
        print(f"{path} {'is' if same else 'is NOT'} what {Path(__file__).name} writes")
        return 0 if same else 1
    path.write_bytes(text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
