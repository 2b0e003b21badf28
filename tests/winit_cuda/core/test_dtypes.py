"""The dtype table against torch, and exact rounding against brute force."""

from __future__ import annotations

import bisect
import itertools
import math

import pytest
import torch

from initializers import needs_core
from winit_cuda._core import backend, dtypes

SHORT = [code for code, described in enumerate(dtypes.FLOATING) if described.dtype.itemsize < 4]


def finite_values(code: int) -> list[float]:
    """All finite values of a dtype of one or two bytes, in order."""
    dtype = dtypes.FLOATING[code].dtype
    kind = torch.uint8 if dtype.itemsize == 1 else torch.int16
    count = 256**dtype.itemsize
    bits = torch.arange(-count // 2, count // 2, dtype=torch.int32).to(kind)
    values = bits.view(dtype).double()
    return sorted(set(values[values.isfinite()].tolist()))


@needs_core
def test_codes_are_the_core_s():
    assert {
        described.name: code for code, described in enumerate(dtypes.FLOATING)
    } == backend.loaded.DTYPES


@pytest.mark.parametrize("code", SHORT)
def test_limits(code):
    described, values = dtypes.FLOATING[code], finite_values(code)
    assert described.largest == values[-1]
    assert math.ldexp(1.0, described.least_exponent) == min(v for v in values if v > 0)
    assert dtypes.LEAST_SPACING[code] == min(v for v in values if v > 0)
    above_one = min(v for v in values if v > 1)
    assert above_one - 1 == dtypes.RELATIVE_SPACING[code]
    one = torch.tensor(math.inf).to(described.dtype).float()
    assert described.has_infinity == bool(one.isinf())


@pytest.mark.parametrize("code", SHORT)
def test_bounds_by_brute_force(code):
    values = finite_values(code)
    probes = values[:: max(1, len(values) // 300)]
    probes += [(a + b) / 2 for a, b in itertools.pairwise(probes)]
    probes += [math.nextafter(v, s) for v in probes for s in (-math.inf, math.inf)]
    for probe in probes:
        above, below = bisect.bisect_left(values, probe), bisect.bisect_right(values, probe)
        assert dtypes.smallest_at_least(probe, code) == [*values, math.inf][above]
        assert dtypes.largest_at_most(probe, code) == [-math.inf, *values][below]
    assert dtypes.smallest_at_least(-1e300, code) == values[0]
    assert dtypes.largest_at_most(1e300, code) == values[-1]


def test_float32_and_float64():
    tenth = torch.tensor(0.1).item()  # above 0.1
    assert dtypes.smallest_at_least(0.1, 0) == tenth
    below = torch.nextafter(torch.tensor(0.1), torch.tensor(0.0)).item()
    assert dtypes.largest_at_most(0.1, 0) == below
    assert dtypes.smallest_at_least(0.1, 1) == dtypes.largest_at_most(0.1, 1) == 0.1
    assert dtypes.smallest_at_least(5e-324, 1) == 5e-324
    assert dtypes.smallest_at_least(1e-46, 0) == 2**-149
    assert math.copysign(1, dtypes.largest_at_most(0.0, 0)) == 1.0


def test_nearest_inside():
    assert dtypes.nearest_inside(0.1, 0.0, 1.0, 1) == 0.1
    tenth = torch.tensor(0.1).item()
    assert dtypes.nearest_inside(0.1, 0.0, 1.0, 0) == tenth
    assert dtypes.nearest_inside(0.1, 0.1, 0.1, 0) == tenth
    # The nearest value of 0.1 lies outside [0, 0.1]; the next one is taken.
    assert dtypes.nearest_inside(0.1, 0.0, 0.1, 0) == torch.nextafter(
        torch.tensor(0.1), torch.tensor(0.0)
    )
    assert dtypes.nearest_inside(0.3, 0.25, 0.3, 5) == 0.25
    assert dtypes.nearest_inside(0.26, 0.26, 0.4, 5) == 0.3125
