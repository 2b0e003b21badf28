"""Fills follow the exact laws: Kolmogorov-Smirnov, moments, counts of every short value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from core import LOW_PRECISION, draw, every_dtype, every_low_precision
from laws import Law, moments, rounded_law
from reference import Key

KEY = Key(20, 24)
LAWS = [
    Law("uniform", (0.0, 1.0)),
    Law("uniform", (-0.3, 0.1)),
    Law("normal", (0.0, 1.0)),
    Law("normal", (0.5, 0.02)),
    Law("trunc_normal", (0.0, 1.0, -2.0, 2.0)),
    Law("trunc_normal", (0.0, 0.02, -0.04, 0.05)),
    Law("trunc_normal", (0.0, 1.0, 0.0, 3.0)),
    Law("trunc_normal", (0.0, 1.0, 2.0, 5.0)),
    Law("trunc_normal", (1.0, 0.5, -3.0, 0.25)),
    Law("trunc_normal", (0.0, 10.0, -1.0, 2.0)),
]
every_law = pytest.mark.parametrize("law", LAWS, ids=str)
COUNT = 400_000


@every_law
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_kolmogorov_smirnov(law, dtype):
    sample = draw(law.name, COUNT, dtype, *law.numbers, key=KEY).double().numpy()
    assert stats.kstest(sample, law.exact.cdf, method="asymp").pvalue > 1e-3


@every_law
@every_dtype
def test_moments(law, dtype):
    # Mean, variance, skewness and kurtosis, each within 5 standard errors of its mean.
    sample = draw(law.name, COUNT, dtype, *law.numbers, key=KEY).double().numpy()
    y = (sample - law.exact.mean()) / law.exact.std()
    expected = moments(law, dtype, 8)
    for k in range(1, 5):
        deviation = np.sqrt(expected[2 * k] - expected[k] ** 2)
        assert abs(np.mean(y**k) - expected[k]) < 5 * deviation / np.sqrt(COUNT)


def grouped(expected, at_least):
    """Numbers neighboring values so that each number expects so many draws."""
    numbers, number, total = [], 0, 0.0
    rest = expected.sum()
    for part in expected.tolist():
        numbers.append(number)
        total += part
        rest -= part
        if total >= at_least and rest >= at_least:
            number, total = number + 1, 0.0
    return np.array(numbers)


@every_law
@every_low_precision
def test_short_values_are_as_frequent_as_rounding_makes_them(law, dtype):
    values, probabilities = rounded_law(law, dtype)
    sample = draw(law.name, COUNT, dtype, *law.numbers, key=KEY).double().numpy()
    counts = np.bincount(np.searchsorted(values, sample), minlength=len(values))
    assert np.isin(sample, values).all()
    group = grouped(probabilities * COUNT, at_least=20)
    expected = np.bincount(group, weights=probabilities * COUNT)
    found = np.bincount(group, weights=counts)
    if len(expected) == 1:
        pytest.skip("every draw but a few rounds to one value")
    statistic = np.sum((found - expected) ** 2 / expected)
    assert 1e-4 < stats.chi2.sf(statistic, len(expected) - 1) < 1 - 1e-4


@pytest.mark.parametrize("law", [law for law in LAWS if law.name != "normal"], ids=str)
@every_dtype
def test_bounds_are_no_atoms(law, dtype):
    # The outermost values of the dtype are drawn as often as rounding makes them.
    sample = draw(law.name, 4 * COUNT, dtype, *law.numbers, key=KEY)
    if dtype in LOW_PRECISION:
        values, probabilities = rounded_law(law, dtype)
        ends, share = values[[0, -1]], probabilities[[0, -1]]
    else:  # at most what lies within a step of the bound
        ends = np.array(law.interval(dtype))
        real = np.float32 if dtype == torch.float32 else np.float64
        share = law.exact.pdf(law.bounds) * np.spacing(np.abs(ends).astype(real))
        share[ends == 0] = 0
    for end, probability in zip(ends, share, strict=True):
        count = int((sample.double() == end).sum())
        expected = probability * len(sample)
        slack = 5 * np.sqrt(expected) + 2
        assert count <= expected + slack
        if dtype in LOW_PRECISION:
            assert count >= expected - slack


def test_neighbors_and_streams_do_not_correlate():
    first = draw("normal", COUNT, torch.float32, 0, 1, key=KEY).numpy()
    others = {f"{distance} further": np.roll(first, distance) for distance in (1, 4, 1024)}
    for name, key in {"seed": Key(21, 24), "stream": Key(20, 25)}.items():
        others[f"next {name}"] = draw("normal", COUNT, torch.float32, 0, 1, key=key).numpy()
    for name, other in others.items():
        assert abs(np.mean(first * other)) * np.sqrt(COUNT) < 4, name
        assert abs(np.mean((first**2 - 1) * (other**2 - 1)) / 2) * np.sqrt(COUNT) < 4, name
