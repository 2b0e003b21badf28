"""Rules: files of them, by types of modules, and laws with pieces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core

GATE = winit.Composite(winit.Zeros(), {1: winit.Normal(), -1: winit.Uniform()}, chunks=4)


@pytest.fixture
def model():
    with torch.device("meta"):
        return nn.ModuleDict({"embedding": nn.Embedding(6, 4), "lstm": nn.LSTM(4, 5)})


def test_types_of_modules_and_what_is_around_them(model):
    seen = {}

    def choose(name, parameter, modules):
        seen[name] = [type(module) for module in modules]
        return winit.Zeros() if parameter.dim() == 1 else None

    rules = {(nn.LSTM, nn.GRU): choose, nn.Module: lambda *_: winit.Normal()}
    plan = winit.plan(model, rules)
    assert plan["lstm.bias_ih_l0"].initializer == winit.Zeros()
    assert plan["lstm.weight_ih_l0"].initializer == winit.Normal()
    assert seen["lstm.bias_ih_l0"] == [nn.LSTM, nn.ModuleDict]
    assert not any(name.startswith("embedding") for name in seen)
    with pytest.raises(ValueError, match=r"idle rules: RNN, GRU \(1 in all\)"):
        winit.plan(model, {nn.Module: winit.Ones(), (nn.RNN, nn.GRU): winit.Ones()})


def test_pieces_as_a_constructor_has_them():
    """The same entry, names of keys included."""

    def factory():
        model = nn.Linear(3, 8)
        with torch.no_grad():
            model.bias.zero_()
            model.bias[2:4].normal_()
            model.bias[6:].uniform_()
        return model

    read = winit.plan(factory)["bias"]
    plan = winit.plan(nn.Linear(3, 8), {"bias": GATE, "*": winit.Normal()})
    assert plan["bias"] == read
    assert [piece.key_name for piece in read.pieces] == ["bias", "bias#1"]
    assert winit.Plan.from_json(plan.to_json()) == plan
    assert winit.plan(factory).with_rules({"bias": GATE})["bias"] == read
    padded = winit.Composite(winit.Normal(), {1: winit.Zeros()})
    embedding = winit.plan(lambda: nn.Embedding(6, 4, padding_idx=1))
    assert winit.plan(nn.Embedding(6, 4), {"*": padded}) == embedding


@needs_core
def test_a_run_with_pieces():
    """Signs are flipped of a law and of its pieces apart, also where a rank has a part."""
    initializer = winit.Composite(
        winit.XavierNormal(-1.0), {(0, 2): winit.XavierUniform(-1.0), 3: winit.Ones()}, chunks=4
    )
    plan = winit.plan(nn.Linear(3, 8, bias=False), {"*": initializer})
    model = nn.Linear(3, 8, bias=False)
    plan.run(model, seed=0)
    key = winit.key(0)
    whole = winit.xavier_normal_(torch.empty(8, 3), -1.0, key=winit.fold_in(key, "weight"))
    own = winit.fold_in(key, "weight#1")
    whole[:4] = winit.xavier_uniform_(torch.empty(4, 3), -1.0, key=own)
    whole[6:] = 1
    assert torch.equal(model.weight, whole)
    part = nn.Linear(3, 3, bias=False)
    plan.run(part, seed=0, shards={"weight": winit.Shard((8, 3), (2, 0))})
    assert torch.equal(part.weight, whole[2:5])


def test_pieces_that_do_not_fit(model):
    with pytest.raises(ValueError, match=r"plan: embedding.weight: Composite: tensor must be of a"):
        winit.plan(model, {"*": winit.Composite(winit.Ones(), {9: winit.Ones()})})


def test_a_file_with_pieces(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"bias": GATE.as_dict(), "*": "Ones"}))
    model = nn.Linear(3, 8)
    expected = winit.plan(model, {"bias": GATE, "*": winit.Ones()})
    assert winit.plan(model, path) == expected
    pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    (tmp_path / "rules.toml").write_text(
        '"*" = "Ones"\n[bias]\ninitializer = "Composite"\nchunks = 4\n'
        'base = { initializer = "Zeros" }\n'
        'pieces = [[1, { initializer = "Normal" }], [-1, { initializer = "Uniform" }]]\n'
    )
    with pytest.raises(ValueError, match="idle rules: 'bias'"):  # "*" comes first
        winit.plan(model, tmp_path / "rules.toml")


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("a.json", "{", ValueError, r"rules must be a file of JSON or TOML \(.*a\.json"),
        ("a.json", "[]", ValueError, r"rules must be a file with one object of globs.*a\.json"),
        ("a.json", '{"*": 3}', TypeError, r"'\*' in .*a\.json: .*described must be a mapping"),
        ("a.json", '{"*": "Zero"}', ValueError, r"'\*' in .*a\.json: .*got 'Zero'"),
        ("a.json", '{"*": {"std": 1}}', ValueError, r"'\*' in .*a\.json: .*initializer must be"),
        (
            "a.json",
            '{"b": "Ones", "*": {"initializer": "Normal", "std": -1}}',
            ValueError,
            r"'\*' in .*a\.json: Normal: std must be finite",
        ),
        ("a.json", '{"*": "Ones", "*": "Zeros"}', ValueError, r"'\*' is there twice"),
        (
            "a.json",
            '{"*": {"initializer": "Normal", "std": 1, "std": 2}}',
            ValueError,
            "'std' is there twice",
        ),
        (
            "a.toml",
            '"*.a" = "Ones"\n"*.bias" = "Ones"\n"*.bias" = "Zeros"',
            ValueError,
            r'Cannot overwrite a value \(at end of document\): "\*\.bias" = "Zeros"',
        ),
        (
            "a.toml",
            '"a" = "Ones"\n"a" = "Ones"\n',
            ValueError,
            r'value \(at line 2.*: "a" = "Ones"',
        ),
        ("a.toml", '["*"]\n["*"]', ValueError, r'twice \(at line 2, column \d+\): \["\*"\]'),
        ("a.toml", '"*" = ', ValueError, r"rules must be a file of JSON or TOML \(.*a\.toml"),
        ("a.toml", 'a.bias = "Zeros"', ValueError, r"'a' in .*a\.toml: .*needs quotes in TOML"),
        (
            "a.toml",
            '["*"]\ninitializer = "Ones"\n"*.bias" = "Zeros"',
            ValueError,
            r"'\*' in .*a\.toml: .*a field of Ones must be .*got '\*\.bias'",
        ),
    ],
)
def test_files_that_are_none(model, tmp_path, monkeypatch, name, text, error, message):
    if name.endswith("toml"):
        pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    monkeypatch.chdir(tmp_path)  # errors shorten long paths
    path = Path(name)
    path.write_text(text)
    with pytest.raises(error, match=f"^plan: .*{message}"):
        winit.plan(model, path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"plan: rules must be a file of JSON or TOML"):
        winit.plan(model, path)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"w*": lambda *_: 1 / 0}, r"rule of 'w\*' failed for weight, ZeroDivisionError"),
        ({"*": lambda _: winit.Zeros()}, r"rule of '\*' failed for weight, TypeError: .*2 were"),
        ({nn.Linear: lambda *_: [][0]}, "rule of Linear failed for weight, IndexError"),
    ],
)
def test_functions_that_fail(rule, message):
    with pytest.raises(RuntimeError, match=f"^plan: the {message}") as caught:
        winit.plan(nn.Linear(3, 2), rule)
    assert caught.value.__cause__ is not None
