"""The word-to-value maps, against the same formulas in NumPy and for what they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import float32, float64

import reference
from core import CPU, KEY, draw, draw_at, everywhere, words
from laws import Law
from reference import blocks_with, edge_words

EDGES = edge_words()
MIRRORED = EDGES[EDGES != 1 << 31]  # the word of u = 0 has no other to mirror it
INDEX, COUNT = 5, 4099
UNIFORM = [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.3), (-0.05, 0.05), (1000.0, 1001.0), (-3.0, 1e-3)]
NORMAL = [(0.0, 1.0), (0.0, 0.02), (-3.0, 0.5), (1e4, 1e-3), (0.0, 1e-30)]
TRUNC_NORMAL = [
    (0.0, 1.0, -2.0, 2.0),
    (0.0, 0.02, -0.04, 0.04),
    (0.5, 2.0, -1.0, 7.0),
    (3.0, 0.5, 2.0, 4.0),
    (0.0, 1.0, -0.02, 0.02),
    (0.0, 1.0, -6.0, 6.0),
    (0.0, 1.0, -0.1, 0.7),
    (0.0, 1.0, -8.0, 8.0),
    (0.0, 1e3, -1.0, 1.0),
    (1.0, 1e-6, 0.999999, 1.000002),
]
both_precisions = pytest.mark.parametrize("dtype", [float32, float64], ids=str)


def ids(numbers):
    return ",".join(f"{x:g}" for x in numbers)


def stream_words(dtype, index=INDEX, count=COUNT, key=KEY):
    if dtype == float32:
        return reference.words(key, reference.ELEMENT, index, count)
    return reference.word_pairs(key, index, count)


def edge_words_of(dtype):
    """The edge words as the maps of a dtype take them, with what low halves they happen to have."""
    if dtype == float32:
        return EDGES
    parts = [reference.word_pairs(key, index, 4) for key, index in blocks_with(EDGES)]
    return np.concatenate(parts)[: len(EDGES)]


def check(law, numbers, dtype, place, **arguments):
    formula = getattr(reference, law)
    drawn = draw(law, COUNT, dtype, *numbers, index=INDEX, place=place).numpy()
    assert np.array_equal(drawn, formula(stream_words(dtype), *numbers, **arguments))
    at_edges = draw_at(EDGES, law, dtype, *numbers, place=place).numpy()
    assert np.array_equal(at_edges, formula(edge_words_of(dtype), *numbers, **arguments))


@everywhere
@both_precisions
@pytest.mark.parametrize("numbers", UNIFORM, ids=ids)
def test_uniform_is_the_formula(numbers, dtype, place):
    check("uniform", numbers, dtype, place, bounds=Law("uniform", numbers).interval(dtype))


@everywhere
@both_precisions
@pytest.mark.parametrize("numbers", NORMAL, ids=ids)
def test_normal_is_the_formula(numbers, dtype, place):
    check("normal", numbers, dtype, place)


@everywhere
@pytest.mark.parametrize("numbers", TRUNC_NORMAL, ids=ids)
def test_trunc_normal_is_the_formula(numbers, place):
    bounds = Law("trunc_normal", numbers).interval(float32)
    check("trunc_normal", numbers, float32, place, bounds=bounds)


@pytest.mark.parametrize("numbers", TRUNC_NORMAL, ids=ids)
def test_float64_trunc_normal_is_the_formula_to_rounding(numbers):
    # The formula's numbers come from mpmath here, from csrc/values/special.cpp there.
    _, std, a, b = numbers
    drawn = draw("trunc_normal", COUNT, float64, *numbers, index=INDEX).numpy()
    expected = reference.trunc_normal(stream_words(float64), *numbers, bounds=(a, b))
    assert np.all((a <= drawn) & (drawn <= b))
    tolerance = 16 * np.spacing(np.abs(expected) + np.minimum(std, b - a))
    assert np.all(np.abs(drawn - expected) <= tolerance)


@both_precisions
def test_negative_words_mirror_the_normal(dtype):
    low = draw_at(MIRRORED, "normal", float32, 0, 1)
    high = draw_at(0 - MIRRORED, "normal", float32, 0, 1)
    assert torch.equal(low, -high)
    if dtype == float64:  # the low halves cannot be chosen as well: mirror within a word
        low = draw_at(MIRRORED, "normal", dtype, 0, 1)
        high = draw_at(0 - MIRRORED, "normal", dtype, 0, 1)
        assert torch.allclose(low, -high, rtol=1e-6, atol=2e-9)


def test_negative_words_mirror_the_uniform():
    inner = EDGES[np.abs(EDGES.view(np.int32).astype(np.float32)) < 2.0**31]  # rounds to no end
    for half_width in (1.0, 0.3):
        low = draw_at(inner, "uniform", float32, -half_width, half_width)
        high = draw_at(0 - inner, "uniform", float32, -half_width, half_width)
        assert torch.equal(low, -high)
    ends = draw_at([0x80000000, 0x7FFFFFFF], "uniform", float32, -1, 1)
    assert ends.tolist() == [-1.0, 1.0 - 2.0**-24]


@pytest.mark.parametrize(
    ("law", "numbers"),
    [
        ("uniform", (-1.0, 1.0)),
        ("normal", (0.0, 1.0)),
        ("trunc_normal", (0.0, 1.0, -2.0, 2.0)),
        ("trunc_normal", (0.0, 1.0, 8.0, 9.0)),
        ("trunc_normal", (0.0, 1.0, -0.5, 0.0)),
        ("trunc_normal", (-1000.0, 1.0, 0.0, 1.0)),
    ],
)
def test_values_rise_with_the_signed_word(law, numbers):
    signed = words(200_000).view(np.int32)
    order = np.argsort(signed)
    values = draw(law, len(signed), float32, *numbers).numpy()[order]
    # A value is the sum of two that are rounded; beside a base of 8 the first rounding shows.
    slack = np.spacing(np.float32(8)) if numbers[-2:] == (8.0, 9.0) else 0
    assert np.all(np.diff(values) >= -slack)
    edges = np.sort(MIRRORED.view(np.int32)).view(np.uint32)  # neighbors, up to the last bits
    values = draw_at(edges, law, float32, *numbers).numpy()
    assert np.all(np.diff(values) >= -2 * np.spacing(np.abs(values[1:])))


@pytest.mark.parametrize(
    ("law", "numbers", "scale"),
    [
        ("uniform", (-1.0, 1.0), 1.0),
        ("uniform", (0.0, 1.0), 1.0),
        ("normal", (0.0, 1.0), 1.0),
        ("normal", (0.0, 1e-6), 1e-6),
        ("trunc_normal", (0.0, 1.0, -2.0, 2.0), 1.0),
        ("trunc_normal", (0.0, 1.0, 4.0, 9.0), 1.0),
        ("trunc_normal", (-1000.0, 1.0, 0.0, 1.0), 1e-3),
        ("trunc_normal", (0.0, 1e-3, -1e-3, 1.0), 1e-3),
    ],
)
def test_float64_refines_float32(law, numbers, scale):
    coarse, fine = (
        torch.cat([draw_at(EDGES, law, dtype, *numbers), draw(law, 500_000, dtype, *numbers)])
        for dtype in (float32, float64)
    )
    assert torch.allclose(coarse.double(), fine, rtol=2.5e-7, atol=1e-7 * scale)
    assert len(torch.unique(fine)) > 0.999 * len(fine) > len(torch.unique(coarse))


def test_float64_refines_the_far_tail_of_the_normal():
    # Relative to the value: the low half never moves a tail word by more than 2^-24 of its p.
    tail = np.concatenate([EDGES[EDGES.view(np.int32) > 1 << 30], [0x80000000, 0x80000001]])
    coarse = draw_at(tail, "normal", float32, 0, 1).double()
    fine = draw_at(tail, "normal", float64, 0, 1)
    assert torch.allclose(coarse, fine, rtol=2.5e-7, atol=0)


def test_float64_uses_the_low_half_of_its_word():
    drawn = draw("uniform", COUNT, float64, 0, 1, index=INDEX, place=CPU).numpy()
    assert np.array_equal((drawn * 2.0**32).astype(np.uint32), stream_words(float32) ^ 0x80000000)
    low = (stream_words(float64) & np.uint64(0xFFFFFFFF)).astype(np.float64)
    assert np.allclose(drawn * 2.0**32 % 1, low / 2.0**32, rtol=0, atol=1e-5)
