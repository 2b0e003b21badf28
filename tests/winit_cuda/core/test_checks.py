"""The checks of numbers: what passes, and how an error reads."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from winit_cuda._core import checks

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "value", [1, 1.0, True, np.float32(1), np.array(1), torch.tensor(1), torch.ones(1)]
)
def test_numbers(value):
    checked = checks.number("f", "x", value)
    assert type(checked) is float
    assert checked == 1.0


@pytest.mark.parametrize("value", ["1", b"1", None, 1j, [1], np.ones(2), torch.ones(2)])
def test_not_numbers(value):
    with pytest.raises(TypeError, match="f: x must be a number, got "):
        checks.number("f", "x", value)


def test_too_large_for_a_float():
    with pytest.raises(ValueError, match="f: x must be a number that a float holds, got 1000"):
        checks.number("f", "x", 10**400)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_finite(value):
    assert checks.finite("f", "x", -2) == -2.0
    with pytest.raises(ValueError, match=f"f: x must be finite, got {value}"):
        checks.finite("f", "x", value)


@pytest.mark.parametrize("value", [NAN, INF, -INF, -1e-300])
def test_deviation(value):
    assert checks.deviation("f", "std", 0) == 0.0
    with pytest.raises(ValueError, match="f: std must be finite and at least 0, got "):
        checks.deviation("f", "std", value)


def test_interval():
    assert checks.interval("f", 1, 2) == (1.0, 2.0)
    assert checks.interval("f", 1, 1) == (1.0, 1.0)
    with pytest.raises(ValueError, match=r"f: a must be at most b = 1\.0, got 2\.0"):
        checks.interval("f", 2, 1)
    with pytest.raises(ValueError, match="f: b must be finite"):
        checks.interval("f", 0, NAN)


@pytest.mark.parametrize("value", [-0.1, 1.1, NAN, INF])
def test_fraction(value):
    assert [checks.fraction("f", "x", value) for value in (0, 0.5, 1)] == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match=r"f: x must be in \[0, 1\], got "):
        checks.fraction("f", "x", value)


def test_count():
    assert checks.count("f", "groups", np.int64(2)) == 2
    with pytest.raises(ValueError, match="f: groups must be at least 1, got 0"):
        checks.count("f", "groups", 0)
    with pytest.raises(TypeError, match=r"f: groups must be an integer, got 1\.0"):
        checks.count("f", "groups", 1.0)


@pytest.mark.parametrize("value", [True, False, np.bool_(True), torch.tensor(True), np.array(True)])
def test_a_bool_is_no_integer(value):
    with pytest.raises(TypeError, match="f: groups must be an integer, got "):
        checks.integer("f", "groups", value)


def test_long_values_are_cut():
    message = str(checks.wrong("f", "x", "short", "y" * 1000))
    assert len(message) < 120
    assert message.endswith("...")
