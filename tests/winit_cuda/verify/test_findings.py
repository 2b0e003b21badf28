"""What is odd in a parameter: the z-scores are calibrated, and every kind is found."""

from __future__ import annotations

import math
import statistics

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._model.entries import entry_of
from winit_cuda._model.expectation import expectation, planned_histogram
from winit_cuda._verify.findings import (
    FALSE_ALARM,
    Finding,
    Scores,
    against_law,
    facts,
    limit_of,
    scores_of,
    without_law,
)
from winit_cuda._verify.tensor_statistics import statistics_of

LAWS = {
    "normal": (winit.Normal(0.25, 0.02), (4, 4)),
    "uniform": (winit.Uniform(-0.1, 0.3), (4, 4)),
    "one-sided": (winit.TruncNormal(a=0.0, b=math.inf), (6, 8)),
    "trunc_normal": (winit.TruncNormal(std=0.02, a=-0.02, b=0.04), (60, 50)),
    "sparse": (winit.Sparse(0.5), (20, 30)),
    "padded": (winit.Composite(winit.Normal(), {0: winit.Zeros()}), (20, 30)),
}


def scores_and_findings(
    values: torch.Tensor, initializer: winit.Initializer, limit: float = 5.0
) -> tuple[Scores, list[Finding]]:
    entry = entry_of("w", tuple(values.shape), "float32", initializer)
    expected = expectation(entry)
    assert expected is not None
    found = statistics_of([values], [expected.mean])[0]
    planned = planned_histogram(entry, found.histogram, found.low, found.high)
    scores = scores_of(found, expected, planned, values.dtype)
    return scores, facts(found) + against_law(found, expected, scores, limit, values.dtype)


def kinds(values: torch.Tensor, initializer: winit.Initializer) -> list[str]:
    return [finding.kind for finding in scores_and_findings(values, initializer)[1]]


def drawn(initializer: winit.Initializer, shape: tuple[int, ...], key: int = 0) -> torch.Tensor:
    return initializer(torch.empty(shape), key=winit.key(key))


@needs_core
@pytest.mark.parametrize("name", LAWS)
def test_scores_are_calibrated(name):
    """Of 1,000 tensors, as many scores are beyond 1 and 2 as of normal numbers, and none far."""
    initializer, shape = LAWS[name]
    found = [
        scores_and_findings(initializer(torch.empty(shape), key=key), initializer)[0]
        for key in winit.split(winit.key(1), 1000)
    ]
    for scores in ([each.mean for each in found], [each.std for each in found]):
        beyond_1, beyond_2 = (sum(abs(score) > limit for score in scores) for limit in (1, 2))
        assert beyond_1 == pytest.approx(317, abs=60)  # 4 standard deviations of a count
        assert beyond_2 == pytest.approx(45.5, abs=27)
        assert max(map(abs, scores)) < limit_of(1000)
        assert statistics.fmean(scores) == pytest.approx(0, abs=0.08)


@needs_core
@pytest.mark.parametrize("count", [100, 3000, 100_000])
@pytest.mark.parametrize("name", ["normal", "uniform", "one-sided", "trunc_normal"])
def test_scores_of_histograms_are_calibrated(name, count):
    initializer, _ = LAWS[name]
    scores = []
    for key in winit.split(winit.key(2), 1000 if count < 100_000 else 200):
        score = scores_and_findings(initializer(torch.empty(count), key=key), initializer)[0]
        assert score.histogram is not None
        scores.append(score.histogram)
    share = len(scores) / 1000
    assert sum(score > 1 for score in scores) == pytest.approx(159 * share, abs=50 * share**0.5)
    assert sum(score > 2 for score in scores) == pytest.approx(23 * share, abs=20 * share**0.5)
    assert max(scores) < limit_of(1000)


@needs_core
def test_another_distribution_of_the_same_std_is_found():
    law = winit.Normal(std=0.02)
    uniform = winit.Uniform(-0.02 * 3**0.5, 0.02 * 3**0.5)
    for shape in ((20, 30), (768, 768)):
        values = drawn(uniform, shape)
        assert kinds(values, law) == ["distribution"]
        assert kinds(values.half(), law) == []  # whose steps are too wide for the bins
    # Not of single elements, and not where several laws lie beside each other.
    values = drawn(law, (64, 64))
    values[3, 3] = 0.0
    assert kinds(values, law) == []
    assert scores_and_findings(values, LAWS["padded"][0])[0].histogram is None
    assert scores_and_findings(values, winit.Sparse(0.5))[0].histogram is None


