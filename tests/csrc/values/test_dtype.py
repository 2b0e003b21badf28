"""Short dtypes: what is drawn is the float32 value rounded once, to nearest even."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import float32

from core import (
    KEY,
    call,
    constant,
    draw,
    draw_at,
    every_low_precision,
    everywhere,
    same_bits,
    words,
)
from laws import Law, finite_values
from reference import edge_words
from winit_cuda import _C

EDGES = edge_words()
UNIFORM = [(0.0, 1.0), (-1.0, 1.0), (0.1, 0.3), (-0.1, 0.1), (-1e-3, 2e-3), (3.0, 400.0)]
TRUNC_NORMAL = [
    (0.0, 1.0, -2.0, 2.0),
    (0.0, 1.0, -0.3, 0.7),
    (0.0, 1.0, 3.1, 4.9),
    (0.0, 0.02, -0.04, 0.04),
    (100.0, 30.0, -50.0, 333.0),
]
# The subnormals of every short dtype, and up to the largest values of each: 6.34 std.
STD = {
    torch.float16: (1.0, 0.02, 1e-5, 1e-7, 1e-9, 1e4),
    torch.bfloat16: (1.0, 0.02, 1e-5, 1e-38, 1e-40, 5e37),
    torch.float8_e4m3fn: (1.0, 0.02, 5e-3, 1e-3, 1e-5, 70.0),
    torch.float8_e5m2: (1.0, 0.02, 1e-4, 1e-5, 1e-7, 9e3),
}


def check(law, dtype, place):
    low, high = law.interval(dtype) if law.name != "normal" else (-math.inf, math.inf)
    for sample in (
        lambda dtype: draw(law.name, 9999, dtype, *law.numbers, place=place),
        lambda dtype: draw_at(EDGES, law.name, dtype, *law.numbers, place=place),
    ):
        single, short = sample(float32), sample(dtype)
        assert same_bits(short, single.clamp(low, high).to(dtype))
        # The same but for the sign of zero: rounding first, clamping then.
        assert torch.equal(short.double(), single.to(dtype).double().clamp(low, high))


@everywhere
@every_low_precision
@pytest.mark.parametrize("numbers", UNIFORM, ids=str)
def test_uniform_is_rounded_once_and_kept_in_the_interval(numbers, dtype, place):
    check(Law("uniform", numbers), dtype, place)


@everywhere
@every_low_precision
@pytest.mark.parametrize("numbers", TRUNC_NORMAL, ids=str)
def test_trunc_normal_is_rounded_once_and_kept_in_the_interval(numbers, dtype, place):
    check(Law("trunc_normal", numbers), dtype, place)


@everywhere
@every_low_precision
@pytest.mark.parametrize("scale", range(6))
def test_normal_is_rounded_once(scale, dtype, place):
    std = STD[dtype][scale]
    check(Law("normal", (0.0, std)), dtype, place)
    check(Law("normal", (-2 * std, std / 2)), dtype, place)


@every_low_precision
def test_a_million_values_are_rounded_once(dtype):
    single = draw("normal", 10**6, float32, 0, 1, key=KEY)
    assert same_bits(draw("normal", 10**6, dtype, 0, 1, key=KEY), single.to(dtype))
    assert len(np.unique(words(10**6))) > 999_000


def constants(dtype, values):
    """What a constant of each value writes."""
    out = torch.empty(len(values), dtype=dtype)
    for i, value in enumerate(values):
        call(constant, out[i : i + 1], value)
    return out


def neighbors(value):
    """A float32 and the float32 values beside it."""
    single = np.float32(value)
    return [float(np.nextafter(single, np.float32(x))) for x in (-np.inf, single, np.inf)]


@every_low_precision
def test_constant_rounds_to_nearest_even(dtype):
    # Every value, every tie between two, and what lies beside them; for 16 bits one in 37.
    values = finite_values(dtype)
    ties = (values[1:] + values[:-1]) / 2
    step = 1 if dtype.itemsize == 1 else 37
    chosen = np.concatenate([values[::step], ties[::step], ties[:40], ties[-40:]])
    singles = torch.tensor([x for value in chosen.tolist() for x in neighbors(value)])
    singles = singles[singles.abs() >= torch.finfo(float32).tiny]
    assert same_bits(constants(dtype, singles.tolist()), singles.to(dtype))


@every_low_precision
def test_constant_beyond_the_range(dtype):
    # From half a step beyond the largest value on everything is infinite, or NaN in float8_e4m3fn.
    values = finite_values(dtype)
    half_step = (values[-1] - values[-2]) / 2
    border = float(values[-1] + half_step)
    _, *above = neighbors(border)
    for value in [math.inf, 1e30 if dtype != torch.bfloat16 else 3.4e38, *above[1:]]:
        found = constants(dtype, [value, -value]).float()
        if dtype == torch.float8_e4m3fn:
            assert found.isnan().all()
        else:
            assert found.tolist() == [math.inf, -math.inf]
    below = neighbors(border)[0]
    assert constants(dtype, [below, -below]).double().tolist() == [values[-1], -values[-1]]
    assert constants(dtype, [math.nan]).float().isnan().all()


def test_constant_in_full_precision():
    for value in (0.1, -1 / 3, 1e-40, 3.4e38, math.inf, -0.0):
        assert same_bits(constants(float32, [value]), torch.tensor([value], dtype=float32))
        assert same_bits(
            constants(torch.float64, [value]), torch.tensor([value], dtype=torch.float64)
        )


@pytest.mark.parametrize("code", [-1, 6, 100])
def test_unknown_dtype(code):
    buffer = torch.zeros(4)
    with pytest.raises(ValueError, match="dtype"):
        _C.normal(buffer.data_ptr(), code, 4, None, -1, 0, 1, 0, 1, 2, 0.0, 1.0)
    assert not buffer.any()
