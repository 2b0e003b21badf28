"""The chart of the benchmarks, and the command that draws it."""

from __future__ import annotations

import json
import sys
from itertools import product
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from winit_cuda.benchmarks import plot, report

from measurements import fill, made_up_report, made_up_row
from winit_cuda._command import cli
from winit_cuda._command.console import CommandError

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    made_up_row(fill(name, exponent, dtype, threads), 8.0, seconds=2.0**exponent * 1e-9 / threads)
    for name, exponent, dtype, threads in product(
        ("uniform_", "normal_", "ones_"), (20, 4), ("float32", "bfloat16", "float16"), (1, 2)
    )
]
NAMES = ["winit_cuda, 2 threads", "winit_cuda, 1 thread", "torch.nn.init, 2 threads"]
NAMES += ["memory limit (fill_), 2 threads"]


def results(rows: list[Any] = ROWS, *, complete: bool = True) -> dict[str, Any]:
    return dict(json.loads(report.as_json(made_up_report(rows, complete=complete))))


def texts(svg: Path) -> list[str]:
    """What a reader of the chart reads."""
    root = ElementTree.fromstring(svg.read_text(encoding="utf-8"))
    return ["".join(each.itertext()).strip() for each in root.iter() if each.tag.endswith("}text")]


# ---------------------------------------------------------------------------- what is drawn


def test_panels_are_initializers_by_dtypes() -> None:
    found = plot.panels(results())
    assert [(panel.name, panel.dtype) for panel in found] == [
        ("uniform_", "float32"),
        ("normal_", "float32"),
        ("uniform_", "bfloat16"),
        ("normal_", "bfloat16"),
    ]


def test_lines_are_throughput_by_size() -> None:
    panel = plot.panels(results())[0]
    lines = {line.label: line.points for line in panel.lines}
    assert sorted(lines) == sorted(NAMES)
    # made_up_row: a nanosecond an element and thread, torch 8 times as long, fill_ half as long
    for label, expected in zip(NAMES, (2.0, 1.0, 0.25, 4.0), strict=True):
        assert list(lines[label]) == [16, 1 << 20]
        assert list(lines[label].values()) == pytest.approx([expected] * 2, rel=1e-3)
    assert panel.ratio == (1 << 20, 8.0)


def test_memory_limit_is_the_median_over_all_fills_of_a_dtype() -> None:
    rows = [
        made_up_row(fill(name, 20), 8.0, seconds=1e-3, fill_ratio=part)
        for name, part in (("normal_", 0.1), ("ones_", 0.2), ("eye_", 7.0))
    ]
    (panel,) = plot.panels(results(rows))
    (limit,) = (line.points for line in panel.lines if line.label.startswith("memory"))
    assert limit == pytest.approx({1 << 20: 2**20 / 0.2e-3 / 1e9})


def test_one_number_of_threads_is_one_line() -> None:
    (panel,) = plot.panels(results([made_up_row(fill("normal_", 20), 8.0)]))
    assert [line.label for line in panel.lines].count("winit_cuda, 1 thread") == 1
    assert len(panel.lines) == 3


def test_on_cuda_the_threads_of_the_cpu_are_not_named() -> None:
    on_cuda = results()
    on_cuda["device"] = "cuda"
    on_cuda["machine"]["cuda_devices"] = ["Fast GPU (sm_90)"]
    labels = {line.label for panel in plot.panels(on_cuda) for line in panel.lines}
    assert labels == {"winit_cuda", "torch.nn.init", "memory limit (fill_)"}
    assert plot.subtitle(on_cuda).startswith("Fast GPU (sm_90), winit_cuda 0.1.0, torch 2.9, ")


def test_torch_may_be_missing() -> None:
    without = results()
    for row in without["rows"]:
        row["torch"] = row["ratio"] = None
    panel = plot.panels(without)[0]
    assert panel.ratio is None
    assert len(panel.lines) == 3


def test_subtitle_says_machine_versions_and_day() -> None:
    line = plot.subtitle(results(complete=False))
    assert line.startswith("Fast CPU (R) 9")
    assert line.endswith(", winit_cuda 0.1.0, torch 2.9, 2025-03-04, INCOMPLETE")


# ---------------------------------------------------------------------------- the file