def test_the_limit_grows_with_the_number_of_tests():
    limits = [limit_of(tests) for tests in (1, 10, 2000)]
    rates = [
        math.erfc(limit / math.sqrt(2)) * n for limit, n in zip(limits, (1, 10, 2000), strict=True)
    ]
    assert rates == pytest.approx([FALSE_ALARM] * 3)


@needs_core
@pytest.mark.parametrize(
    "dtype", ["float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
)
def test_rounding_is_no_finding(dtype):
    for initializer in (
        winit.Normal(std=0.02),
        winit.Uniform(),
        winit.Uniform(-0.03, 0.03),
        winit.TruncNormal(std=0.02),
        winit.Orthogonal(),
        winit.Constant(0.1),
    ):
        values = initializer(torch.empty(1000, 1000).to(getattr(torch, dtype)), key=winit.key(3))
        assert kinds(values, initializer) == [], initializer


@needs_core
def test_bounds_that_are_no_numbers_of_the_dtype():
    """Values that another library has rounded may be one step beyond them."""
    law = winit.Uniform(-0.03, 0.03)
    values = drawn(law, (1000, 1000)).bfloat16()
    assert values.double().max() > 0.03
    assert kinds(values, law) == []


@needs_core
def test_small_faults_are_found():
    law = winit.Normal(std=0.02)
    values = drawn(law, (768, 768))
    assert kinds(values, law) == []
    assert kinds(values * 1.006, law) == ["std"]  # 0.6%, of a standard error of 0.09%
    assert kinds(values * 0.994, law) == ["std"]
    assert kinds(values + 0.0002, law) == ["mean"]
    assert kinds((values * 1.006).bfloat16(), law) == ["std"]
    one_sided = winit.TruncNormal(a=0.0, b=math.inf)
    values = drawn(one_sided, (60, 60))
    assert kinds(values, one_sided) == []
    values[3, 5] = -1e-4
    assert kinds(values, one_sided) == ["bounds"]
    values = drawn(law, (768, 768))
    # The same standard deviation, but no bounds; and the reverse.
    uniform = winit.Uniform(-0.02 * 3**0.5, 0.02 * 3**0.5)
    assert kinds(values, uniform) == ["bounds"]
    assert kinds(drawn(winit.KaimingNormal(), (64, 32)), winit.XavierNormal()) == ["std"]


@needs_core
def test_other_faults_are_found():
    law = winit.Normal(std=0.02)
    assert kinds(torch.zeros(10, 10), law) == ["all zero"]
    assert kinds(torch.ones(10, 10), law) == ["constant"]
    assert kinds(torch.full((10, 10), math.nan), law) == ["not finite"]
    assert kinds(torch.ones(1), law) == []
    assert kinds(torch.zeros(10), winit.Ones()) == ["all zero"]
    assert kinds(torch.full((10,), 0.1), winit.Constant(0.2)) == ["constant"]
    assert kinds(torch.arange(10.0), winit.Zeros()) == ["not constant"]
    assert kinds(drawn(winit.Orthogonal(), (8, 8)) * 1.001, winit.Orthogonal()) == ["std"]
    assert kinds(torch.eye(4) + torch.ones(4, 4), winit.Eye()) != []
    assert kinds(drawn(winit.Sparse(0.25), (80, 80)), winit.Sparse(0.5)) == ["std"]


def test_few_elements_have_no_scores():
    assert scores_and_findings(torch.ones(15), winit.Normal())[0].count == 0
    assert scores_and_findings(torch.randn(16), winit.Normal())[0].count == 2
    assert scores_and_findings(torch.randn(100), winit.Normal())[0].count == 3
    assert scores_and_findings(torch.ones(16), winit.Ones())[0].count == 0


def test_without_a_law_a_matrix_of_one_value_is_odd():
    for values, expected in (
        (torch.zeros(3, 3), ["all zero"]),
        (torch.ones(3, 3), ["constant"]),
        (torch.zeros(3), []),
        (torch.zeros(1, 1), []),
        (torch.eye(3), []),
    ):
        own = statistics_of([values], [0.0])[0]
        found = without_law(own, tuple(values.shape))
        assert [(finding.kind, finding.severity) for finding in found] == [
            (kind, "odd") for kind in expected
        ]
