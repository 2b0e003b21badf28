"""Parameters with the same values, and keys that a plan gives out twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._model.entries import entry_of
from winit_cuda._verify.duplicates import equal_tensors, repeated_keys, same_values
from winit_cuda._verify.tensor_statistics import statistics_of


def equal(**tensors: torch.Tensor) -> dict[str, str]:
    found = statistics_of(list(tensors.values()), [0.0] * len(tensors))
    return equal_tensors(tensors, dict(zip(tensors, found, strict=True)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e5m2"])
def test_equal_tensors(dtype):
    a = torch.randn(20, 3).to(getattr(torch, dtype))
    b = a.clone()
    permuted = a.flip(0)  # the same statistics
    zeros = torch.zeros(20, 3)
    assert equal(a=a, zeros=zeros, b=b, p=permuted, more=zeros.clone(), c=a.t().clone().t()) == {
        "b": "a",
        "c": "a",
    }
    assert equal(p=permuted, q=permuted.clone(), a=a, b=b) == {"q": "p", "b": "a"}


def test_other_shapes_and_dtypes_are_not_equal():
    a = torch.randn(6, 6)
    assert equal(a=a, b=a.view(4, 9), c=a.double()) == {}


class Copies(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(16, 4))


def test_copies_repeat_keys_and_nothing_else_does():
    """A weight norm computes one parameter from the draws of another, which is no repetition."""
    plan = winit.plan(Copies)
    found = repeated_keys(plan)
    assert found
    assert all(name.startswith("encoder.layers.1.") for name in found)
    text = found["encoder.layers.1.linear1.weight"][0].text
    assert "encoder.layers.0.linear1.weight" in text
    assert "encoder.layers.1.norm1.weight" not in found  # a constant
    assert repeated_keys(winit.plan(lambda: nn.LSTM(4, 8))) == {}


def test_constants_use_no_key():
    for initializer, expected in ((winit.Ones(), []), (winit.Normal(), ["b"])):
        first = entry_of("a", (3, 4), "float32", initializer)
        second = replace(first, name="b", key_name="a")
        assert list(repeated_keys([first, second])) == expected


@needs_core
def test_the_same_values_where_they_are_planned():
    model, plan = winit.build(Copies, 0), winit.plan(Copies)
    found = winit.report(model, plan)
    assert found.ok
    assert {finding.kind for row in found.parameters for finding in row.findings} == {
        "repeated key"
    }
    assert "same values" in {
        finding.kind for row in winit.report(model).parameters for finding in row.findings
    }
    entries = plan["encoder.layers.0.linear1.weight"], plan["encoder.layers.0.linear2.weight"]
    assert [finding.severity for finding in same_values("w", entries)] == ["wrong"]
    unknown = replace(entries[0], initializer=None)
    for planned in ((None, None), (unknown, unknown)):
        assert [finding.severity for finding in same_values("w", planned)] == ["odd"]
