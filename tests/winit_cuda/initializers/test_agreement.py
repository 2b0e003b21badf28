"""Side by side with JAX and Keras: the laws of the same name, in their layouts of a kernel.

The other tests have these laws by formula; these draw from the libraries, where they are installed.
A kernel is (*kernel, in, out) there, which is said by the axes.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from scipy import stats

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core

LAYOUT = {"in_axis": -2, "out_axis": -1}
SHAPES = [(120, 400), (3, 3, 40, 100)]
HOW = [
    (mode, law)
    for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
    for law in ("uniform", "normal", "truncated_normal")
]
UNTRUNCATED = {"normal": "untruncated_normal"}  # Keras means the truncated one by "normal"
SEED = 3


def scaling(scale, mode, law):
    return winit.VarianceScaling(scale, mode, law, **LAYOUT)


# Ours, with the name and the arguments of theirs.
NAMED = [
    (winit.LecunUniform(**LAYOUT), "lecun_uniform", "LecunUniform", ()),
    (winit.LecunNormal(**LAYOUT), "lecun_normal", "LecunNormal", ()),
    (winit.XavierUniform(**LAYOUT), "glorot_uniform", "GlorotUniform", ()),
    (scaling(1, "fan_avg", "truncated_normal"), "glorot_normal", "GlorotNormal", ()),
    (winit.KaimingUniform(**LAYOUT), "he_uniform", "HeUniform", ()),
    (scaling(2, "fan_in", "truncated_normal"), "he_normal", "HeNormal", ()),
]
JAX = [
    *((ours, name, arguments) for ours, name, _, arguments in NAMED),
    *((scaling(2, *how), "variance_scaling", (2.0, *how)) for how in HOW),
    (winit.TruncNormal(std=0.5, a=-2, b=1, bounds="sigma"), "truncated_normal", (0.5, None, -2, 1)),
    (winit.Normal(std=0.5), "normal", (0.5,)),
    (winit.Uniform(b=0.5), "uniform", (0.5,)),
]
KERAS = [
    *((ours, name, arguments) for ours, _, name, arguments in NAMED),
    *(
        (scaling(2, mode, law), "VarianceScaling", (2.0, mode, UNTRUNCATED.get(law, law)))
        for mode, law in HOW
        if mode != "fan_geo_avg"
    ),
    (winit.TruncNormal(std=0.5, bounds="sigma"), "TruncatedNormal", (0.0, 0.5)),
    (winit.Normal(0.25, 0.5), "RandomNormal", (0.25, 0.5)),
    (winit.Uniform(-1, 2), "RandomUniform", (-1.0, 2.0)),
]


def of_jax(name, arguments, shape):
    jax = pytest.importorskip("jax", reason="jax is not installed")
    made = getattr(jax.nn.initializers, name)(*arguments)
    return np.asarray(made(jax.random.key(SEED), shape, "float32"))


def of_keras(name, arguments, shape):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip("jax", reason="jax, the backend of keras, is not installed")
    keras = pytest.importorskip("keras", reason="keras is not installed")
    return np.asarray(getattr(keras.initializers, name)(*arguments, seed=SEED)(shape))


def check(initializer, theirs):
    """Both samples are of one law: the same deviation and bounds, and none that KS tells apart."""
    ours = initializer(torch.empty(theirs.shape), key=winit.key(SEED)).numpy()
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
    if abs(theirs).max() < 2.5 * theirs.std():  # it is bounded
        assert ours.max() == pytest.approx(theirs.max(), rel=0.01)
        assert ours.min() == pytest.approx(theirs.min(), rel=0.01, abs=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("initializer", "name", "arguments"), JAX)
def test_jax(initializer, name, arguments, shape):
    check(initializer, of_jax(name, arguments, shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("initializer", "name", "arguments"), KERAS)
def test_keras(initializer, name, arguments, shape):
    check(initializer, of_keras(name, arguments, shape))


@pytest.mark.parametrize("shape", [(60, 90), (90, 60)])
@pytest.mark.parametrize(
    ("name", "draw"), [("orthogonal", of_jax), ("Orthogonal", of_keras)], ids=["jax", "keras"]
)
def test_orthogonal(name, draw, shape):
    """They are matrices (in, out), of which ours is the transpose."""
    theirs = draw(name, (2.0,), shape).T
    ours = winit.Orthogonal(2.0)(torch.empty(shape[::-1]), key=winit.key(SEED)).numpy()
    for one in (ours, theirs):
        product = one @ one.T if one.shape[0] < one.shape[1] else one.T @ one
        assert np.allclose(product, 4 * np.eye(60), atol=1e-4)
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3


def test_delta_orthogonal():
    """Of odd kernels: of an even one, JAX takes the first of both middles, and torch the second."""
    theirs = of_jax("delta_orthogonal", (2.0,), (3, 5, 40, 60))
    ours = winit.DeltaOrthogonal(2.0)(torch.empty(60, 40, 3, 5), key=winit.key(SEED)).numpy()
    theirs = np.moveaxis(theirs, (0, 1, 2, 3), (2, 3, 1, 0))
    assert ((ours != 0) == (theirs != 0)).all()
    assert stats.ks_2samp(ours[:, :, 1, 2].ravel(), theirs[:, :, 1, 2].ravel()).pvalue > 1e-3
