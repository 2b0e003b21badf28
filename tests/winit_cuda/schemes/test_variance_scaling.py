"""Fans, gains, bounds and deviations of Xavier and Kaiming, against torch's own numbers."""

from __future__ import annotations

import math

import pytest
import torch

import winit_cuda as winit
from initializers import Unchanged, needs_core

NONLINEARITIES = [
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "selu",
]
SHAPES = [(6, 5), (1, 1), (3, 4, 5), (8, 2, 3, 3), (2, 3, 1, 2, 2)]


class Recorder(torch.Tensor):
    """Keeps the numbers that torch's initializer asks uniform_ or normal_ for."""

    def uniform_(self, low, high, generator=None):  # noqa: ARG002
        return self.record("uniform_", low, high)

    def normal_(self, mean, std, generator=None):  # noqa: ARG002
        return self.record("normal_", mean, std)

    def record(self, *call):
        self.call = call
        return self


def numbers_of_torch(name, shape, **arguments):
    recorder = torch.zeros(shape).as_subclass(Recorder)
    getattr(torch.nn.init, name)(recorder, **arguments)
    return recorder.call


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("param", [None, 0, 0.2, -3, 1e10])
def test_gains_are_torch_s(nonlinearity, param):
    ours = winit.calculate_gain(nonlinearity, param)
    theirs = torch.nn.init.calculate_gain(nonlinearity, param)
    assert ours == theirs
    assert type(ours) is type(theirs)


def test_bad_gains():
    with pytest.raises(ValueError, match="calculate_gain: nonlinearity must be one of linear, "):
        winit.calculate_gain("gelu")
    for slope in (True, "1", math.nan, math.inf, None, [1]):
        if slope is None:
            assert winit.calculate_gain("leaky_relu", slope) == math.sqrt(2 / (1 + 0.01**2))
        else:
            with pytest.raises(ValueError, match="calculate_gain: param must be a finite number"):
                winit.calculate_gain("leaky_relu", slope)


@needs_core
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("gain", [1.0, 2, math.sqrt(2), 0.3])
def test_xavier_has_torch_s_numbers(shape, gain):
    key = winit.key(0)
    name, low, high = numbers_of_torch("xavier_uniform_", shape, gain=gain)
    assert name == "uniform_"
    expected = winit.uniform_(torch.empty(shape), low, high, key=key)
    assert torch.equal(winit.xavier_uniform_(torch.empty(shape), gain, key=key), expected)
    name, mean, std = numbers_of_torch("xavier_normal_", shape, gain=gain)
    assert name == "normal_"
    expected = winit.normal_(torch.empty(shape), mean, std, key=key)
    assert torch.equal(winit.xavier_normal_(torch.empty(shape), gain, key=key), expected)


@needs_core
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "FAN_OUT"])
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_kaiming_has_torch_s_numbers(shape, mode, nonlinearity):
    key = winit.key(0)
    arguments = {"a": math.sqrt(5), "mode": mode, "nonlinearity": nonlinearity}
    _, low, high = numbers_of_torch("kaiming_uniform_", shape, **arguments)
    expected = winit.uniform_(torch.empty(shape), low, high, key=key)
    assert torch.equal(winit.kaiming_uniform_(torch.empty(shape), **arguments, key=key), expected)
    _, mean, std = numbers_of_torch("kaiming_normal_", shape, **arguments)
    expected = winit.normal_(torch.empty(shape), mean, std, key=key)
    assert torch.equal(winit.kaiming_normal_(torch.empty(shape), **arguments, key=key), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["xavier_uniform_", "xavier_normal_"])
def test_signs_of_the_gain(name, dtype):
    values = []
    for gain in (0.5, -0.5, 0.0, -0.0):
        torch.manual_seed(0)
        values.append(getattr(winit, name)(torch.full((5, 4), 7.0, dtype=dtype), gain))
    assert torch.equal(values[0], -values[1])
    assert values[0].any()
    for zeros in values[2:]:
        assert not zeros.any()
        assert not zeros.signbit().any()


@needs_core
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_negative_gain_in_float8(dtype):
    key = winit.key(0)
    plus = winit.xavier_normal_(torch.empty(5, 4, dtype=dtype), 2.0, key=key)
    minus = winit.xavier_normal_(torch.empty(4, 5, dtype=dtype).t(), -2.0, key=key)
    assert torch.equal(plus.float(), -minus.float())


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,), (2, 0, 3)])
def test_no_elements_warn_as_in_torch(name, shape):
    tensor = torch.empty(shape)
    with Unchanged(tensor), pytest.warns(UserWarning, match="zero-element") as ours:
        assert getattr(winit, name)(tensor) is tensor
    with pytest.warns(UserWarning, match="zero-element") as theirs:
        getattr(torch.nn.init, name)(tensor)
    assert [str(one.message) for one in ours] == [str(one.message) for one in theirs]
    assert ours[0].filename == __file__
    assert theirs[0].filename in {__file__, torch.nn.init.__file__}  # the latter up to torch 2.9
    old = getattr(winit, name.removesuffix("_"))
    with (
        pytest.warns(FutureWarning, match="deprecated"),
        pytest.warns(UserWarning, match="zero-element") as ours,
    ):
        old(tensor)
    assert {one.filename for one in ours} == {__file__}


@pytest.mark.parametrize("name", ["xavier_uniform_", "xavier_normal_"])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3)])
def test_no_elements_for_xavier(name, shape):
    tensor = torch.empty(shape)
    with Unchanged(tensor):
        assert getattr(winit, name)(tensor) is tensor


@needs_core
def test_transposed_weights_have_transposed_fans():
    weight = torch.empty(100, 3)
    winit.kaiming_uniform_(weight.T, nonlinearity="relu", key=winit.key(0))
    bound = math.sqrt(6 / 100)
    assert 0.9 * bound < weight.abs().max() <= bound
