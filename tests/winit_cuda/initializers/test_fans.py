"""Fans of weights in other layouts than torch's own, and what follows from them."""

from __future__ import annotations

import math

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core
KEY = winit.key(2)

# (axes, groups and chunks; shape; fan_in, fan_out), by counting connections.
FANS = [
    ({}, (6, 4), (4, 6)),
    ({}, (6, 4, 3, 3), (36, 54)),
    ({"groups": 2}, (6, 4, 3), (12, 9)),
    ({"in_axis": 0, "out_axis": 1}, (6, 4, 3), (18, 12)),
    ({"in_axis": 0, "out_axis": 1, "groups": 3}, (6, 4, 3), (6, 12)),
    ({"groups": 6}, (6, 1, 3, 3), (9, 9)),  # depthwise
    ({"chunks": 3}, (12, 4), (4, 4)),
    ({"chunks": 3, "groups": 2}, (12, 4), (4, 2)),
    ({"in_axis": -1, "out_axis": -2, "batch_axis": 0}, (8, 6, 4), (4, 6)),
    ({"in_axis": 2, "out_axis": (0, 1)}, (8, 6, 4), (4, 48)),
    ({"in_axis": (1, 2), "out_axis": 0}, (4, 8, 6), (48, 4)),
    ({"in_axis": 0, "out_axis": 1}, (4, 6), (4, 6)),
    ({"batch_axis": (2, 3)}, (6, 4, 5, 7), (4, 6)),
]


@pytest.mark.parametrize(("axes", "shape", "expected"), FANS)
def test_fans(axes, shape, expected):
    assert winit.XavierNormal(**axes).fans(shape) == expected
    fan_in, fan_out = expected
    for initializer, std in (
        (winit.XavierNormal(2.0, **axes), 2 * math.sqrt(2 / (fan_in + fan_out))),
        (winit.KaimingNormal(0, "fan_out", "linear", **axes), math.sqrt(1 / fan_out)),
        (winit.VarianceScaling(3.0, "fan_avg", "normal", **axes), math.sqrt(6 / sum(expected))),
    ):
        found = initializer(torch.empty(shape, dtype=torch.float64), key=KEY)
        whole = winit.normal_(torch.empty(shape, dtype=torch.float64), std=std, key=KEY)
        assert torch.allclose(found, whole, rtol=1e-14)
    for initializer, bound in (
        (winit.XavierUniform(**axes), math.sqrt(6 / (fan_in + fan_out))),
        (winit.KaimingUniform(0, "fan_in", "relu", **axes), math.sqrt(6 / fan_in)),
        (winit.LecunUniform(**axes), math.sqrt(3 / fan_in)),
    ):
        found = initializer(torch.empty(shape, dtype=torch.float64), key=KEY)
        whole = winit.uniform_(torch.empty(shape, dtype=torch.float64), -bound, bound, key=KEY)
        assert torch.allclose(found, whole, rtol=1e-14, atol=1e-16)


def test_fans_of_torch():
    for shape in ((6, 4), (6, 4, 3, 3), (1, 1, 1)):
        expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
        assert winit.LecunNormal().fans(shape) == expected


@pytest.mark.parametrize("shape", [(0, 5), (6, 0), (6, 5, 0)])
@pytest.mark.parametrize(
    "initializer",
    [winit.KaimingNormal(), winit.XavierUniform(), winit.LecunNormal(), winit.VarianceScaling()],
)
def test_tensors_without_elements(initializer, shape):
    assert initializer(torch.empty(shape)).shape == shape


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        ({}, (3,), "tensor must be of at least two dimensions"),
        ({"in_axis": 2}, (3, 4), r"tensor must be of a dimension 2, as in_axis is, got shape \(3"),
        ({"in_axis": -2}, (3, 4), "in_axis must be different from out_axis and batch_axis"),
        ({"groups": 2}, (3, 4), r"groups \* chunks must be a divisor of tensor.shape\[0\] = 3"),
        ({"chunks": 2, "batch_axis": 0, "in_axis": 2, "out_axis": 1}, (2, 3, 4),
         r"groups \* chunks must be 1 where dimension 0 is neither"),
    ],
)  # fmt: skip
def test_shapes_without_such_fans(axes, shape, message):
    with pytest.raises(ValueError, match=f"^LecunNormal: {message}"):
        winit.LecunNormal(**axes)(torch.empty(shape))
