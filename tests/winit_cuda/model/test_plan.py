"""Plans by rules: which rule decides, what is told, the table, and the file."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import nn

import winit_cuda as winit

RULES = {
    "*norm.weight": winit.Ones(),
    "*.bias": winit.Zeros(),
    nn.Embedding: winit.TruncNormal(std=0.02),
    re.compile(r"layers\.\d+\.out\.weight"): winit.Normal(std=0.01),
    "*": winit.XavierUniform(),
}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.wq = nn.Linear(8, 6, bias=False)
        self.out = nn.Linear(6, 8)
        self.norm = nn.LayerNorm(8)


class Model(nn.Module):
    def __init__(self, layers=3):
        super().__init__()
        self.embedding = nn.Embedding(16, 8)
        self.layers = nn.ModuleList(Block() for _ in range(layers))
        self.head = nn.Linear(8, 16, bias=False)
        self.head.weight = self.embedding.weight


@pytest.fixture
def model():
    with torch.device("meta"):
        return Model()


def test_the_first_rule_that_matches_decides(model):
    plan = winit.plan(model, RULES)
    assert len(plan) == 1 + 3 * 5
    assert plan["embedding.weight"] == winit.Entry(
        "embedding.weight", (16, 8), "float32", winit.TruncNormal(std=0.02), ("head.weight",)
    )
    assert plan["layers.2.wq.weight"].initializer == winit.XavierUniform()
    assert plan["layers.2.out.weight"].initializer == winit.Normal(std=0.01)
    assert plan["layers.2.out.bias"].initializer == winit.Zeros()
    assert plan["layers.0.norm.weight"].initializer == winit.Ones()
    assert [entry.name for entry in plan][:2] == ["embedding.weight", "layers.0.wq.weight"]
    with pytest.raises(KeyError):
        plan["head.weight"]


def test_rules_in_pairs_and_rules_that_choose(model):
    """A callable that returns None leaves the parameter to the rules behind it."""
    seen = []

    def choose(name, parameter):
        seen.append((name, tuple(parameter.shape)))
        return winit.Normal(std=parameter.shape[1] ** -0.5) if parameter.dim() > 1 else None

    plan = winit.plan(model, [("*", choose), ("*.norm.*", winit.Ones()), ("*", winit.Zeros())])
    assert plan["layers.0.wq.weight"].initializer == winit.Normal(std=8**-0.5)
    assert plan["layers.0.norm.bias"].initializer == winit.Ones()
    assert plan["layers.0.out.bias"].initializer == winit.Zeros()
    assert ("embedding.weight", (16, 8)) in seen


def test_a_star_crosses_dots_and_a_glob_is_of_all_of_the_name():
    model = nn.ModuleDict({"a": nn.ModuleDict({"b": nn.Linear(2, 2)})})
    plan = winit.plan(model, {"a*t": winit.Ones(), "a.?.bias": winit.Zeros()})
    assert plan["a.b.weight"].initializer == winit.Ones()
    with pytest.raises(ValueError, match=r"no rule matches: a\.b\.weight, a\.b\.bias \(2 in all\)"):
        winit.plan(model, [("weight", winit.Ones()), (re.compile("a"), winit.Ones())])


def test_what_no_rule_matches_and_what_matches_nothing(model):
    rules = {"*.bias": winit.Zeros(), "*.baias": winit.Ones(), nn.Conv1d: winit.Ones()}
    message = r"plan: parameters that no rule matches: embedding.weight, .*, \.\.\. \(10 in all\)"
    with pytest.raises(ValueError, match=message):
        winit.plan(model, rules)
    with pytest.warns(UserWarning, match="plan: ") as warned:
        plan = winit.plan(model, rules, strict=False)
    texts = [str(warning.message) for warning in warned]
    assert re.match(message, texts[0])
    assert texts[1].startswith("plan: idle rules: '*.baias', Conv1d")
    assert warned[0].filename == __file__
    assert plan["embedding.weight"].initializer is None
    with pytest.raises(ValueError, match="idle rules: 'x'"):
        winit.plan(model, {"*": winit.Ones(), "x": winit.Zeros()})


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({3: winit.Ones()}, TypeError, "a pattern of rules must be a glob"),
        ({torch.Tensor: winit.Ones()}, TypeError, "a pattern of rules must be a glob"),
        ({"*": 0.02}, TypeError, r"the rule of '\*' must be an initializer such as"),
        ({"*": lambda *_: 0.02}, TypeError, r"what the rule of '\*' returns for embed"),
        ({"*": winit.Zeros}, TypeError, r"the rule of '\*' must be an initializer .* got 'Zeros'"),
        ({"*": winit.Initializer()}, TypeError, r"the rule of '\*' must be an initializer"),
        ({re.compile(b"x"): winit.Ones()}, TypeError, "a pattern of rules must be a glob"),
        ({(): winit.Ones()}, TypeError, "a pattern of rules must be a glob"),
        (3, TypeError, "rules must be a mapping or pairs"),
        ([winit.Ones()], TypeError, "rules must be a mapping or pairs"),
        ({"*": winit.Eye()}, ValueError, "plan: layers.0.out.bias: Eye: tensor must be of 2 dim"),
    ],
)
def test_what_is_no_rule(model, rules, error, message):
    with pytest.raises(error, match=message):
        winit.plan(model, rules)


def test_what_is_no_model():
    with pytest.raises(TypeError, match=r"plan: model must be a torch\.nn\.Module"):
        winit.plan(torch.empty(3), {"*": winit.Ones()})


@pytest.mark.parametrize("kind", ["json", "toml"])
def test_rules_of_a_file(model, tmp_path, kind):
    path = tmp_path / f"rules.{kind}"
    if kind == "json":
        path.write_text(
            '{"*.bias": "Zeros", "*.norm.*": {"initializer": "Constant", "val": 2},'
            ' "*": {"initializer": "Normal", "std": 0.02}}'
        )
    else:
        pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
        path.write_text(
            '"*.bias" = "Zeros"\n"*.norm.*" = { initializer = "Constant", val = 2 }\n'
            '["*"]\ninitializer = "Normal"\nstd = 0.02\n'
        )
    expected = {"*.bias": winit.Zeros(), "*.norm.*": winit.Constant(2), "*": winit.Normal(std=0.02)}
    assert winit.plan(model, path) == winit.plan(model, str(path)) == winit.plan(model, expected)


@pytest.mark.parametrize("text", ["{", "[]", '{"*": {"initializer": "nn.Linear"}}', '{"*": 3}'])
def test_files_without_rules(model, tmp_path, text):
    path = tmp_path / "rules.json"
    path.write_text(text)
    with pytest.raises((ValueError, TypeError), match=r"^plan: "):
        winit.plan(model, path)


def test_other_rules_for_a_plan(model):
    plan = winit.plan(model, RULES)
    changed = plan.with_rules({"*.out.weight": winit.Orthogonal()})
    with pytest.raises(
        ValueError, match=r"^Plan\.with_rules: idle rules: 'embedding\*' \(1 in all\)"
    ):
        plan.with_rules({"embedding*": lambda *_: None})
    with pytest.warns(UserWarning, match=r"^Plan\.with_rules: idle rules"):
        assert plan.with_rules({nn.Embedding: winit.Ones()}, strict=False) == plan
    assert changed["layers.1.out.weight"].initializer == winit.Orthogonal()
    assert changed["embedding.weight"] == plan["embedding.weight"]
    assert plan["layers.1.out.weight"].initializer == winit.Normal(std=0.01)


def test_saved_and_loaded(model, tmp_path):
    plan = winit.plan(model, RULES)
    plan.save(tmp_path / "init.json")
    assert winit.Plan.load(tmp_path / "init.json") == plan
    described = json.loads((tmp_path / "init.json").read_text())
    assert (described["version"], described["stream"]) == (1, 1)
    assert described["entries"][0]["law"]["initializer"] == "TruncNormal"
    unset = winit.Plan([winit.Entry("w", (3,), "bfloat16", None)])
    assert winit.Plan.from_json(unset.to_json()) == unset


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "an object of the format"),
        ({"version": 2}, r"version and stream must be 1 and 1, got \(2, 1\)"),
        ({"stream": 2}, "version and stream"),
        ({"entries": [{"name": "w"}]}, "Plan.from_json: w: 'law' is missing"),
        ({"entries": [3]}, "entries must be a list of objects"),
        ({"entries": {}}, "entries must be a list of objects"),
        ({"note": ""}, r"an object of a plan's members only, got \['note'\]"),
        ({"entries": [{"name": "w", "std": 1}]}, "w: no member of a plan: 'std'"),
    ],
)
def test_files_of_other_things(model, change, message):
    described = json.loads(winit.plan(model, RULES).to_json())
    with pytest.raises(ValueError, match=message):
        winit.Plan.from_json(json.dumps({**described, **change}))
    for text in ("{", "3", "[" * 100_000):
        with pytest.raises(ValueError, match="text must be"):
            winit.Plan.from_json(text)
    with pytest.raises(TypeError, match=r"Plan\.from_json: text must be a string, got 3"):
        winit.Plan.from_json(3)


def test_laws_of_files_run_no_code(model):
    described = json.loads(winit.plan(model, RULES).to_json())
    described["entries"][0]["law"] = {"initializer": "system", "command": "true"}
    with pytest.raises(ValueError, match="initializer must be one of"):
        winit.Plan.from_json(json.dumps(described))
    described["entries"][0].update(law=None, dtype="save")
    with pytest.raises(ValueError, match="no dtype: 'save'"):
        winit.Plan.from_json(json.dumps(described))


def test_the_table(model):
    plan = winit.plan(model, RULES)
    lines = str(plan).splitlines()
    assert re.match(r"embedding\.weight = head\.weight +TruncNormal\(std=0\.02\) +16 x 8", lines[1])
    assert re.match(r"layers\.\{0-2\}\.wq\.weight  \(3\) +XavierUniform\(\) +6 x 8 +", lines[2])
    assert lines[-1] == "16 tensors, 488 elements"
    assert len(lines) == 2 + 6


def test_odd_entries_come_first(model):
    plan = winit.plan(model, RULES).with_rules({"layers.1.wq.weight": winit.Sparse(0.5)})
    assert "layers.1.wq.weight " in str(plan)
    assert "layers.{0-2}.wq.weight  (2)" in str(plan)
    odd = winit.Plan([*plan, winit.Entry("scale", (), "float32", None)])
    assert str(odd).splitlines()[1].split() == ["scale", "none", "scalar", "float32"]
    assert str(odd).endswith("17 tensors, 489 elements, 1 without a law")


@pytest.mark.parametrize(
    ("initializer", "std"),
    [
        (winit.Uniform(-1, 1), 0.5774),
        (winit.TruncNormal(), 0.8796),
        (winit.TruncNormal(a=0, b=float("inf")), 0.6028),
        (winit.TruncNormal(std=0), 0),
        (winit.TruncNormal(a=50, b=60), 0.01998),
        (winit.LecunNormal(), 0.5),
        (winit.KaimingUniform(nonlinearity="relu"), 0.7071),
        (winit.Constant(3), 0),
        (winit.Orthogonal(), 0.5),
        (winit.Sparse(0.4, std=1), 0.5774),
    ],
)
def test_standard_deviations(initializer, std):
    plan = winit.Plan([winit.Entry("w", (3, 4), "float32", initializer)])
    shown = str(plan).splitlines()[1].split("float32")[1].strip()
    assert float(shown) == pytest.approx(std, abs=1e-4)
    plan = winit.Plan([winit.Entry("w", (0, 4), "float32", winit.Normal())])
    assert str(plan).splitlines()[1].endswith("float32")


def test_odd_names():
    model = nn.ModuleDict({"*": nn.Linear(2, 2), "0": nn.Linear(2, 2)})
    assert "*.weight  (2)" in str(winit.plan(model, {"*": winit.Ones()}))
    names = ("01", "1", "\u0661", "größe", "a\nb", "\udc80", "x" * 99)
    odd = nn.ModuleDict({name: nn.Linear(2, 2, False) for name in names})
    plan = winit.plan(odd, {"*": winit.Ones()})
    lines = str(plan).splitlines()
    shown = [line.split()[0].removesuffix(".weight") for line in lines[1:-1]]
    assert shown == [*names[:4], r"a\nb", r"\udc80", names[-1]]
    assert max(map(len, lines[:-2])) < 120
    str(plan).encode()
    assert winit.Plan.from_json(plan.to_json()) == plan
    assert str(winit.plan(nn.ReLU(), {})).splitlines()[-1] == "0 tensors, 0 elements"


def test_lazy_modules():
    with pytest.raises(ValueError, match=r"model must be without lazy parameters, .*: weight"):
        winit.plan(nn.LazyLinear(3), {"*": winit.Ones()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": "48"}, "no sizes"),
        ({"shape": [2.0, 4]}, "no sizes"),
        ({"shape": [-2, 4]}, "no sizes"),
        ({"shape": [True, 4]}, "no sizes"),
        ({"name": None}, "no names"),
        ({"aliases": "abc"}, "no names"),
        ({"aliases": ["w"]}, "of different names, got 'w twice'"),
        ({"dtype": 3}, "Plan.from_json: w: no dtype: 3"),
        ({"key": 3}, "Plan.from_json: w: key must be a str, got 3"),
        ({"buffer": "no"}, "Plan.from_json: w: buffer must be a bool, got 'no'"),
        ({"pieces": {}}, "Plan.from_json: w: pieces must be a list"),
        (
            {"pieces": [{"offsets": [0, 0], "sizes": [1, 4], "law": {"initializer": "Dirac"}}]},
            "Plan.from_json: w: Dirac: tensor must be of 3 to 5 dimensions",
        ),
        ({"law": {"initializer": "Normal", "std": True}}, "std of Normal must be a number or a"),
        (
            {"law": {"initializer": "Composite", "base": {"initializer": "Ones"}, "pieces": []}},
            "Plan.from_json: w: Composite: its use must be where a tensor may have several laws",
        ),
        ({"law": {"initializer": "Eye"}, "shape": [3]}, "Plan.from_json: w: Eye: tensor must be"),
    ],
)
def test_entries_of_files_are_read_strictly(change, message):
    entry = {"name": "w", "shape": [3, 4], "dtype": "float32", "law": None, "aliases": []}
    head = {"format": "winit_cuda plan", "version": 1, "stream": 1}
    assert len(winit.Plan.from_json(json.dumps({**head, "entries": [entry]}))) == 1
    with pytest.raises(ValueError, match=message):
        winit.Plan.from_json(json.dumps({**head, "entries": [{**entry, **change}]}))
    with pytest.raises(ValueError, match="entries must be of different names"):
        winit.Plan.from_json(json.dumps({**head, "entries": [entry, entry]}))
