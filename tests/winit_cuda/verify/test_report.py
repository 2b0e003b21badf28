"""The report on a model: what it says with a plan and without, and in every form."""

from __future__ import annotations

import json
import math
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core


def factory() -> nn.Module:
    return nn.Sequential(nn.Embedding(50, 16, padding_idx=0), nn.Linear(16, 32), nn.Linear(32, 16))


@pytest.fixture(scope="module")
def plan() -> winit.Plan:
    return winit.plan(factory)


@pytest.fixture
def model() -> nn.Module:
    return winit.build(factory, seed=0)


def kinds(found: winit.ModelReport) -> dict[str, list[str]]:
    return {
        row.name: [each.kind for each in row.findings] for row in found.parameters if row.findings
    }


def test_as_planned(model, plan):
    found = winit.report(model, plan)
    assert found.ok
    assert kinds(found) == {}
    assert found.findings == ()
    assert (found.tests, found.elements) == (12, 50 * 16 + 16 * 32 + 32 + 32 * 16 + 16)
    text = str(found)
    assert text.startswith("Sequential: as planned\n5 parameters, 1,872 elements; 12 tests")
    row = found.parameters[0]
    assert (row.name, row.shape, row.dtype) == ("0.weight", (50, 16), "float32")
    assert row.law == "Normal(), [0:1] = Zeros()"
    assert row.expected is not None
    assert row.expected.std == pytest.approx(math.sqrt(0.98))
    assert row.statistics.zeros == 16


def test_another_default_device():
    model, plan = nn.LayerNorm(8), winit.plan(lambda: nn.LayerNorm(8))
    with torch.device("meta"):
        found = winit.report(model, plan)
    assert str(found) == str(winit.report(model, plan))


def test_what_is_wrong_comes_first(model, plan):
    with torch.no_grad():
        model[2].weight.mul_(2)
        model[1].weight[0, 0] = math.nan
        model[1].bias.zero_()
    found = winit.report(model, plan)
    assert not found.ok
    assert (found.wrong, found.odd) == (3, 0)
    assert kinds(found) == {
        "1.weight": ["not finite"],
        "1.bias": ["all zero"],
        "2.weight": ["std", "bounds"],
    }
    assert {row.name for row in found.worst_first[:3]} == set(kinds(found))
    lines = str(found).splitlines()
    assert lines[0] == "Sequential: 3 of 5 parameters are wrong"
    assert any("1 NaN of 512 elements" in line for line in lines[:6])
    assert sum(line.startswith("WRONG") for line in lines) == 3


def test_without_a_plan(model):
    with torch.no_grad():
        model[1].weight.zero_()
        model[2].weight[3, 3] = math.inf
    found = winit.report(model)
    assert kinds(found) == {"1.weight": ["all zero"], "2.weight": ["not finite"]}
    assert (found.tests, found.is_planned, found.wrong, found.odd) == (0, False, 1, 1)
    assert "no plan, so no law" in str(found)


def test_names_and_shapes_of_one_side(plan):
    other = nn.Sequential(nn.Embedding(50, 16), nn.Linear(16, 8), nn.Identity(), nn.Linear(8, 2))
    found = winit.report(other, plan)
    assert kinds(found)["1.weight"] == ["shape"]
    assert [(finding.kind, finding.text) for finding in found.findings] == [
        ("only in the plan", "2.weight"),
        ("only in the plan", "2.bias"),
        ("not in the plan", "2 parameters of the model are not in the plan"),
    ]
    assert not found.ok
    assert str(found).splitlines()[0].endswith("wrong, 3 other things are odd")


def test_names_that_are_all_different(model, plan):
    found = winit.report(nn.Sequential(model), plan)
    assert found.findings[-1].severity == "wrong"
    assert found.findings[-1].text.endswith("nothing was compared")
    assert not found.ok


def test_buffers_have_no_rows():
    def factory() -> nn.Module:
        return nn.BatchNorm1d(4)

    found = winit.report(winit.build(factory, 0), winit.plan(factory))
    assert [row.name for row in found.parameters] == ["weight", "bias"]
    assert found.findings == ()


def test_tied_parametrized_and_computed_weights():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(16, 16)
            self.b = nn.Linear(16, 16)
            self.b.weight = self.a.weight
            self.c = parametrizations.weight_norm(nn.Linear(16, 16))
            self.d = nn.Parameter(torch.log(torch.arange(1.0, 17)))

    found = winit.report(winit.build(Model, 0), winit.plan(Model))
    assert found.ok
    assert kinds(found) == {}
    names = [row.name for row in found.parameters]
    assert "b.weight" not in names
    by_name = {row.name: row for row in found.parameters}
    assert "log" in by_name["d"].law
    assert by_name["d"].expected is None
    wrapped = nn.DataParallel(winit.build(Model, 0))
    assert [row.name for row in winit.report(wrapped, winit.plan(Model)).parameters] == names


