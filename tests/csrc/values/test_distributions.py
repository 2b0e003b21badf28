"""Truncated normals against mpmath: near, far out, narrow, wide, on either side of the mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mpmath import mp, mpf
from torch import float32, float64

import reference
from core import draw, draw_at, same_bits
from laws import Law, truncated_error
from reference import blocks_with, edge_words

WORDS = edge_words()[::4]
FIRST = 0x80000000

AROUND_THE_MEAN = [
    (0.0, 1.0, -2.0, 2.0),
    (0.0, 0.02, -0.04, 0.04),
    (0.0, 1.0, -2.5, 3.0),
    (0.0, 1.0, -4.0, 0.01),
    (3.7, 2.5, 1.1, 20.0),
    (0.0, 1.0, -1e-3, 100.0),
    (0.0, 1.0, -1e9, 1e9),
    (0.0, 1.0, -1e-9, 3e-9),
    (0.0, 1e-6, -2e-6, 1e-6),
    (0.0, 1e3, -1.0, 1.0),
    (1e4, 1.0, 9998.0, 10002.0),
]
BESIDE_THE_MEAN = [
    (0.0, 1.0, 0.0, 2.0),
    (0.5, 1.0, -2.0, 0.5),
    (0.0, 1.0, -8.0, -1e-4),
    (0.0, 1.0, 0.0, 50.0),
    (0.0, 1.0, 1e-9, 2e-9),
    (0.0, 1.0, 0.0, 1e-20),
    (0.0, 1.0, 1.0, 1.5),
    (0.0, 1.0, 2.0, 1e9),
    (0.0, 1.0, 3.0, 6.0),
    (0.0, 1.0, -6.0, -3.0),
    (0.0, 1e-6, 3e-6, 6e-6),
    (0.0, 1e3, 3e3, 6e3),
    (0.0, 1.0, 8.0, 9.0),
    (0.0, 1.0, -9.0, -8.0),
    (0.0, 1.0, 30.0, 32.0),
    (0.0, 1.0, 100.0, 200.0),
    (0.0, 1e3, 1000.0, 1001.0),
    (-1000.0, 1.0, 0.0, 1.0),
    (1000.0, 1.0, -1.0, 0.0),
    (0.0, 1.0, 5.0, 5.000001),
]
ALL = AROUND_THE_MEAN + BESIDE_THE_MEAN
every_interval = pytest.mark.parametrize("numbers", ALL, ids=str)


def pairs_of(words):
    """The 64-bit words that `draw_at` draws float64 values of."""
    parts = [reference.word_pairs(key, index, 4) for key, index in blocks_with(words)]
    return np.concatenate(parts)[: len(words)]


@every_interval
@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
def test_accuracy(numbers, dtype):
    # The unit: half a step at the value, plus as much at the scale of the law.
    _, std, a, b = numbers
    law = Law("trunc_normal", numbers)
    values = draw_at(WORDS, "trunc_normal", dtype, *numbers).double().tolist()
    long_words = pairs_of(WORDS) if dtype == float64 else WORDS
    precision = 2.0**-53 if dtype == float64 else 2.0**-24
    limit = 2.0 if dtype == float32 else 4.0 if numbers in AROUND_THE_MEAN else 64.0
    with mp.workdps(40):
        _, tails = reference.distances(long_words)
        if dtype == float32:
            tails = (WORDS ^ np.uint32(FIRST)).view(np.int32)  # exact
        for word, value, t in zip(WORDS, values, tails.tolist(), strict=True):
            if word == FIRST:  # u = 0 is the lower bound, or where the table ends
                continue
            error = truncated_error(law, value, mpf(t) / 2**32)
            assert error <= limit * precision * (abs(value) + min(std, b - a)), hex(word)


@every_interval
@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
def test_the_outermost_words_are_ordered_and_inside(numbers, dtype):
    _, _, a, b = numbers
    outermost = np.array([0x80000000, 0x80000001, 0x7FFFFFFE, 0x7FFFFFFF], dtype=np.uint32)
    values = draw_at(outermost, "trunc_normal", dtype, *numbers).double().tolist()
    assert a <= values[0] <= values[1] <= values[2] <= values[3] <= b


@every_interval
def test_no_atoms_in_float64(numbers):
    # A hundred thousand words give as many values, none at a bound, unless steps are too coarse.
    _, _, a, b = numbers
    values = draw("trunc_normal", 100_000, float64, *numbers).numpy()
    assert a <= values.min() <= values.max() <= b
    steps = (b - a) / np.spacing(max(abs(a), abs(b)))
    if steps > 1e13 and numbers != (0.0, 1e3, 1000.0, 1001.0):
        assert len(np.unique(values)) > 99_990
        assert not np.isin(values, (a, b)).any()


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
def test_mirrored_intervals_give_mirrored_values(dtype):
    words = WORDS[(WORDS != FIRST) & (WORDS != 0)]  # which mirror themselves
    for numbers in AROUND_THE_MEAN[:7] + BESIDE_THE_MEAN[:12]:
        mean, std, a, b = numbers
        mirrored = (-mean, std, -b, -a)
        values = draw_at(words, "trunc_normal", float32, *numbers)
        opposite = draw_at(0 - words, "trunc_normal", float32, *mirrored)
        assert torch.equal(values, -opposite)
        if dtype == float64:  # words whose low halves differ
            values = draw_at(words, "trunc_normal", dtype, *numbers)
            opposite = draw_at(0 - words, "trunc_normal", dtype, *mirrored)
            scale = min(std, b - a)
            assert torch.allclose(values, -opposite, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
def test_a_wide_interval_gives_the_normal_law(dtype):
    values = draw("trunc_normal", 50_000, dtype, 0, 1, -1e9, 1e9)
    tolerance = 5e-7 if dtype == float32 else 1e-15
    normal = draw("normal", 50_000, dtype, 0, 1)
    assert torch.allclose(values, normal, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("exponent", range(-6, 4))
@pytest.mark.parametrize("sides", [(-2, 2), (3, 6), (-9, -8)], ids=str)
def test_values_scale_with_std(exponent, sides):
    # std from 1e-6 to 1e3: the same law on another scale.
    std = 10.0**exponent
    unit = draw("trunc_normal", 20_000, float64, 0, 1, *sides)
    scaled = draw("trunc_normal", 20_000, float64, 0, std, *(std * side for side in sides))
    assert torch.allclose(scaled / std, unit, rtol=1e-12, atol=1e-12)
    unit = draw("trunc_normal", 20_000, float32, 0, 1, *sides)
    scaled = draw("trunc_normal", 20_000, float32, 0, std, *(std * side for side in sides))
    assert torch.allclose(scaled / std, unit, rtol=5e-7, atol=5e-7)


def test_one_sided_tables_are_kept_apart():
    # More intervals than the core keeps tables of, in turn: each time the same values.
    intervals = [(start / 8, start / 8 + 1) for start in range(40)]
    first = [draw("trunc_normal", 64, float32, 0, 1, a, b) for a, b in intervals]
    for (a, b), expected in list(zip(intervals, first, strict=True))[::-1]:
        assert same_bits(draw("trunc_normal", 64, float32, 0, 1, a, b), expected)
        assert a <= expected.min() <= expected.max() <= b
