"""What laws expect of statistics: against scipy, and against what fills give."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core
from laws import Law
from winit_cuda._initializers.base import _KINDS
from winit_cuda._model.entries import entry_of
from winit_cuda._model.expectation import (
    Expectation,
    _elementwise,
    expectation,
    planned_histogram,
)
from winit_cuda._verify.tensor_statistics import statistics_of


def expected(
    initializer: winit.Initializer | None, shape: tuple[int, ...] = (40, 30)
) -> Expectation:
    found = expectation(entry_of("w", shape, "float32", initializer))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("uniform", (-0.5, 2.0)),
        ("normal", (0.25, 0.02)),
        ("trunc_normal", (0.0, 0.02, -0.04, 0.04)),
        ("trunc_normal", (0.1, 0.5, -2.0, 0.2)),
        ("trunc_normal", (0.0, 1.0, 0.0, math.inf)),
        ("trunc_normal", (0.0, 1.0, 6.0, math.inf)),
        ("trunc_normal", (0.0, 1.0, -8.0, -7.5)),
        ("trunc_normal", (0.0, 1.0, 5.0, 5.001)),
        ("trunc_normal", (0.0, 0.1, -2.0, 2.0)),
    ],
)
def test_moments(name, numbers):
    exact, found = Law(name, numbers).exact, _elementwise(name, numbers, 7)
    mean, variance = exact.stats("mv")
    assert found.mean == pytest.approx(float(mean), rel=1e-9, abs=1e-12)
    assert found.variance == pytest.approx(float(variance), rel=1e-5)
    std = math.sqrt(found.variance)
    third, fourth = (exact.expect(lambda x, k=k: ((x - mean) / std) ** k) for k in (3, 4))
    assert found.third / std**3 == pytest.approx(third, rel=1e-4, abs=1e-6)
    assert found.fourth / std**4 == pytest.approx(fourth, rel=1e-4)


def test_far_out_in_a_tail():
    """There the law is exponential: mean and standard deviation are both 1 / 40."""
    found = expected(winit.TruncNormal(a=40, b=math.inf))
    assert found.mean - 40 == pytest.approx(1 / 40, rel=2e-3)
    assert found.std == pytest.approx(1 / 40, rel=2e-3)


def test_no_deviation():
    for initializer in (winit.Normal(0.3, 0.0), winit.TruncNormal(0.3, 0.0), winit.Constant(0.3)):
        found = expected(initializer)
        assert (found.constant, found.is_random, found.std) == (0.3, False, 0.0)
    assert expected(winit.TruncNormal(3.0, 0.0)).constant == 2.0


LAWS = {
    "uniform": winit.Uniform(0.5, 2.0),
    "normal": winit.Normal(0.25, 0.02),
    "truncated on one side": winit.TruncNormal(std=1.0, a=0.5, b=math.inf),
    "negative": winit.XavierUniform(gain=-2.0),
    "sparse": winit.Sparse(0.3, std=0.5),
    "orthogonal": winit.Orthogonal(gain=2.0),
    "orthogonal, chunks": winit.Orthogonal(chunks=4),
    "padded": winit.Composite(winit.Normal(1.0, 0.5), {0: winit.Zeros(), 2: winit.Uniform()}),
    "gates": winit.Composite(winit.Zeros(), {1: winit.Ones()}, chunks=4),
    "skewed, apart from a constant": winit.Composite(
        winit.TruncNormal(a=0.0, b=math.inf), {0: winit.Constant(2.0)}, chunks=2
    ),
    "eye": winit.Eye(),
}


@needs_core
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *((name, (12, 30)) for name in LAWS),
        *((f"orthogonal{s}", (40, 10)) for s in ("", ", chunks")),
    ],
)
def test_what_fills_give(name, shape):
    """Over many keys, means and errors are those that the law expects."""
    law, keys = expected(LAWS[name], shape), winit.split(winit.key(0), 300)
    fills = [LAWS[name](torch.empty(shape, dtype=torch.float64), key=key) for key in keys]
    values = torch.stack(fills)
    means = values.mean((1, 2)).tolist()
    squares = ((values - law.mean) ** 2).mean((1, 2)).tolist()
    assert law.low <= values.min() <= values.max() <= law.high
    for found, mean, error in (
        (means, law.mean, law.mean_error),
        (squares, law.std**2, law.square_error),
    ):
        room = 4.5 * error / math.sqrt(len(found)) + 1e-6
        assert statistics.fmean(found) == pytest.approx(mean, abs=room)
        # A standard deviation of 300 is known to 4%, where tails are not heavy.
        assert statistics.pstdev(found) == pytest.approx(error, rel=0.2, abs=1e-6)


@needs_core
@pytest.mark.parametrize(
    ("initializer", "shape"),
    [
        (winit.Dirac(groups=2), (6, 2, 3)),
        (winit.DeltaOrthogonal(gain=3.0), (6, 4, 3)),
        (winit.Orthogonal(batch_dims=1), (3, 8, 5)),
    ],
)
def test_convolutions_and_stacks(initializer, shape):
    law = expected(initializer, shape)
    values = initializer(torch.empty(shape), key=winit.key(0)).double()
    assert ((values - law.mean) ** 2).mean().item() == pytest.approx(law.std**2, rel=1e-5)
    assert law.square_error == 0


@needs_core
@pytest.mark.parametrize("name", LAWS)
def test_histograms(name):
    """The bins have as many elements as planned, within 5 standard deviations."""
    initializer, shape = LAWS[name], (120, 400)
    entry = entry_of("w", shape, "float32", initializer)
    found = statistics_of([initializer(torch.empty(shape), key=winit.key(0))], [0.0])[0]
    planned = planned_histogram(entry, found.histogram, found.low, found.high)
    if "orthogonal" in name:
        assert planned == []
        return
    # A constant lies on the edge of a bin, on either side; the ends are a bin's, too.
    off = sum(
        abs(count - mean) > 5 * math.sqrt(mean) + 5
        for count, mean in zip(found.histogram, planned, strict=True)
    )
    assert off <= 2 * (found.zeros > 0)
    assert sum(planned) <= sum(found.histogram) * (1 + 1e-9)
    assert name in ("eye", "gates") or sum(planned) >= 0.95 * sum(found.histogram)


def test_a_histogram_far_out_in_a_tail():
    entry = entry_of("w", (9,), "float32", winit.TruncNormal(a=10.0, b=math.inf))
    planned = planned_histogram(entry, [500, 500], 10.0, 10.2)
    assert planned[0] == pytest.approx(1000 * (1 - math.exp(-1.0)), rel=0.05)
    assert planned[0] / planned[1] == pytest.approx(math.e, rel=0.05)
    entry = entry_of("w", (9,), "float32", winit.TruncNormal(a=60.0, b=math.inf))
    assert planned_histogram(entry, [500, 500], 60.0, 60.2) == []


def test_every_initializer_has_one():
    arguments: dict[str, tuple[float, ...]] = {"Constant": (1.0,), "Sparse": (0.5,)}
    kinds = {name: kind for name, kind in _KINDS.items() if name != "Composite"}
    assert len(kinds) == 18
    for name, kind in kinds.items():
        shape = (8, 4, 3) if name in ("Dirac", "DeltaOrthogonal") else (8, 4)
        assert expected(kind(*arguments.get(name, ())), shape).count == math.prod(shape)


def test_a_uniform_law_has_less_error_than_a_normal_one():
    uniform, normal = expected(winit.Uniform(-1, 1)), expected(winit.Normal(std=3**-0.5))
    assert uniform.std == pytest.approx(normal.std)
    assert uniform.square_error / normal.square_error == pytest.approx(math.sqrt(0.8 / 2))


def test_what_has_no_law():
    assert expectation(entry_of("w", (3, 4), "float32", None)) is None
    overwritten = winit.Composite(winit.Orthogonal(), {0: winit.Zeros()})
    assert expectation(entry_of("w", (3, 4), "float32", overwritten)) is None
    plan = winit.plan(lambda: nn.Linear(3, 4))
    assert all(expectation(entry) is not None for entry in plan)
