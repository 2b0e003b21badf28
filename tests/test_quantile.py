"""The normal quantile against SciPy and mpmath: every octave, the outermost and middle words."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.special import ndtri
from torch import float32, float64

import reference
from core import draw, draw_at, everywhere, words
from reference import blocks_with, edge_words, from_end

EDGES = edge_words()


def true_quantile(word):
    """-z(p) or z(p) in float64, by SciPy on the nearer tail: within 1e-15 relative."""
    p = (from_end(word).astype(np.float64) + 0.5) * 2.0**-32  # exact
    return reference.signed(word, -ndtri(p))


def errors_in_ulp(values, true):
    return np.abs(values.astype(np.float64) - true) / np.spacing(np.abs(true).astype(np.float32))


def test_scipy_is_exact_enough_to_judge_float32():
    with mp.workdps(30):
        for word in EDGES[::7]:
            one = np.array([word])
            p, z = (mpf(int(from_end(one)[0])) + 0.5) / 2**32, mpf(float(true_quantile(one)[0]))
            assert abs(mp.ncdf(-abs(z)) - p) / mp.npdf(z) <= 4e-15 * abs(z)


@everywhere
def test_float32_normal_is_within_2_ulp_at_the_edges(place):
    values = draw_at(EDGES, "normal", float32, 0, 1, place=place).numpy()
    assert errors_in_ulp(values, true_quantile(EDGES)).max() <= 2


def test_float32_normal_is_within_2_ulp():
    word = words(1 << 21)
    values = draw("normal", len(word), float32, 0, 1).numpy()
    assert errors_in_ulp(values, true_quantile(word)).max() <= 2


@pytest.mark.parametrize("octave", [0, 1, 2, 3, 5, 8, 12, 20, 30])
def test_float32_normal_is_within_2_ulp_in_every_octave(octave):
    # From the middle outwards and from the end inwards, which a random word seldom meets.
    random = np.random.default_rng(octave)
    distance = random.integers(1 << octave, 2 << octave, size=2000, dtype=np.uint32)
    distance = np.minimum(distance, (1 << 31) - 1)
    word = np.concatenate([distance, distance ^ 0x7FFFFFFF])
    word = np.concatenate([word, ~word])
    values = draw_at(word, "normal", float32, 0, 1).numpy()
    assert errors_in_ulp(values, true_quantile(word)).max() <= 2


def relative_error(value, word):
    """Of a float64 value against the quantile of its 64-bit word, to first order."""
    m, z = int(from_end(np.array([word], dtype=np.uint64))[0]), abs(mpf(float(value)))
    n = (1 << 63) - 1 - m
    p, c = ((mpf(k) + 0.5) / 2**64 for k in (m, n))
    if m >> 32 == 0:
        p = max(p, mpf(2) ** -33)  # where the table ends
    residual = mp.ncdf(-z) - p if z > 1 else c - mp.erf(z / mp.sqrt(2)) / 2
    return float(abs(residual / mp.npdf(z) / z))


def test_float64_normal():
    places = blocks_with(EDGES) + [(reference.Key(1, 2), index) for index in range(0, 800, 4)]
    with mp.workdps(40):
        for key, index in places:
            values = draw("normal", 4, float64, 0, 1, key=key, index=index).tolist()
            pairs = reference.word_pairs(key, index, 4).tolist()
            for value, word in zip(values, pairs, strict=True):
                assert (value < 0) == bool(word >> 63)
                assert relative_error(value, word) <= 2.0**-52


def test_ends_and_middle():
    extremes = draw_at([0x80000000, 0xFFFFFFFF, 0, 0x7FFFFFFF], "normal", float32, 0, 1).numpy()
    with mp.workdps(30):
        end = mp.sqrt(2) * mp.erfinv(1 - mpf(2) ** -32)
        middle = mp.sqrt(2 * mp.pi) * mpf(2) ** -33
    expected = [float(x) for x in (-end, -middle, middle, end)]
    assert np.allclose(extremes, expected, rtol=1e-7, atol=0)
    assert 6.33 < extremes[3] < 6.34
