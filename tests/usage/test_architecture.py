"""The layers: every include and import points to the same folder or to one further down.

`LAYERS` is the order, lowest first; what stands side by side knows nothing of its neighbor. Files
are read as text, so an import inside a function or for a type checker counts as any other.
"""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {
    "csrc": "platform < values < simd cuda < fill < sparse orthogonal many < bindings < testing",
    "winit_cuda": (
        "_version < _core < _keys < _distributed < _fills < _dispatch < _schemes < _initializers"
        " < init < _model < _presets < presets < _verify < __init__ < _command < __main__"
    ),
    "benchmarks": ". < gpu models scale",
}
CSRC = {".h", ".cpp", ".cu"}
# Files that are no part of the program.
APART = {
    "csrc/values/fit_quantile_table.py",
    "benchmarks/gpu/sanitizer_control.cu",
    *(f"benchmarks/gpu/tune/{name}" for name in ("fills.cu", "layouts.h", "lists.cpp")),
}

Arrows = dict[str, set[str]]


def includes(folder: Path) -> Arrows:
    """From each file of C++ or CUDA below `folder` to those of `folder` that it includes."""
    arrows = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in CSRC:
            found = re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE)
            arrows[path.relative_to(folder).as_posix()] = set(found)
    return arrows


def imports(folder: Path) -> Arrows:
    """From each module below `folder`, a package, to the modules of the package it imports."""
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    arrows = {}
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        named = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = package.split(".")[: len(package.split(".")) + 1 - node.level]
                source = ".".join((base if node.level else []) + [node.module or ""]).rstrip(".")
                below = {f"{source}.{alias.name}" for alias in node.names}
                named |= (below & modules.keys()) | ({source} if below - modules.keys() else set())
        arrows[modules[name].relative_to(folder).as_posix()] = {
            modules[each].relative_to(folder).as_posix() for each in named & modules.keys()
        }
    return arrows


def faults(arrows: Arrows, order: str) -> list[str]:
    """What breaks the order: files in no layer, arrows against it, a circle."""
    rank = {name: i for i, names in enumerate(order.split("<")) for name in names.split()}

    def layer(file: str) -> str:
        """The folder of a file; at the top "." where that is a layer, else the file's name."""
        folder, _, _ = file.rpartition("/")
        return folder.split("/")[0] or ("." if "." in rank else Path(file).stem)

    found = []
    for file, used in arrows.items():
        own = layer(file)
        if own not in rank:
            found.append(f"{file} is in no layer")
            continue
        for other in sorted(used):
            if other not in arrows:
                found.append(f"{file} uses {other}, which is not there")
            elif layer(other) != own and rank.get(layer(other), 0) >= rank[own]:
                found.append(f"{file} uses {other}, against the order")
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        found.append("a circle: " + " <- ".join(error.args[1]))
    return found


def arrows_of(name: str) -> Arrows:
    return (includes if name == "csrc" else imports)(ROOT / name)


@pytest.mark.parametrize("name", LAYERS)
def test_every_arrow_points_down(name):
    arrows = arrows_of(name)
    assert len(arrows) > 10
    assert sum(map(len, arrows.values())) > 10
    assert not faults(arrows, LAYERS[name])


def test_every_source_file_is_looked_at():
    looked_at = {f"{name}/{file}" for name in LAYERS for file in arrows_of(name)} | APART
    suffixes = {*CSRC, ".py", ".c", ".cc", ".hpp", ".cuh", ".inc"}
    there = {
        path.relative_to(ROOT).as_posix()
        for name in LAYERS
        for path in (ROOT / name).rglob("*")
        if path.suffix in suffixes
    }
    assert there <= looked_at


def test_the_package_does_not_know_the_benchmarks():
    for path in (ROOT / "winit_cuda").rglob("*.py"):
        assert not re.search(r"^\s*(from|import)\s.*\bbenchmarks\b", path.read_text(), re.MULTILINE)


def test_one_module_of_plans_touches_private_names_of_torch():
    """The linter sees to it that any other use of a private name says so, in its line."""
    private = re.compile(
        r"^(from|import) torch\b.*\b_|\btorch[\w.]*\._(?!_)|(?<!_getframe\(2\))  # noqa: SLF001",
        re.MULTILINE,
    )
    for path in (ROOT / "winit_cuda" / "_model").glob("*.py"):
        found = private.search(path.read_text())
        assert bool(found) == (path.name == "fake_tensors.py"), (path, found)


# ------------------------------------------------------------------------- whether it sees anything

TREES = {
    "an include upwards": (
        includes,
        {"a/x.h": "", "b/y.h": '#include "a/x.h"\n', "a/z.cpp": '#include "b/y.h"\n'},
        ["a/z.cpp uses b/y.h, against the order"],
    ),
    "an include sideways": (
        includes,
        {"b/y.h": "", "c/y.cu": '#include "b/y.h"\n'},
        ["c/y.cu uses b/y.h, against the order"],
    ),
    "a circle of headers": (
        includes,
        {"a/x.h": '#include "a/y.h"\n', "a/y.h": '  # include "a/x.h"\n'},
        ["a circle: a/x.h <- a/y.h <- a/x.h", "a circle: a/y.h <- a/x.h <- a/y.h"],
    ),
    "a file in no layer": (includes, {"d/x.h": "", "x.h": ""}, ["d/x.h is in no layer"]),
    "an include of nothing": (
        includes,
        {"a/x.h": '#include "x.h"\n'},
        ["a/x.h uses x.h, which is not there"],
    ),
    "an import upwards": (
        imports,
        {"a/x.py": "def f():\n    from ..b import y\n", "b/y.py": ""},
        ["a/x.py uses b/y.py, against the order"],
    ),
    "an import for the type checker": (
        imports,
        {"a/x.py": "if TYPE_CHECKING:\n    from ..b.y import z\n", "b/y.py": "z = 1\n"},
        ["a/x.py uses b/y.py, against the order"],
    ),
    "an absolute import": (
        imports,
        {"a/x.py": "import tree.b.y\n", "b/y.py": ""},
        ["a/x.py uses b/y.py, against the order"],
    ),
    "a circle of modules": (
        imports,
        {"a/x.py": "from . import y\n", "a/y.py": "from .x import f\n"},
        ["a circle: a/x.py <- a/y.py <- a/x.py", "a circle: a/y.py <- a/x.py <- a/y.py"],
    ),
    "nothing wrong": (
        imports,
        {"a/x.py": "import math\n", "b/y.py": "from ..a.x import f\nfrom ..a import x\n"},
        [],
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_it_fails_on(name, tmp_path):
    read, files, expected = TREES[name]
    for file, text in files.items():
        path = tmp_path / "tree" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = faults(read(tmp_path / "tree"), "a < b c")
    assert bool(found) == bool(expected)
    assert set(found[:1]) <= set(expected)
