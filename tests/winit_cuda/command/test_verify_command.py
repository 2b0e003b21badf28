"""``winit-cuda verify``: the verdict, the table, the JSON, and exit codes."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._command import cli

pytestmark = needs_core


def factory():
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a plan and a checkpoint of seed 7."""
    winit.plan(factory).save(tmp_path / "init.json")
    torch.save({"model": winit.build(factory, seed=7).state_dict()}, tmp_path / "a.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_seed(capsys):
    assert cli.main(["verify", "a.pt", "--plan", "init.json", "--seed", "7"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "ok: 4 tensors, 58 elements, have the planned weights of seed 7",
        "dtypes: 4 float32",
    ]


def test_another_seed(folder, capsys):
    words = ["verify", "a.pt", "--plan", "init.json", "--seed", "1"]
    assert cli.main([*words, "--seeds", "0-9, 20", "--json", "result.json"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "different: 4 of 4 tensors do not have the planned weights of seed 1"
    assert lines[2].split()[:2] == ["name", "dtype"]
    assert lines[3].split()[:5] == ["model.0.weight", "float32", "32", "of", "32"]
    assert lines[3].split()[-1] == "7"
    result = json.loads((folder / "result.json").read_text())
    assert result["ok"] is False
    assert [one["seeds"] for one in result["different"]] == [[7]] * 4


def test_some_of_the_names(folder, capsys):
    state = torch.load(folder / "a.pt", weights_only=True)["model"]
    del state["1.bias"]
    torch.save({"a": state, "b": state}, folder / "a.pt")
    words = ["verify", "a.pt", "--plan", "init.json", "--seed", "7"]
    assert cli.main(words) == 2
    assert "behind 'a.' and 'b.'; say which as prefix" in capsys.readouterr().err
    assert cli.main([*words, "--prefix", "b."]) == 1
    assert "missing: 1.bias" in capsys.readouterr().out
    assert cli.main([*words, "--prefix", "b.", "--partial"]) == 0


def test_names_are_no_commands_for_a_terminal(folder, capsys):
    state = torch.load(folder / "a.pt", weights_only=True)["model"]
    state["\x1b[2J"] = torch.ones(1)
    torch.save(state, folder / "a.pt")
    assert cli.main(["verify", "a.pt", "--plan", "init.json", "--seed", "7"]) == 1
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"not in the plan: \x1b[2J" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.pt"], "none.pt"),
        (["a.pt", "--plan", "none.json"], "none.json"),
        (["a.pt", "--plan", "a.pt"], "a.pt is no file of Plan.save: "),
        (["init.json"], "init.json: no index of safetensors files"),
        (["."], "must be a folder with .metadata"),
        (["a.pt", "--seeds", "a-b"], "--seeds: expected numbers and ranges such as 0-9"),
        (["a.pt", "--seeds", "9-0"], "--seeds: 9-0 is no range"),
        (["a.pt", "--seeds", "0-999999999"], "--seeds: 0-999999999 is no range"),
        (["a.pt", "--json", "none/result.json"], "none/result.json"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_verified(words, message, capsys):
    plan = [] if "--plan" in words else ["--plan", "init.json"]
    assert cli.main(["verify", *words, *plan, "--seed", "0"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("winit-cuda: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert captured.out == ""
