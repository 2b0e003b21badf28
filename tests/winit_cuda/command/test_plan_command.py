"""``winit-cuda plan``: a table, a file, rules, and what cannot be planned."""

from __future__ import annotations

import sys

import pytest
import torch

import winit_cuda as winit
from winit_cuda._command import cli

SOURCE = """
import torch
from torch import nn

SIZE = 8


class Models:
    @staticmethod
    def small():
        return nn.Sequential(nn.Linear(4, SIZE), nn.Linear(SIZE, 2))


def unset():
    model = nn.Linear(2, 2)
    model.weight = nn.Parameter(torch.empty(2, 2))
    return model


def failing():
    raise ValueError("no such model")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a module of factories."""
    (tmp_path / "factories.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("factories", None)


def test_the_table_and_the_file(folder, capsys):
    assert cli.main(["plan", "factories:Models.small", "--json", "plan.json"]) == 0
    printed = capsys.readouterr().out
    plan = winit.Plan.load(folder / "plan.json")
    assert printed == f"{plan}\n"
    assert "KaimingUniform" in printed
    assert "4 tensors, 58 elements" in printed
    with torch.device("meta"):
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    plan.run(model.to_empty(device="cpu"), seed=0)


def test_rules(folder, capsys):
    (folder / "rules.json").write_text('{"*.bias": "Zeros"}')
    assert cli.main(["plan", "factories:Models.small", "--rules", "rules.json"]) == 0
    assert "Zeros()" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_a_parameter_without_a_law(capsys):
    assert cli.main(["plan", "factories:unset"]) == 1
    assert "1 without a law" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["factories"], "expected MODULE:FACTORY"),
        (["./factories.py:make"], "expected MODULE:FACTORY"),
        (["nowhere:small"], "nowhere:small: No module named 'nowhere'"),
        (["factories:large"], "has no attribute 'large'"),
        (["factories:SIZE"], "factories:SIZE is no callable, but of type int"),
        (["factories:failing"], "no such model"),
        (
            ["torch.nn:Linear"],
            "lambda: Linear(...), got Linear: missing a required argument: 'in_f",
        ),
        (["factories:Models.small", "--rules", "none.json"], "none.json"),
        (["factories:Models.small", "--json", "none/plan.json"], "none/plan.json"),
    ],
)
def test_what_cannot_be_planned(words, message, capsys):
    assert cli.main(["plan", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("winit-cuda: ")
    assert message in captured.err
