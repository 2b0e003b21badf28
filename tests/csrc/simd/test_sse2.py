"""What stands in for an fma instruction: a * b + c, rounded once, where rounding twice goes wrong.

Every instruction set is held to the portable one, whose fma is the C library's.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core import _C, CODES, INSTRUCTION_SETS, Place, bits, draw, draw_at, name_of
from reference import TABLES

every_set = pytest.mark.parametrize("place", INSTRUCTION_SETS, ids=name_of)

PORTABLE = Place("portable", -1, "portable")

COUNT = 4096


def fused(a, b, c, place):
    """By the lanes of a fill of the arrays' dtype."""
    a, b, c = np.broadcast_arrays(a, b, c)
    arrays = [np.ascontiguousarray(x) for x in (a, b, c)]
    out = np.full_like(arrays[0], np.nan)
    code = CODES[torch.from_numpy(out).dtype]
    _C.set_simd(place.simd)
    try:
        _C.fused_lanes(code, *(x.ctypes.data for x in arrays), out.size, out.ctypes.data)
    finally:
        _C.set_simd(None)
    return out


def assert_rounded_once(a, b, c, place):
    found, expected = fused(a, b, c, place), fused(a, b, c, PORTABLE)
    words = np.uint32 if found.dtype == np.float32 else np.uint64
    wrong = np.flatnonzero(found.view(words) != expected.view(words))
    assert wrong.size == 0, [(a[i], b[i], c[i], found[i], expected[i]) for i in wrong[:3]]
    return expected


def almost_powers(bits, most):
    """Pairs of integers of so many bits whose product is nearly a power of two, but not quite."""
    low, power = 1 << (bits - 1), 1 << (2 * bits - 1)
    first = np.random.default_rng(1).integers(low, 2 * low, 1 << 14)
    pairs = [(int(x), power // int(x) + 1) for x in first]
    close = [(x, y) for x, y in pairs if 0 < x * y - power < most]
    return [np.array(side, dtype=np.float64) for side in zip(*close, strict=True)]


@every_set
def test_float32_half_way_in_float64(place):
    # a b is half a last bit of c and a little more, which float64 drops: to even would be down.
    a, b = almost_powers(24, 1 << 17)
    a, b = a.astype(np.float32), (b * 2.0**-71).astype(np.float32)
    c = np.float32(1) + np.zeros_like(a)
    a, b, c = (np.resize(x, COUNT) for x in (a, b, c))
    twice = (a.astype(np.float64) * b + c).astype(np.float32)
    assert (assert_rounded_once(a, b, c, place) != twice).all()
    assert_rounded_once(-a, b, -c, place)


@every_set
def test_float32_subnormals(place):
    choose = np.random.default_rng(2)
    a = choose.integers(-(2**31), 2**31, COUNT).astype(np.float32)
    a[::5] = 0
    for least in (-149, -160, -170, -180):
        a = a * np.float32(2**-0.5)
        b = np.ldexp(choose.integers(1, 2**24, COUNT).astype(np.float64), least).astype(np.float32)
        c = np.ldexp(choose.integers(-64, 64, COUNT).astype(np.float64), -149).astype(np.float32)
        assert_rounded_once(a, b, c, place)
        assert_rounded_once(a, b, -np.float32(a.astype(np.float64) * b), place)
    # The last bit of a float below 2^-126 is further up than that of others.
    a, b = (np.resize(x * 2.0**-99, COUNT).astype(np.float32) for x in almost_powers(24, 1 << 17))
    c = np.float32(2.0**-130) + np.zeros_like(a)
    a = a * np.float32(2)
    assert (assert_rounded_once(a, b, c, place) == np.float32(2.0**-130 + 2.0**-149)).all()


@every_set
def test_float64_half_way(place):
    # a b is half a last bit of c and a little more, with the little in the product's lower half.
    a, b = almost_powers(53, 1 << 53)
    a, b = (np.resize(x, COUNT) for x in (a, b))
    c = np.ldexp(1 + np.random.default_rng(3).random(COUNT), 158)
    product = a * b
    expected = assert_rounded_once(a, b, c, place)
    assert (expected != product + c).mean() > 0.4
    assert_rounded_once(a, b, -c, place)
    assert_rounded_once(a, b, -product, place)  # the rest of the product alone
    rest = fused(a, b, -product, PORTABLE)
    assert_rounded_once(a, b, -rest, place)
    assert_rounded_once(a, b, np.nextafter(-rest, 0), place)


@every_set
def test_float64_everywhere(place):
    choose = np.random.default_rng(4)

    def some(exponents):
        values = choose.integers(-(2**62), 2**62, COUNT) >> choose.integers(0, 62, COUNT)
        return np.ldexp(values.astype(np.float64), choose.integers(*exponents, COUNT))

    for exponents in [(-80, 20), (-560, -440), (380, 480), (-1100, -900)]:
        a, b = some(exponents), some(exponents)
        with np.errstate(over="ignore"):
            near = a * b
            far = np.ldexp(near, choose.integers(-110, 110, COUNT))
        for c in (some(exponents), -near, far):
            assert_rounded_once(a, b, np.where(np.isfinite(c), c, 0.0), place)


@every_set
def test_uniform_values_half_way(place):
    # 1 and half its last bit and a little more.
    for word, step in list(zip(*almost_powers(24, 1 << 17), strict=True))[:4]:
        half_width = step * 2.0**-46
        chosen = np.array([int(word) << 6])
        found = draw_at(
            chosen, "uniform", torch.float32, 1 - half_width, 1 + half_width, place=place
        )
        assert found.item() == 1 + 2**-23


@every_set
def test_normal_values_half_way(place):
    # The same of the last step, x a0 + 1: the rest of the polynomial is lost in the 1.
    factor = TABLES[np.float32][1, 4 * 29 + 3]  # of the words next to the middle
    found = 0
    for word, entry in zip(*almost_powers(24, 1 << 17), strict=True):
        std = np.float32(entry * 2.0**-71 / factor)
        if factor * std == np.float32(entry * 2.0**-71):
            found += 1
            chosen = np.array([int(word)])
            value = draw_at(chosen, "normal", torch.float32, 1.0, float(std), place=place)
            assert value.item() == 1 + 2**-23
    assert found > 10


@every_set
@pytest.mark.parametrize(
    ("law", "dtype", "numbers"),
    [
        ("normal", torch.float32, (1e-42, 1.0)),
        ("normal", torch.float64, (0.0, 1e-300)),
        ("normal", torch.float64, (1e300, 1e290)),
        ("uniform", torch.float32, (-1e-38, 2e-38)),
        ("uniform", torch.float32, (-3e38, 1e38)),
    ],
    ids=str,
)
def test_numbers_at_the_ends_of_the_range(law, dtype, numbers, place):
    found, expected = (draw(law, 512, dtype, *numbers, place=p) for p in (place, PORTABLE))
    assert np.array_equal(bits(found), bits(expected))