def test_svg_holds_titles_units_and_labels(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    chart = tmp_path / "chart.svg"
    plot.draw(results(), chart)
    read = texts(chart)
    assert plot.subtitle(results()) in read
    for text in ("uniform_  float32", "normal_  bfloat16", "elements", "G elements / s"):
        assert text in read
    for label in NAMES:
        assert read.count(label) == 1
    assert read.count("8.00x torch") == 4


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    mpl = pytest.importorskip("matplotlib")
    plot.draw(results(), tmp_path / "1.svg")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):  # the user's own style
        plot.draw(results(), tmp_path / "2.svg")
    first = (tmp_path / "1.svg").read_bytes()
    assert first == (tmp_path / "2.svg").read_bytes()
    assert b"<dc:date>" not in first
    assert mpl.__version__.encode() not in first


def test_png(tmp_path: Path) -> None:
    mpl = pytest.importorskip("matplotlib")
    plot.draw(results(), tmp_path / "1.png")
    plot.draw(results(), tmp_path / "2.png")
    first = (tmp_path / "1.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "2.png").read_bytes()
    assert mpl.__version__.encode() not in first


def test_nothing_to_draw(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(CommandError, match="a chart needs one of uniform_, normal_"):
        plot.draw(results([made_up_row(fill("ones_"), 2.0)]), tmp_path / "chart.svg")


# ---------------------------------------------------------------------------- the command

ONE_CASE = ["bench", "--quick", "--device", "cpu", "--sizes", "16", "--threads", "1"]
ONE_CASE += ["--dtypes", "float32", "--initializers"]


@pytest.fixture
def results_file(tmp_path: Path) -> Path:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(results()), encoding="utf-8")
    return file


def test_results_are_drawn_without_measuring(
    results_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("winit_cuda.benchmarks.command.measure_all", None)
    chart = results_file.with_name("chart.svg")
    assert cli.main(["bench", "--plot", str(chart), "--from", str(results_file)]) == 0
    assert capsys.readouterr().out == f"wrote {chart}\n"
    assert cli.main(["bench", "--from", str(results_file), "--plot"]) == 0
    assert results_file.with_suffix(".svg").read_bytes() == chart.read_bytes()


def test_bench_draws_what_it_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert cli.main([*ONE_CASE, "normal", "--output", str(tmp_path), "--plot"]) == 0
    written = {path.suffix: path for path in tmp_path.iterdir()}
    assert set(written) == {".json", ".md", ".svg"}
    assert len({path.stem for path in written.values()}) == 1
    drawn = written[".svg"].read_bytes()
    assert cli.main(["bench", "--from", str(written[".json"]), "--plot"]) == 0
    assert written[".svg"].read_bytes() == drawn


def test_the_chart_goes_beside_the_json(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert cli.main([*ONE_CASE, "normal", "--json", str(tmp_path / "only.json"), "--plot"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"only.json", "only.svg"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--plot", "chart.txt"], "a chart is .svg or .png, got chart.txt"),
        (["--plot", "/nowhere/chart.svg"], "No such file or directory"),
        (["--initializers", "ones", "--plot"], "a chart needs one of uniform_"),
        (["--dtypes", "float16", "--plot"], "in float32, bfloat16, float64"),
        (["--from", "results.json"], "--from goes with --plot and nothing else"),
        (["--from", "x.json", "--plot", "--quick"], "--from goes with --plot and nothing else"),
        (["--from", "/nowhere/x.json", "--plot"], "No such file or directory"),
    ],
)
def test_what_cannot_be_drawn_is_found_first(
    words: list[str],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("winit_cuda.benchmarks.command.measure_all", None)
    assert cli.main(["bench", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert reason in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": []}', "\x00"])
def test_other_files_are_refused(
    text: str, results_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    results_file.write_text(text, encoding="utf-8")
    assert cli.main(["bench", "--plot", "--from", str(results_file)]) == 2
    assert f"{results_file} is not the JSON of this version" in capsys.readouterr().err


def test_without_matplotlib_it_says_what_to_install(
    results_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for words in (["--from", str(results_file)], []):
        assert cli.main(["bench", "--plot", *words]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("winit-cuda: matplotlib cannot be imported")
        assert "pip install 'winit_cuda[plot]'" in printed.err
        assert printed.err.count("\n") == 1
