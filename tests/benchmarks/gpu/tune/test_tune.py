"""The tuning run: variants on the CPU, their bits, and what is concluded from made-up times."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace

import pytest
import torch

from benchmarks.gpu.graphs import Times
from benchmarks.gpu.tune import __main__ as command
from benchmarks.gpu.tune import build, report, results, runs
from benchmarks.gpu.tune.kernels import LAWS, Fills, product_fill
from benchmarks.gpu.tune.variants import CONTROL, FILLS, LISTS, on_the_cpu

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="needs a C++ compiler"
)
BASE, AGAIN = results.BASE, results.AGAIN


# ---------------------------------------------------------------------------- variants


def test_every_variant_has_a_name_and_is_tried_once():
    for variants in (FILLS, LISTS):
        names = [each.name for each in variants]
        assert len(set(names)) == len(names)
        ways = [(each.defines, each.blocks_per_processor) for each in variants[1:]]
        assert len(set(ways)) == len(ways)
        assert variants[:2] == CONTROL


def test_every_size_is_one_of_the_header():
    header = (build.CSRC / "platform" / "tuning.h").read_text()
    for variant in (*FILLS, *LISTS):
        for name, _ in variant.defines:
            if name.startswith("WINIT_TUNE_"):
                assert f"#define {name} " in header
        for setting in variant.settings:
            assert f"#define WINIT_TUNE_{setting.partition('=')[0]} " in header


def test_what_a_cpu_does_not_see_is_not_compiled_for_it():
    ways = {on_the_cpu(each).defines for each in FILLS}
    assert not any(name in ("TUNE_STORE", "TUNE_RESIDENT") for way in ways for name, _ in way)
    assert len(ways) < len({each.defines for each in FILLS})


# ---------------------------------------------------------------------------- bits


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return build.Builder(tmp_path_factory.mktemp("tune"), None, jobs=2)


@pytest.fixture(scope="module")
def libraries(builder):
    """A variant of each kind, compiled for the CPU."""
    others = ("blocks of words in flight: 8", "table: rows of 4 and of 2", "stores: 8 bytes")
    chosen = [on_the_cpu(each) for each in FILLS if each in CONTROL or each.name in others]
    assert len(chosen) == 5
    return builder.fills(chosen)


@needs_compiler
@pytest.mark.parametrize("law", LAWS)
def test_the_variants_write_what_the_package_writes(libraries, law):
    for variant, library in libraries.items():
        assert isinstance(library, build.Library), library
        fills = Fills(library.path, 0)
        for dtype in (torch.float32, torch.bfloat16):
            expected, found = (torch.full((20_011,), torch.nan, dtype=dtype) for _ in range(2))
            product_fill(expected, law)
            fills.fill(found, law)
            assert torch.equal(expected, found), (variant, dtype)


@needs_compiler
def test_what_is_not_tuned_is_refused(libraries):
    library = next(iter(libraries.values()))
    with pytest.raises(RuntimeError, match="dtype is not tuned"):
        Fills(library.path, 0).fill(torch.empty(4, dtype=torch.float64), "normal")


@needs_compiler
def test_a_variant_with_other_bits_is_told_and_not_timed(libraries, monkeypatch):
    wrong = "stores: 8 bytes"
    fill = Fills.fill

    def fill_wrongly(self, tensor, law):
        fill(self, tensor, law)
        if self in spoiled:
            tensor[-1] = 0

    spoiled = []
    make = Fills.__init__

    def note(self, path, blocks):
        make(self, path, blocks)
        if [each for each in libraries if each.name == wrong and libraries[each].path == path]:
            spoiled.append(self)

    monkeypatch.setattr(Fills, "__init__", note)
    monkeypatch.setattr(Fills, "fill", fill_wrongly)
    run = runs.Run("cpu", libraries, {}, ends=float("inf"))
    assert wrong not in run.calls()
    assert run.wrong == [f"fill, {wrong}"]


def test_a_compiler_that_fails_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "cpp_compiler", lambda: "false")
    with pytest.raises(build.BuildError, match="false"):
        build.Builder(tmp_path, None, jobs=1).fills(CONTROL)


@needs_compiler
def test_a_variant_that_does_not_compile_leaves_the_others(builder):
    folder = shutil.copytree(builder.folder, builder.folder.with_name("broken"))
    broken = FILLS[2].__class__("table", "none", (("TUNE_LAYOUT", "NoSuchLayout"),))
    made = replace(builder, folder=folder).fills((CONTROL[0], broken))
    assert isinstance(made[CONTROL[0]], build.Library)
    assert "NoSuchLayout" in str(made[broken])


# ---------------------------------------------------------------------------- conclusions


def measured(label="normal", **seconds):
    """Three rounds of each side, as built in 10 µs, the control in 10.1."""
    sides = {BASE: 10.0, AGAIN: 10.1, results.FILL: 8.0, **seconds}
    case = results.Case(label, "float32", 1 << 20)
    return results.Measured(
        case,
        {name: Times((each * 0.99e-6, each * 1e-6, each * 1e-6)) for name, each in sides.items()},
    )


def test_a_gain_within_the_noise_wins_nothing():
    assert measured(**{"stores: .cs": 9.95}).winner == ""
    assert measured(**{"stores: .cs": 9.0}).winner == "stores: .cs"
    assert measured(**{"stores: .cs": 9.0, "stores: .wt": 8.5}).winner == "stores: .wt"
    assert measured(**{"stores: .cs": 9.0}).gain("stores: .cs") == pytest.approx(10 / 9)


def test_fill_and_the_control_win_nothing():
    assert measured(**{AGAIN: 5.0}).winner == ""
    assert measured(**{AGAIN: 5.0}).noise == pytest.approx(1.0)


def test_what_loses_somewhere_is_not_worth_taking():
    cs, wt = "stores: .cs", "stores: .wt"
    cases = [measured("normal", **{cs: 8.0, wt: 9.5}), measured("uniform", **{cs: 11.0, wt: 9.8})]
    found = {each.variant.name: each for each in results.verdicts(cases, FILLS)}
    assert list(found) == [cs, wt]
    assert found[cs].mean == pytest.approx((10 / 8 * 10 / 11) ** 0.5)
    assert (found[cs].take, found[wt].take) == (False, True)
    assert found[cs].worst == pytest.approx(10 / 11)


# ---------------------------------------------------------------------------- the page


def made_up_results(**changes):
    variants = {"threads of a block: 128": 9.0, "table: rows of 2": 11.0}
    given = {
        "command": "python -m ...",
        "dry_run": False,
        "complete": True,
        "machine": {"date": "2025-03-04T01:02:03Z", "cpu": "Fast", "torch": "2.11"},
        "gpu_idle": {"name": "Made Up 100"},
        "gpu_at_work": {"nvidia_smi": {"clocks.sm": "1980 MHz"}},
        "build_seconds": 21.0,
        "fills": [measured(**variants), measured("uniform", **variants)],
        "lists": [measured(**{"threads of a block: 128": 12.0})],
        "crossovers": [
            results.Crossover(
                results.Case("normal", "float32", 1 << 8, 300), 4e-6, 6e-4, 1e-5, 2e-3
            )
        ],
        "kernels": {BASE: {"normal float32": (32, 8)}},
        "wrong": [],
        "not_built": {},
    }
    return results.Results(**{**given, **changes})


def test_the_page_says_what_to_take():
    page = report.as_markdown(made_up_results())
    assert page.startswith("# Tuning on Made Up 100\n")
    assert "| threads of a block: 128 | +11.1% | +11.1% | +11.1% | yes | FILL_THREADS=128 |" in page
    assert "| table: rows of 2 | -9.1% | -9.1% | -9.1% | no | - |" in page
    assert "| threads of a block: 128 | -16.7% | -16.7% | -16.7% | no | LIST_THREADS=128 |" in page
    assert (
        "| normal float32 2^20 | 10 µs ±0% | 0.80 | threads of a block: 128 | -1.0% | +11.1% |"
        in page
    )
    assert "| normal float32 300 x 2^8 | 4 | 600 | 150.00x | 10 | 2000 | 200.00x |" in page
    assert "| as built | 32 / 8 |" in page
    assert "| Rows | 6 | 6.58 |" in page
    assert "GPU at work: clocks.sm 1980 MHz" in page
    for table in page.split("\n\n"):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


def test_the_page_says_what_went_wrong():
    page = report.as_markdown(
        made_up_results(
            complete=False,
            fills=[],
            lists=[],
            crossovers=[],
            wrong=["fill, x"],
            not_built={"y": "z"},
        )
    )
    for words in ("INCOMPLETE", "WRONG BITS: fill, x", "not built: y: z", "Nothing was measured."):
        assert words in page


def test_the_files_are_named_as_those_of_the_benchmarks(tmp_path):
    stem = command.file_stem(made_up_results())
    assert stem == "cuda-made-up-100-tuning-2025-03-04"
    names = [path.name for path in report.write(made_up_results(), tmp_path, stem)]
    assert names == [f"{stem}.json", f"{stem}.md"]
    data = json.loads((tmp_path / names[0]).read_text())
    assert data["rows"][0]["winner"] == "threads of a block: 128"
    assert data["rows"][2]["kernel"] == "list"
    assert data["crossovers"][0]["single_calls"] == 2e-3


# ---------------------------------------------------------------------------- the command


@pytest.fixture
def few_variants(monkeypatch, libraries):
    monkeypatch.setattr(build.Builder, "fills", lambda *_: libraries)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@needs_compiler
@pytest.mark.usefixtures("few_variants")
def test_the_dry_run_looks_at_every_law(tmp_path, capsys):
    assert command.main([str(tmp_path), "--dry-run", "--jobs", "2"]) == 0
    (data,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert data["dry_run"]
    assert data["complete"]
    assert {(row["law"], row["dtype"]) for row in data["rows"] if row["kernel"] == "fill"} == {
        (law, dtype) for law in LAWS for dtype in ("float32", "bfloat16")
    }
    assert "stores: 8 bytes" in data["rows"][0]["gains"]
    assert "0 wrong" in capsys.readouterr().out
    assert "DRY RUN" in next(tmp_path.glob("*.md")).read_text()


@needs_compiler
@pytest.mark.usefixtures("few_variants")
def test_without_time_it_writes_that_it_is_incomplete(tmp_path):
    assert command.main([str(tmp_path), "--dry-run", "--seconds", "0"]) == 130
    (page,) = tmp_path.glob("*-incomplete.md")
    assert "INCOMPLETE" in page.read_text()


def test_without_a_gpu_it_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main([str(tmp_path / "out")]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
