"""The normal quantile against SciPy and mpmath: every octave, the outermost and middle words."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.special import ndtri
from torch import float32, float64

import reference
from core import draw, draw_at, everywhere, words
from reference import blocks_with, edge_words

FIRST = np.uint32(1 << 31)  # u = 0, which has no quantile
EDGES = edge_words()
EDGES = EDGES[EDGES != FIRST]


def tail(word):
    """The probability of the nearer tail, exactly."""
    v = word.view(np.int32).astype(np.float64)
    return (2.0**31 - np.abs(v)) / 2.0**32


def true_quantile(word):
    """-z(p) or z(p) in float64, by SciPy on the nearer tail: within 1e-15 relative."""
    return -np.sign(word.view(np.int32)) * ndtri(tail(word))


def errors_in_ulp(values, true):
    return np.abs(values.astype(np.float64) - true) / np.spacing(np.abs(true).astype(np.float32))


def test_scipy_is_exact_enough_to_judge_float32():
    with mp.workdps(30):
        for word in EDGES[::7]:
            one = np.array([word])
            p, z = mpf(float(tail(one)[0])), mpf(float(true_quantile(one)[0]))
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
    word = np.concatenate([distance, (1 << 31) - distance])
    word = np.concatenate([word, 0 - word])
    values = draw_at(word, "normal", float32, 0, 1).numpy()
    assert errors_in_ulp(values, true_quantile(word)).max() <= 2


def relative_error(value, x, t):
    """Of a float64 value against the quantile at its distances, to first order."""
    z, p, c = abs(mpf(value)), abs(mpf(t)) / 2**32, abs(mpf(x)) / 2**32
    residual = mp.ncdf(-z) - p if z > 1 else c - mp.erf(z / mp.sqrt(2)) / 2
    return float(abs(residual / mp.npdf(z) / z))


def test_float64_normal():
    places = blocks_with(EDGES) + [(reference.Key(1, 2), index) for index in range(0, 800, 4)]
    with mp.workdps(40):
        for key, index in places:
            values = draw("normal", 4, float64, 0, 1, key=key, index=index).tolist()
            pairs = reference.word_pairs(key, index, 4)
            for value, word, x, t in zip(values, pairs, *reference.distances(pairs), strict=True):
                assert (value < 0) == bool(word >> np.uint64(63))
                assert relative_error(value, x, t) <= 2.0**-52


def test_ends_and_middle():
    chosen = [0x80000001, 0xFFFFFFFF, 0, 1, 0x7FFFFFFF]
    found = draw_at(chosen, "normal", float32, 0, 1).numpy()
    with mp.workdps(30):
        end = mp.sqrt(2) * mp.erfinv(1 - mpf(2) ** -31)
        middle = mp.sqrt(2 * mp.pi) * mpf(2) ** -32
    expected = [float(x) for x in (-end, -middle, 0, middle, end)]
    assert np.allclose(found, expected, rtol=1.3e-7, atol=0)
    assert 6.23 < found[-1] < 6.24


def test_the_word_without_a_quantile():
    # u = 0 is taken for 2^-31, in both precisions.
    first = draw_at([FIRST], "normal", float32, 0, 1)
    second = draw_at([FIRST + 2], "normal", float32, 0, 1)
    assert abs(float(first - second)) < 1e-6
    assert abs(float(first) - float(draw_at([FIRST], "normal", float64, 0, 1))) < 1e-6
