"""The laws that JAX and Keras have under these names, by formula and by what is drawn."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from scipy import stats

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core

SHAPE = (400, 300)
FAN = {"fan_in": 300, "fan_out": 400, "fan_avg": 350, "fan_geo_avg": math.sqrt(400 * 300)}
# What jax.nn.initializers and keras.initializers document for each name, as (scale, mode, law).
DOCUMENTED = {
    winit.VarianceScaling(): (1.0, "fan_in", "truncated_normal"),
    winit.LecunNormal(): (1.0, "fan_in", "truncated_normal"),
    winit.LecunUniform(): (1.0, "fan_in", "uniform"),
    winit.XavierUniform(): (1.0, "fan_avg", "uniform"),
    winit.KaimingUniform(): (2.0, "fan_in", "uniform"),
    **{
        winit.VarianceScaling(scale, mode, law): (scale, mode, law)
        for scale in (0.5, 2.0)
        for mode in FAN
        for law in ("uniform", "normal", "truncated_normal")
    },
}


def law_of(scale, mode, law):
    """The distribution by their formulas: variance scale / fan, truncated ones corrected for it."""
    std = math.sqrt(scale / FAN[mode])
    if law == "uniform":
        bound = math.sqrt(3) * std
        return stats.uniform(-bound, 2 * bound)
    if law == "normal":
        return stats.norm(0, std)
    return stats.truncnorm(-2, 2, 0, std / 0.87962566103423978)


@pytest.mark.parametrize("initializer", DOCUMENTED, ids=repr)
def test_the_law_of_the_name(initializer):
    scale, mode, law = DOCUMENTED[initializer]
    expected = law_of(scale, mode, law)
    values = initializer(torch.empty(SHAPE, dtype=torch.float64), key=winit.key(7)).flatten()
    assert stats.kstest(values.numpy(), expected.cdf).pvalue > 1e-3
    assert values.var().item() == pytest.approx(scale / FAN[mode], rel=0.02)
    low, high = expected.support()
    assert low <= values.min().item() <= values.max().item() <= high
    fill, numbers, _ = initializer.law(SHAPE)
    if law == "truncated_normal":
        assert numbers == pytest.approx(
            (0.0, expected.kwds.get("scale", expected.args[3]), low, high)
        )
    assert fill.name == {"truncated_normal": "trunc_normal"}.get(law, law)


def test_torch_names_are_not_truncated():
    """JAX truncates its xavier_normal and kaiming_normal, torch does not; the names are torch's."""
    for initializer, law in (
        (winit.XavierNormal(), law_of(1.0, "fan_avg", "normal")),
        (winit.KaimingNormal(), law_of(2.0, "fan_in", "normal")),
    ):
        values = initializer(torch.empty(SHAPE, dtype=torch.float64), key=winit.key(7)).flatten()
        assert stats.kstest(values.numpy(), law.cdf).pvalue > 1e-3
        assert values.abs().max() > 3 * law.std()


def test_no_variance():
    assert not winit.VarianceScaling(0.0)(torch.ones(3, 4)).any()


@pytest.mark.parametrize(
    "kind",
    [
        *(functools.partial(winit.VarianceScaling, 2.0, mode) for mode in FAN),
        winit.LecunNormal,
        winit.LecunUniform,
        winit.XavierUniform,
        winit.KaimingUniform,
    ],
)
def test_kernels_of_jax_and_keras(kind):
    """(*kernel, in, out), which the axes say, has the law of torch's (out, in, *kernel)."""
    theirs, kernel = kind(in_axis=-2, out_axis=-1), (3, 5, 20, 30)
    assert theirs.fans(kernel) == (3 * 5 * 20, 3 * 5 * 30)
    assert theirs.law(kernel) == kind().law((30, 20, 3, 5))


def test_orthogonal_matrices():
    """An element q of one of n rows and columns has q^2 ~ Beta(1/2, (n - 1) / 2), by its size."""
    whole = winit.Orthogonal(2.0, batch_dims=1)(torch.empty(4000, 6, 6), key=winit.key(7))
    kernel = winit.DeltaOrthogonal(2.0)(torch.empty(70, 60, 3), key=winit.key(7))
    assert not kernel[..., [0, 2]].any()
    squares = (whole[:, 2, 3] / 2) ** 2
    assert stats.kstest(squares.numpy(), stats.beta(0.5, 2.5).cdf).pvalue > 1e-3
    assert (whole[:, 2, 3] > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    center = kernel[..., 1] / 2
    assert torch.allclose(center.T @ center, torch.eye(60), atol=1e-5)
    assert stats.kstest((center[:, 0] ** 2).numpy(), stats.beta(0.5, 34.5).cdf).pvalue > 1e-3


def test_truncated_normal():
    """The deviation is that before truncation, the bounds are counted in it."""
    initializer = winit.TruncNormal(0.5, 2.0, a=-2, b=1, bounds="sigma")
    values = initializer(torch.empty(50_000, dtype=torch.float64), key=winit.key(7))
    law = stats.truncnorm(-2, 1, 0.5, 2.0)
    assert stats.kstest(values.numpy(), law.cdf).pvalue > 1e-3
    assert values.std().item() == pytest.approx(law.std(), rel=0.02)