def test_a_thousand_parameters_give_no_false_alarm():
    rules = {"*7": winit.Uniform(), "*5": winit.TruncNormal(std=0.02), "*": winit.Normal(std=0.02)}
    model = nn.ParameterDict({f"p{i}": torch.empty(12, 11) for i in range(1000)})
    plan = winit.plan(model, rules)
    for seed in range(2):
        plan.run(model, seed)
        found = winit.report(model, plan)
        assert (found.tests, found.ok, kinds(found)) == (3000, True, {})
    with torch.no_grad():
        model["p3"].add_(0.01)  # half a standard deviation
    assert kinds(winit.report(model, plan)) == {"p3": ["mean"]}


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda: factory().to("meta"), RuntimeError, "0.weight is on meta: fill the model"),
        (lambda: nn.LazyLinear(3), RuntimeError, "weight is lazy: call the model once"),
        (lambda: nn.Linear(2, 2, dtype=torch.complex64), TypeError, "dense and real, got complex"),
        (lambda: "model", TypeError, "report: model must be a torch.nn.Module, got 'model'"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_has_no_report(spoil, error, message):
    with pytest.raises(error, match=message):
        winit.report(spoil())


def test_a_plan_is_a_plan(model):
    with pytest.raises(TypeError, match=r"report: plan must be a winit_cuda.Plan, got 'init.json'"):
        winit.report(model, "init.json")


def test_fake_tensors_have_no_report():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        model = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match=r"report: weight is a fake tensor"):
        winit.report(model)


def test_json(model, plan, tmp_path):
    with torch.no_grad():
        model[1].bias.fill_(math.nan)
    found = winit.report(model, plan, torch.arange(12).view(3, 4))
    found.save(tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    assert read == json.loads(found.to_json()) == found.as_dict()
    assert (read["format"], read["ok"], read["wrong"]) == ("winit_cuda report", False, 1)
    bias = read["parameters"][2]
    assert (bias["name"], bias["statistics"]["nan"], bias["statistics"]["mean"]) == (
        "1.bias",
        32,
        None,
    )
    assert [len(row["statistics"]["histogram"]) for row in read["parameters"]] == [40] * 5
    assert [layer["name"] for layer in read["activity"]["layers"]] == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["report.png", "REPORT.PNG"])
def test_png(name, model, plan, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / name
    winit.report(model, plan, torch.arange(12).view(3, 4)).save(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_png_without_matplotlib(model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'winit_cuda\[plot\]'"):
        winit.report(model).save(tmp_path / "report.png")


def test_endings_in_capitals(model, tmp_path):
    report = winit.report(model)
    report.save(tmp_path / "A.HTML")
    report.save(tmp_path / "A.Json")
    assert (tmp_path / "A.HTML").read_text(encoding="utf-8") == report.to_html()
    assert json.loads((tmp_path / "A.Json").read_text()) == report.as_dict()


def test_other_endings(model, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.json, \.html or \.png, got '.*report\.txt'"):
        winit.report(model).save(tmp_path / "report.txt")


def test_the_table_moves_no_cursor():
    model = nn.ParameterDict({"a\x1b[2Jb": torch.zeros(2, 2)})
    assert "\x1b" not in str(winit.report(model))


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="torch without 4 bits")
def test_packed_dtypes_have_no_report():
    packed = torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    model = nn.Module()
    model.w = nn.Parameter(packed, requires_grad=False)
    with pytest.raises(TypeError, match=r"report: torch computes nothing of w, of .*float4"):
        winit.report(model)


def test_numbers_whose_squares_are_infinite():
    model = nn.ParameterDict({"a": 1e200 * torch.arange(-3.0, 20, dtype=torch.float64)})
    (row,) = winit.report(model, winit.plan(model, {"*": winit.Normal()})).parameters
    assert (row.statistics.low, row.statistics.std) == (-3e200, math.inf)
    assert [finding.kind for finding in row.findings] == ["mean", "std"]


def test_names_of_every_kind(tmp_path):
    names = ["<script>alert(1)</script>", "a b\nc", "\ud800", "caf\u00e9", "'\"&"]
    model = nn.ParameterDict({name: torch.zeros(2, 2) for name in names})
    found = winit.report(model)
    assert "\n  a b\\nc" in str(found)
    assert "\\ud800" in str(found)
    for ending in ("html", "json"):
        found.save(tmp_path / f"report.{ending}")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert [row["name"] for row in json.loads((tmp_path / "report.json").read_text())["parameters"]]


def test_tables_fit_a_narrow_terminal(model, plan, monkeypatch):
    found = winit.report(model, plan, torch.arange(12).view(3, 4))
    shown = winit.verify(model, plan, seed=1)
    texts = [str(found), str(plan), str(shown)]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    narrow = [str(found), str(plan), str(shown)]
    assert [text.split() for text in narrow] == [text.split() for text in texts]
    for text, wide in zip(narrow, texts, strict=True):
        rows = text.splitlines()
        assert max(map(len, wide.splitlines()[2:])) > 80 or text == wide
        assert max(map(len, rows[2:])) <= 80
    assert "1.bias  Uniform(a=-0.25, b=0.25)\n    -0.2" in narrow[0]
    monkeypatch.setenv("COLUMNS", "200")
    assert [str(found), str(plan), str(shown)] == texts
