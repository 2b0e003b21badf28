"""The ends of an interval, in the tensor's own dtype: never crossed, an open end never drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core import DTYPES, bits, draw, draw_at, every_dtype, everywhere, fill
from laws import Law
from reference import Key

INTERVALS = [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.3), (-0.1, 0.1)]
every_interval = pytest.mark.parametrize("numbers", INTERVALS, ids=str)
ENDS = [0x80000000, 0x80000001, 0x7FFFFFFE, 0x7FFFFFFF]  # the lowest and highest words
DRAWS = 100_000_000
CHUNK = 1 << 23


def extremes(tensor):
    """The least and greatest value, from the bit patterns, which any dtype has."""
    pattern = bits(tensor)
    plain = pattern.view(f"u{pattern.itemsize}")
    signed = pattern.view(f"i{pattern.itemsize}")
    negative = signed.min() < 0
    least = plain.max() if negative else plain.min()
    greatest = signed.max() if signed.max() >= 0 else plain.min()
    found = np.array([least, greatest]).astype(plain.dtype)
    return torch.from_numpy(found.view(signed.dtype)).view(tensor.dtype).double().tolist()


def test_extremes_of_patterns():
    for dtype in DTYPES:
        for values in ([-0.5, 0.25, -2, 1], [0.5, 2, 1], [-3, -0.5], [0.0, 1], [-0.0, -1]):
            found = extremes(torch.tensor(values).to(dtype))
            assert found == [min(values), max(values)]


@every_interval
@every_dtype
def test_half_open_over_a_hundred_million_draws(dtype, numbers):
    low, high = numbers
    buffer = torch.empty(CHUNK, dtype=dtype)
    for index in range(0, DRAWS, CHUNK):
        box = ((CHUNK,), (1,), (1,), index)
        fill("uniform", buffer, low, high, key=Key(8, 8), box=box, threads=2)
        least, greatest = extremes(buffer)
        assert low <= least
        assert greatest < high


@everywhere
@every_interval
@every_dtype
def test_outermost_words_give_the_outermost_values(dtype, numbers, place):
    # The lowest word gives the smallest value of the dtype in the interval, the highest the
    # largest: the end itself is what those few words would round to.
    lowest, highest = Law("uniform", numbers).interval(dtype)
    drawn = draw_at(ENDS, "uniform", dtype, *numbers, place=place).double().tolist()
    tolerance = (numbers[1] - numbers[0]) * (2.0**-31 if dtype == torch.float64 else 0)
    assert lowest <= drawn[0] <= lowest + tolerance
    assert highest - tolerance <= drawn[-1] <= highest
    assert lowest <= min(drawn) <= max(drawn) <= highest < numbers[1]


@everywhere
@every_dtype
@pytest.mark.parametrize(
    "numbers",
    [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 1.0, -0.3, 0.3),
        (0.0, 1.0, 3.1, 6.3),
        (-1000.0, 1.0, 0.0, 1.0),
        (0.0, 1e3, 0.1, 0.3),
    ],
    ids=str,
)
def test_trunc_normal_stays_in_the_closed_interval(numbers, dtype, place):
    lowest, highest = Law("trunc_normal", numbers).interval(dtype)
    drawn = draw_at(ENDS, "trunc_normal", dtype, *numbers, place=place).double()
    sample = draw("trunc_normal", 20_000, dtype, *numbers, place=place).double()
    for values in (drawn, sample):
        assert lowest <= values.min()
        assert values.max() <= highest


@every_dtype
def test_an_interval_with_one_value(dtype):
    step = torch.finfo(dtype).eps
    for low, high in ((1.0, 1.0 + step), (1.0 - step / 2, 1.0), (0.0, 1e-320), (-1e-320, 1e-320)):
        if dtype == torch.float64 and high == 1e-320:
            continue
        inside = 1.0 - step / 2 if high == 1.0 else max(low, 0.0)
        assert set(draw("uniform", 500, dtype, low, high).tolist()) == {inside}
    for a, b in ((1.0, 1.0), (1.0, 1.0 + step / 4), (1.0 - step / 8, 1.0)):
        if dtype != torch.float64 or a == b:
            assert set(draw("trunc_normal", 500, dtype, 0, 1, a, b).tolist()) == {1.0}


@every_dtype
def test_no_value_in_the_interval(dtype):
    step = torch.finfo(dtype).eps
    untouched = torch.full((8,), 0.5).to(dtype)
    largest = torch.finfo(dtype).max
    for law, numbers in (
        ("uniform", (1.0, 1.0)),
        ("uniform", (1.0 + step / 4, 1.0 + step)),
        ("trunc_normal", (0.0, 1.0, 1.0 + step / 4, 1.0 + step / 2)),
        ("trunc_normal", (0.0, 1.0, 2 * largest, 3 * largest)),
    ):
        if dtype == torch.float64 and numbers != (1.0, 1.0):
            continue
        name = str(dtype).removeprefix("torch.")
        with pytest.raises(ValueError, match=f"there is no {name} value in \\["):
            fill(law, untouched, *numbers)
        assert (untouched == torch.full((8,), 0.5).to(dtype)).all()


@every_dtype
def test_the_whole_range_of_a_dtype(dtype):
    largest = torch.finfo(dtype).max
    drawn = draw("uniform", 100_000, dtype, -largest, largest).double()
    assert drawn.isfinite().all()
    assert drawn.abs().max() > 0.9 * largest
    assert draw_at(ENDS, "uniform", dtype, -largest, largest).double().isfinite().all()


def test_subnormal_intervals():
    tiny = math.ldexp(1.0, -149)
    drawn = draw("uniform", 10_000, torch.float32, -3 * tiny, 3 * tiny)
    assert sorted(set((drawn.double() / tiny).tolist())) == [-3, -2, -1, 0, 1, 2]


@everywhere
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("exponent", [-80, -95, -100, -110])
@pytest.mark.parametrize(
    ("law", "numbers"),
    [
        ("uniform", (-1.0, 1.0)),
        ("uniform", (0.25, 0.75)),
        ("normal", (0.0, 1.0)),
        ("normal", (-3.0, 0.5)),
        ("trunc_normal", (0.0, 1.0, -2.0, 2.0)),
        ("trunc_normal", (0.0, 1.0, 3.0, 4.0)),
    ],
)
def test_tiny_laws_are_the_others_on_another_scale(law, numbers, exponent, dtype, place):
    # Down to where the dtype's own spacing shows.
    tiny = draw(law, 3000, dtype, *(math.ldexp(x, exponent) for x in numbers), place=place)
    usual = draw(law, 3000, dtype, *numbers, place=place)
    steps = torch.finfo(dtype).tiny * torch.finfo(dtype).eps * 2.0**-exponent
    assert torch.allclose(tiny.double() * 2.0**-exponent, usual.double(), rtol=0, atol=steps)


@everywhere
@every_dtype
def test_no_value_is_minus_zero_where_the_lowest_is_zero(dtype, place):
    # A comparison by its bits: for the sign of zero it depends on the instruction.
    drawn = draw("uniform", 500, dtype, -3e-46, 1e-46, place=place)
    if dtype in (torch.float64, torch.float32, torch.bfloat16):
        drawn = draw("uniform", 500, dtype, 0.0, 1.0, place=place)
    assert not torch.signbit(drawn.double()).any()


def test_a_spread_too_small_to_see_beside_the_mean():
    for law, numbers in (("normal", (1e9, 1e-30)), ("trunc_normal", (1e9, 1e-30, 0.0, 2e9))):
        assert set(draw(law, 1000, torch.float32, *numbers).tolist()) == {1e9}
