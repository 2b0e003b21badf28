"""Entries that were read: to and from JSON, with other laws, in the table."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
import torch
from torch import nn

import models
import winit_cuda as winit


def factory():
    model = nn.ModuleDict({"ppo": models.ActorCritic(), "pieces": models.Pieces()})
    model["norm"] = nn.BatchNorm1d(3)
    model["norm"].odd = nn.Parameter(torch.special.i0(torch.randn(3)))
    return model


def test_json(tmp_path):
    plan = winit.plan(factory)
    plan.save(tmp_path / "plan.json")
    assert winit.Plan.load(tmp_path / "plan.json") == plan
    assert plan["ppo.target.0.weight"].key_name == "ppo.critic.0.weight"
    described = json.loads(plan.to_json())["entries"]
    (embedding,) = [each for each in described if each["name"] == "pieces.embedding.weight"]
    assert embedding["pieces"][0]["offsets"] == [2, 0]
    assert sum(each.get("buffer", False) for each in described) == 3


def test_copies_have_the_same_fills():
    """A copy of a fill would be none of those that the core's lists take."""
    plan = winit.plan(nn.Linear(3, 2), {"*": winit.Normal()})
    for other in (copy.deepcopy(plan), pickle.loads(pickle.dumps(plan))):
        assert other == plan
        assert other["weight"].law == plan["weight"].law
        assert other["weight"].law.fill is plan["weight"].law.fill


@pytest.mark.parametrize("offsets", [[-1, 0], [6, 0], [0], [0, "x"]])
def test_pieces_that_are_none(offsets):
    described = json.loads(winit.plan(lambda: nn.Embedding(6, 4, padding_idx=2)).to_json())
    described["entries"][0]["pieces"][0]["offsets"] = offsets
    with pytest.raises(ValueError, match=r"a piece at|no sizes"):
        winit.Plan.from_json(json.dumps(described))


def test_a_member_of_a_piece_that_is_none():
    described = json.loads(winit.plan(lambda: nn.Embedding(6, 4, padding_idx=2)).to_json())
    described["entries"][0]["pieces"][0]["value"] = 1
    with pytest.raises(ValueError, match="weight: no member of a plan: 'value'"):
        winit.Plan.from_json(json.dumps(described))


def test_other_laws_for_what_was_read():
    """Copies of what gets another law stay copies of each other, and leave its key to it."""

    def three():
        return nn.ModuleList([models.ActorCritic().critic] * 1 + [models.GPT()]).append(
            nn.Transformer(8, 2, 3, 1, 16, batch_first=True)
        )

    rules = {"*layers.0.linear1.bias": winit.Ones(), "1.*": winit.Normal(std=3)}
    plan = winit.plan(three, rules)
    first, second = (plan[f"2.encoder.layers.{i}.linear1.bias"] for i in (1, 2))
    assert plan["2.encoder.layers.0.linear1.bias"].initializer == winit.Ones()
    assert first.key_name == second.key_name
    assert not first.key_name.endswith("layers.0.linear1.bias") or "#" in first.key_name
    assert plan["1.embedding.weight"] == winit.Entry(
        "1.embedding.weight", (20, 8), "float32", winit.Normal(std=3), ("1.head.weight",)
    )
    norm = winit.plan(lambda: nn.BatchNorm1d(3), {"*": winit.Zeros()})
    assert norm["running_var"].initializer == winit.Ones()
    with pytest.raises(ValueError, match="bias: Orthogonal"):
        winit.plan(lambda: nn.Linear(2, 2), {"bias": winit.Orthogonal()})


def test_table():
    lines = str(winit.plan(factory)).splitlines()
    text = "\n".join(lines)
    assert lines[1].split(None, 2)[:2] == ["norm.odd", "none:"]
    assert "Orthogonal(gain=1.414) of ppo.critic.0.weight" in text
    assert "Normal(), [2:3] = Zeros()" in text
    assert "Zeros(), [:, 2:5] = Normal(std=0.1)" in text
    assert "norm.running_var  (buffer)" in text
    assert lines[-1].endswith(", 1 without a law")
