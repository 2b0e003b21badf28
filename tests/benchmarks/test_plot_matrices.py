"""The bars of the chart: which matrices they are, and that a reader finds them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from winit_cuda.benchmarks import plot, plot_matrices, report
from winit_cuda.benchmarks.matrices import target_matrices
from winit_cuda.benchmarks.plot_matrices import Bar

from measurements import fill, made_up_report, made_up_row
from winit_cuda._command.console import format_ratio

if TYPE_CHECKING:
    from pathlib import Path

    from winit_cuda.benchmarks.measure import Row

MATRICES = [
    made_up_row(replace(each, isa="avx512"), 2.0 + i)
    for i, each in enumerate(target_matrices("cpu", 2))
]


def results(rows: list[Row]) -> dict[str, Any]:
    return dict(json.loads(report.as_json(made_up_report(rows))))


def test_bars_are_the_float32_matrices_of_the_targets() -> None:
    assert plot_matrices.bars(results(MATRICES)) == [
        Bar("orthogonal_ 512x512", 2.0, 3.5),
        Bar("orthogonal_ 1024x1024", 3.0, 3.5),
        Bar("orthogonal_ 2048x2048", 4.0, 8),
        Bar("orthogonal_ 16384x512", 6.0, 3.5),
        Bar("orthogonal_ 4096x4096", 5.0, 6),
        Bar("orthogonal_, batch 1000x64x64", 8.0, 13),
        Bar("orthogonal_, columns 2048x256", 10.0, None),
        Bar("delta_orthogonal_ 512x512x3x3", 11.0, None),
        Bar("sparse_ 4096x4096", 9.0, 30),
    ]


def test_small_matrices_fewer_threads_and_other_fills_have_none() -> None:
    rows = [
        made_up_row(fill("orthogonal_", 4, threads=2), 2.0),
        made_up_row(fill("orthogonal_", 20, threads=1), 3.0),
        made_up_row(fill("orthogonal_", 20, threads=2), 4.0),
        made_up_row(fill("orthogonal_", 20, "float64", threads=2), 5.0),
        made_up_row(fill("normal_", 20, threads=2), 6.0),
        replace(made_up_row(fill("sparse_", 20, threads=2), 7.0), ratio=None),
    ]
    assert plot_matrices.bars(results(rows)) == [Bar("orthogonal_ 1024x1024", 4.0, None)]
    assert plot_matrices.height([]) == 0.0
    assert plot_matrices.bars(results([])) == []


def test_the_chart_names_every_bar(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [made_up_row(fill("normal_", e, threads=2, isa="avx512"), 8.0) for e in (4, 24)]
    plot.draw(results([*rows, *MATRICES]), tmp_path / "chart.svg")
    root = ElementTree.parse(tmp_path / "chart.svg").getroot()
    texts = ["".join(each.itertext()).strip() for each in root.iter() if "}text" in each.tag]
    for bar in plot_matrices.bars(results(MATRICES)):
        assert bar.label in texts
        assert format_ratio(bar.ratio) in texts
    assert any(text.startswith("Matrices") for text in texts)
    plot.draw(results(rows), tmp_path / "without.svg")
    assert "Matrices" not in (tmp_path / "without.svg").read_text()


def test_a_bar_ends_at_its_ratio_and_has_its_goal() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    plot_matrices.draw_bars(axes, [Bar("a", 2.0, 3.5), Bar("b", 0.25, None), Bar("c", 30.0, 20.0)])
    assert [bar.get_width() for bar in axes.patches] == [2.0, 0.25, 30.0]
    goals = [line.get_xdata()[0] for line in axes.lines]
    assert goals == [3.5, 20.0, 1.0]  # the last is the line where both take as long
    assert [text.get_text() for text in axes.texts] == ["2.00x", "0.250x", "30.0x"]
    low, high = axes.get_xlim()
    assert low < 0.25
    assert high > 30.0
