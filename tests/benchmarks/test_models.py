"""What is read of models that others wrote is held against a build, and faults are found."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import models
import winit_cuda as winit
from benchmarks.models import times
from benchmarks.models.__main__ import _said, as_text, totals
from benchmarks.models.check import compared, distance, planned


def factory():
    layers = models.ActorCritic(), models.Pieces(), nn.Linear(40, 40), nn.BatchNorm1d(3)
    model = nn.ModuleList(layers)
    model.register_buffer("table", torch.linspace(0, 1, 5))
    return model


def test_a_plan_that_is_right():
    plan, found = planned(factory)
    checked = compared(factory, plan)
    assert checked["different"] == []
    assert checked["ks_tests"] == 23
    assert 0 < checked["ks_largest"] < 3
    assert found["parameters"] == {"law": 18, "pieces": 5, "copy": 2}
    assert found["buffers"] == {"law": 3, "computed": 1}
    assert found["unset"] == []
    summed = totals([{"type": "a", **found, "growth_mb": 1.0, **checked},
                     {"type": "b", "error": "none"}])  # fmt: skip
    report = {"totals": summed, "types": [found, found]}
    assert json.loads(as_text(report)) == report
    assert (summed["types"], summed["planned"], summed["built"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("2.weight", {"initializer": winit.Uniform(-0.2, 0.2)}, "its std is not that of"),
        ("2.weight", {"initializer": winit.Uniform(0, 0.316)}, "its mean is not that of"),
        ("2.bias", {"initializer": winit.Zeros()}, "not Zeros()"),
        ("0.target.0.weight", {"key_name": "0.actor.0.weight"}, "no copy of 0.actor.0.weight"),
        (
            "0.actor.0.weight",
            {"initializer": winit.Uniform(1, 2)},
            "filled by another distribution",
        ),
        (
            "1.embedding.weight",
            {"pieces": (winit.Piece((2, 0), (1, 4), winit.Ones(), "a"),)},
            "filled with other values",
        ),
    ],
)
def test_plans_that_are_wrong(name, change, message):
    entries = [replace(e, **change) if e.name == name else e for e in planned(factory)[0]]
    found = compared(factory, winit.Plan(entries))["different"]
    assert found[0].startswith(f"{name}: {message}")


def test_errors_of_two_environments_are_alike():
    found = {_said(ValueError(f"at {at}/site-packages/a/b.py:3 in f")) for at in ("/x", "/y/lib")}
    assert found == {"ValueError: at a/b.py:3 in f"}


def test_distances_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    torch.manual_seed(0)
    for other in (torch.randn(300), torch.randn(300).round(), torch.zeros(300)):
        one = torch.randn(300)
        expected = stats.ks_2samp(one.numpy(), other.numpy()).statistic
        assert distance(one, other) == pytest.approx(expected * 300**0.5)


def test_times():
    found = {"a": times.measured(models.GPT, rounds=2)}
    assert [len(seconds) for seconds in found["a"]["seconds"].values()] == [2] * len(times.SIDES)
    assert times.as_markdown(found).splitlines()[-1].startswith("| a | 0 M |")
