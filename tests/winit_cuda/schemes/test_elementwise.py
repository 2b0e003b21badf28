"""uniform_, normal_, trunc_normal_ and the constants: bounds, precision, prefixes, edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

import winit_cuda as winit
from initializers import every_elementwise, needs_core
from winit_cuda._dispatch.many import Batch, Job
from winit_cuda._fills.elementwise import TRUNC_NORMAL

pytestmark = needs_core

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
KEY = winit.Key(1, 2)


@every_elementwise
@every_dtype
def test_a_prefix_of_a_longer_fill(initializer, dtype):
    if initializer.name.startswith(("xavier", "kaiming")):
        pytest.skip("depends on the shape")
    longer = initializer(torch.empty(1000, dtype=dtype), key=KEY).float()
    for length in (1, 3, 17, 999):
        prefix = initializer(torch.empty(length, dtype=dtype), key=KEY).float()
        assert torch.equal(prefix, longer[:length])


@every_elementwise
@pytest.mark.parametrize("dtype", DTYPES[2:], ids=str)
def test_low_precision_is_float32_rounded_once(initializer, dtype):
    """But for what would be rounded out of the interval, which stays in it."""
    low = initializer(initializer.empty(dtype=dtype), key=KEY).float()
    rounded = initializer(initializer.empty(), key=KEY).to(dtype).float()
    differs = low != rounded
    if "normal" in initializer.name:
        assert not differs.any()
    assert (low[differs].abs() < rounded[differs].abs()).all()
    assert (low[differs].abs() == low.abs().max()).all()
    assert differs.float().mean() < 0.5


@every_elementwise
def test_float64_refines_float32(initializer):
    double = initializer(initializer.empty(dtype=torch.float64), key=KEY)
    single = initializer(initializer.empty(), key=KEY).double()
    assert torch.allclose(double, single, rtol=1e-6, atol=1e-9)
    assert not torch.equal(double, single)


@every_dtype
@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-3.0, 5.0), (0.3, 0.31), (-0.25, 0.0)])
def test_uniform_stays_in_its_interval(dtype, a, b):
    if dtype.itemsize == 1 and (a, b) == (0.3, 0.31):
        pytest.skip("no such value")
    values = winit.uniform_(torch.empty(10_000, dtype=dtype), a, b, key=KEY).double()
    assert values.min() >= a
    assert values.max() < b
    assert len(values.unique()) > 1 or dtype.itemsize < 4


@every_dtype
@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (0.3, 0.6), (-7.0, -5.0), (30.0, 33.0)])
def test_trunc_normal_stays_in_its_interval(dtype, a, b):
    values = winit.trunc_normal_(torch.empty(10_000, dtype=dtype), a=a, b=b, key=KEY).double()
    assert values.min() >= a
    assert values.max() <= b


@every_dtype
def test_equal_bounds_give_the_bound(dtype):
    expected = torch.full((3, 2), 0.1).to(dtype).float()
    for tensor in (torch.empty(3, 2, dtype=dtype), torch.empty(2, 3, dtype=dtype).t()):
        assert torch.equal(winit.uniform_(tensor, 0.1, 0.1, key=KEY).float(), expected)
        assert torch.equal(winit.trunc_normal_(tensor, a=0.1, b=0.1, key=KEY).float(), expected)


@every_dtype
def test_no_deviation_gives_the_mean(dtype):
    expected = torch.full((3, 2), 0.1).to(dtype).float()
    for tensor in (torch.empty(3, 2, dtype=dtype), torch.empty(2, 3, dtype=dtype).t()):
        assert torch.equal(winit.normal_(tensor, 0.1, 0.0, key=KEY).float(), expected)
        assert torch.equal(winit.trunc_normal_(tensor, 0.1, 0.0, key=KEY).float(), expected)
        winit.trunc_normal_(tensor, 5.0, 0.0, -1.0, 1.0, key=KEY)
        assert (tensor.float() == 1).all()
        winit.trunc_normal_(tensor, -5.0, 0.0, -1.0, 1.0, key=KEY)
        assert (tensor.float() == -1).all()


def test_the_mean_is_rounded_into_the_interval():
    """The float32 value nearest to 0.1 is above it."""
    value = winit.trunc_normal_(torch.empty(1), 0.1, 0.0, 0.0, 0.1, key=KEY)
    assert value.item() < 0.1
    assert torch.equal(torch.nextafter(value, torch.ones(1)), torch.tensor([0.1]))


def test_far_tails_do_not_warn():
    """Where torch warns that it may be wrong."""
    values = winit.trunc_normal_(torch.empty(100_000), 0.0, 1.0, 30.0, 31.0, key=KEY).double()
    assert abs(values.mean() - 30 - 1 / 30) < 1e-3


@pytest.mark.parametrize(
    "numbers",
    [(0, 1), (np.float32(0), np.int64(1)), (torch.tensor(0), torch.ones(1)), (False, True)],
)
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_any_kind_of_number(numbers, layout):
    expected = winit.uniform_(torch.empty(2, 3), 0.0, 1.0, key=KEY)
    tensor = torch.empty(2, 3) if layout == "contiguous" else torch.empty(3, 2).t()
    assert torch.equal(winit.uniform_(tensor, *numbers, key=KEY), expected)
    expected = winit.normal_(torch.empty(2, 3), 0.0, 1.0, key=KEY)
    assert torch.equal(winit.normal_(tensor, *numbers, key=KEY), expected)
    expected = winit.trunc_normal_(torch.empty(2, 3), 0.0, 1.0, key=KEY)
    assert torch.equal(winit.trunc_normal_(tensor, *numbers, key=KEY), expected)


def test_positional_and_keyword_arguments():
    expected = winit.trunc_normal_(torch.empty(5), 0.1, 0.2, -0.3, 0.4, key=KEY)
    values = winit.trunc_normal_(tensor=torch.empty(5), b=0.4, a=-0.3, std=0.2, mean=0.1, key=KEY)
    assert torch.equal(values, expected)
    generator = torch.Generator().manual_seed(0)
    first = winit.uniform_(torch.empty(5), 0.0, 1.0, generator)
    assert torch.equal(first, winit.uniform_(torch.empty(5), generator=generator.manual_seed(0)))


def test_zero_dimensions():
    for function in (winit.uniform_, winit.normal_, winit.trunc_normal_):
        value = function(torch.empty(()), key=KEY)
        assert value.shape == ()
        assert torch.equal(value, function(torch.empty(1), key=KEY)[0])


def test_ones_and_zeros():
    for dtype in (*DTYPES, torch.int8, torch.int64, torch.bool, torch.complex64):
        tensor = torch.empty(3, 2, dtype=dtype)
        assert (winit.ones_(tensor).to(torch.complex64) == 1).all()
        assert (winit.zeros_(tensor).to(torch.complex64) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("std", [1.0, 1e-3])
def test_infinite_bounds_bound_nothing(dtype, std):
    """Half-normal and the like: the quantiles are those of the law without that bound."""
    inf, key, count = math.inf, winit.key(5), 20_000
    cases = [
        (0.0, inf),
        (-inf, 0.0),
        (-inf, inf),
        (2 * std, inf),
        (-inf, 0.5 * std),
        (30 * std, inf),
    ]
    for a, b in cases:
        found = winit.trunc_normal_(torch.empty(count, dtype=dtype), 0.0, std, a, b, key=key)
        assert found.isfinite().all()
        assert (found >= a).all()
        assert (found <= b).all()
        if dtype.itemsize > 2:  # else there are few values to choose from
            law = scipy.stats.truncnorm(a / std, b / std, scale=std)
            assert scipy.stats.kstest(found.double().numpy(), law.cdf).statistic < 0.012
        strided = torch.empty(count, 2, dtype=dtype)[:, 0]
        assert torch.equal(winit.trunc_normal_(strided, 0.0, std, a, b, key=key), found)


def test_an_infinite_bound_is_one_out_of_reach():
    key = winit.key(5)
    half = winit.trunc_normal_(torch.empty(1000), 0.5, 2.0, 0.5, math.inf, key=key)
    assert torch.equal(half, winit.trunc_normal_(torch.empty(1000), 0.5, 2.0, 0.5, 80.5, key=key))
    tensor = torch.empty(3)
    assert (winit.trunc_normal_(tensor, 0.5, 0.0, 1.0, math.inf) == 1).all()
    batch = Batch([Job(TRUNC_NORMAL, "trunc_normal_", tensor, (0.5, 2.0, 0.5, math.inf))])
    batch.run([key])
    assert torch.equal(tensor, half[:3])
