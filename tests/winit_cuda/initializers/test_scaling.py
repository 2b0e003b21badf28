"""The laws that JAX and Keras have under these names, by formula and by what is drawn."""

from __future__ import annotations

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
