"""Layouts as cases, and what a report says of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from winit_cuda.benchmarks import layouts, measure, plans, report, tables
from winit_cuda.benchmarks.cases import INITIALIZERS

from initializers import needs_core
from measurements import made_up_report, made_up_row
from winit_cuda._command.console import markdown_table

FAST = plans.Plan((), rounds=2, seconds_per_round=1e-4, budget=1.0, reruns=0)


def case(layout: str, name: str = "normal_", dtype: str = "float32") -> layouts.LayoutFill:
    return layouts.LayoutFill(
        initializer=INITIALIZERS[name], layout=layout, dtype=dtype, threads=1, device="cpu"
    )


def row(layout: str, of_contiguous: float) -> measure.Row:
    made_up = made_up_row(case(layout), 5.0)
    return replace(made_up, contiguous=made_up.winit_cuda, of_contiguous=of_contiguous)


@pytest.mark.parametrize("name", layouts.LAYOUTS)
def test_shapes_and_memory(name: str) -> None:
    layout = layouts.LAYOUTS[name]
    view = layout.view(torch.empty(layout.memory, device="meta"))
    assert case(name).shape == tuple(view.shape)
    assert view.numel() > 4000
    assert view.is_contiguous() == (name == "channels_last, 1x1")
    if name.startswith("channels_last"):
        form = torch.channels_last_3d if "3d" in name else torch.channels_last
        assert view.is_contiguous(memory_format=form)


def test_the_preset_has_every_layout_for_each_dtype_and_choice() -> None:
    cases = plans.plan("layouts", "cpu", 2).cases
    assert len(cases) == 2 * 5 * len(layouts.LAYOUTS)
    assert {each.threads for each in cases} == {2}
    chosen = plans.plan("layouts", "cpu", 2, None, ["float64"], [1, 2], ["normal_"]).cases
    assert [(each.name, each.threads) for each in chosen[:2]] == [
        ("normal_ transposed, 4096x4096", 1),
        ("normal_ transposed, 4096x4096", 2),
    ]
    assert {each.dtype for each in chosen} == {"float64"}


@needs_core
def test_a_layout_is_measured_against_a_contiguous_tensor() -> None:
    found = measure.measure(case("transposed, 64x64"), FAST)
    assert None not in (found.winit_cuda, found.contiguous, found.torch, found.fill)
    assert found.of_contiguous is not None
    assert found.of_contiguous > 0
    calls = case("transposed, 64x64").setup()
    tensor, contiguous = calls["winit_cuda"](), calls["contiguous"]()
    assert isinstance(tensor, torch.Tensor)
    assert isinstance(contiguous, torch.Tensor)
    assert (tensor.stride(), contiguous.stride()) == ((1, 64), (64, 1))


def test_the_report_says_which_layouts_take_too_long() -> None:
    rows = [row("transposed, 64x64", 1.5), row("rows [::2]", 2.25)]
    line = (
        "At most 2 times the contiguous time: 1 of 2 layouts; longer: "
        "normal_ rows [::2] float32 2^20 (1 thread) 2.25."
    )
    assert tables.layouts_line(rows) == line
    text = report.as_text(made_up_report(rows))
    assert line in text
    assert "of contiguous" in text
    assert report.as_json(made_up_report(rows)).count('"of_contiguous": ') == 2
    others = [made_up_row(case("rows [::2]"), 5.0)]
    assert tables.layouts_line(others) == ""
    assert "of contiguous  " not in report.as_text(made_up_report(others))


def test_the_report_sums_up_each_kind_of_layout() -> None:
    def of(isa: str, layout: str, times: float) -> measure.Row:
        made_up = row(layout, times)
        return replace(made_up, case=replace(made_up.case, isa=isa))

    rows = [of("avx512", "transposed, 64x64", 1.5), of("avx512", "transposed, 128x768", 1.25)]
    rows += [of("avx512", "transposed rows [::2]", 2.25), of("avx2", "columns [:, ::2]", 1.75)]
    rows += [of("avx2", "channels_last_3d, 3x3x3", 1.0), of("avx2", "channels_last, 1x1", 1.5)]
    table = tables.by_kind_of_layout(rows, markdown_table)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert lines[0] == ["layouts", "cases", "avx512 median, longest", "avx2 median, longest"]
    assert lines[2:] == [
        ["transposed", "2", "1.38, 1.50", "-"],
        ["sliced", "1", "2.25, 2.25", "1.75, 1.75"],
        ["channels_last", "2", "-", "1.25, 1.50"],
    ]
    assert table in report.as_markdown(made_up_report(rows))
    assert tables.by_kind_of_layout([made_up_row(case("rows [::2]"), 5.0)], markdown_table) == ""
