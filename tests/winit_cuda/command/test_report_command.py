"""``winit-cuda report``: the table, the files, a plan, and what cannot be reported on."""

from __future__ import annotations

import json
import sys

import pytest
from torch import nn

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._command import cli

pytestmark = needs_core
SOURCE = """
import torch
from torch import nn


def small():
    return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))


def unset():
    model = nn.Linear(2, 2)
    model.weight = nn.Parameter(torch.empty(2, 2))
    return model
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a module of factories."""
    (tmp_path / "reported.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("reported", None)


def test_the_table_and_the_files(folder, capsys):
    words = ["--seed", "3", "--batch", "random", "--json", "a.json", "--html", "A.HTML"]
    assert cli.main(["report", "reported:small", *words]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Sequential: as planned\n4 parameters, 154 elements")
    assert "std of the gradient" in printed
    read = json.loads((folder / "a.json").read_text())
    model = winit.build(lambda: nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2)), 3)
    assert read["parameters"][0]["statistics"]["high"] == model[0].weight.max().item()
    assert "as planned" in (folder / "A.HTML").read_text()


def test_a_plan(folder, capsys):
    rules = {"0.weight": winit.Zeros(), "*": winit.Normal(std=3.0)}
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
    winit.plan(model, rules).save(folder / "plan.json")
    assert cli.main(["report", "reported:small", "--plan", "plan.json"]) == 0
    assert "Normal(std=3.0)" in capsys.readouterr().out


def test_what_is_wrong_is_the_exit_code(folder, capsys):
    """A plan that only has some names is no error of the report."""
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))
    winit.plan(model, {"*": winit.Normal(std=1e30)}).save(folder / "plan.json")
    assert cli.main(["report", "reported:small", "--plan", "plan.json", "--batch", "random"]) == 1
    assert "not finite" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reported"], "expected MODULE:FACTORY"),
        (["reported:unset"], "weight has no law"),
        (["reported:small", "--plan", "none.json"], "none.json"),
        (
            ["reported:small", "--html", "a.htm"],
            "--html takes a file that ends in .html, got a.htm",
        ),
        (["reported:small", "--json", "none/a.json"], "none/a.json"),
    ],
)
def test_what_cannot_be_reported_on(words, message, capsys):
    assert cli.main(["report", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_a_plan_that_is_none(capsys):
    assert cli.main(["report", "reported:small", "--plan", "reported.py"]) == 2
    assert capsys.readouterr().err.startswith(
        "winit-cuda: reported.py is no file of Plan.save: Plan.from"
    )
