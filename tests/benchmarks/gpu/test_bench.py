"""The benchmarks on a GPU: cases, rivals, measuring, the report and the chart."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import winit_cuda
from benchmarks import cases, plans
from benchmarks.goals import Goal
from benchmarks.gpu import bench, chart, machine, report, rivals, rows
from benchmarks.gpu import cases as gpu_cases
from benchmarks.gpu.rivals import MEMORY, RIVALS, TORCH, US
from benchmarks.many import SmallTensors
from benchmarks.matrices import OrthogonalBatch
from benchmarks.measure import Timing, measure_all
from benchmarks.plot import CHARTED
from initializers import needs_float8_fill

FAST = plans.Plan((), rounds=2, seconds_per_round=1e-4, budget=1.0, reruns=0)


def case(name, exponent=10, dtype="float32", device="cpu"):
    initializer = cases.INITIALIZERS[name]
    return gpu_cases.GpuFill(
        initializer=initializer, exponent=exponent, dtype=dtype, threads=1, device=device
    )


BATCH = OrthogonalBatch(count=4, side=16, dtype="float32", threads=1, device="cpu")


@pytest.fixture
def no_rivals(monkeypatch):
    """They take seconds to compile."""
    monkeypatch.setattr(bench, "RIVALS", {})


# ---------------------------------------------------------------------------- cases


def test_the_plan_spans_sizes_and_dtypes():
    plan = gpu_cases.gpu_plan(dry_run=False).cases
    assert len(plan) == len(set(plan))
    for name in CHARTED:
        sizes = {each.numel for each in plan if each.name == name}
        assert sizes == {1 << exponent for exponent in (4, *range(10, 29, 2))}
        assert {each.dtype for each in plan if each.name == name} == set(cases.DTYPES)
    assert {each.name for each in plan if each.numel == 16} == set(cases.INITIALIZERS)
    matrices = {each.shape for each in plan if each.name == "orthogonal_"}
    assert {(1024, 1024), (2048, 2048), (4096, 4096)} < matrices
    assert {each.device for each in plan} == {"cuda"}


def test_every_goal_is_measured():
    plan = gpu_cases.gpu_plan(dry_run=False).cases
    wanted = {(each.name, each.dtype) for each in plan if each.goal}
    assert set(gpu_cases._LARGE) < wanted
    assert case("normal_", 26).goal == Goal(3, 0.90)
    assert case("normal_", 24).goal is None
    goals = {(each.name, each.shape): each.goal for each in plan}
    assert goals["sparse_", (4096, 4096)] == Goal(1000, 0.3)
    assert goals["orthogonal_", (2048, 2048)] == Goal(8)
    assert goals["orthogonal_", (4096, 4096)] == Goal(8)
    assert goals[OrthogonalBatch.name, (1000, 64, 64)] == Goal(100)
    assert goals[SmallTensors.name, (300,)] == Goal(20)
    assert case("eye_", 4).goal.ratio == 1


def test_what_has_a_goal_comes_before_the_rest():
    """A run that is cut has measured it."""
    plan = gpu_cases.gpu_plan(dry_run=False).cases
    wanted = {(each.name, each.dtype) for each in plan if each.goal}
    seen = [(each.name, each.dtype) for each in plan[:50] if each.goal]
    assert wanted == set(seen)
    assert [each.numel for each in plan[:3]] == [1 << 28] * 3


def test_the_dry_run_is_small_and_on_the_cpu():
    plan = gpu_cases.gpu_plan(dry_run=True).cases
    assert {each.device for each in plan} == {"cpu"}
    small = [each for each in plan if not isinstance(each, SmallTensors)]
    assert all(each.numel <= 4096 for each in small)
    assert len(plan) == len(small) + 1
    assert [each.shape for each in plan if isinstance(each, OrthogonalBatch)] == [(4, 16, 16)]
    assert {each.dtype for each in plan} == set(cases.DTYPES)


# ---------------------------------------------------------------------------- rivals


@pytest.mark.parametrize("name", ["uniform_", "normal_", "trunc_normal_", "constant_"])
@pytest.mark.parametrize("side", RIVALS)
def test_a_rival_draws_from_the_law(side, name):
    """A rival that fills with something else would be measured for nothing."""
    each = case(name, 16)
    tensor = torch.zeros(each.shape)
    try:
        made = RIVALS[side](each, tensor)
        made.call()
    except (rivals.AbsentError, NotImplementedError) as error:
        pytest.skip(str(error)[:100])
    made.wait()
    values = made.sample()
    numbers = rivals.LAWS[name]
    options = {} if name == "constant_" else {"key": winit_cuda.key(1)}
    ours = getattr(winit_cuda, name)(torch.empty(1 << 16), *numbers, **options).double()
    assert len(values) == rivals.SAMPLE
    assert abs(values.mean() - ours.mean()) < 0.07  # four standard errors of a normal mean
    assert abs(values.std() - ours.std()) < 0.07
    if name != "normal_":
        assert values.min() >= min(ours.min(), numbers[-2] if len(numbers) > 1 else 0.5)
        assert values.max() <= max(ours.max(), numbers[-1])


def test_who_cannot_says_why():
    tensor = torch.zeros(32, 32)
    for side, name, why in (
        ("cuRAND (CuPy)", "uniform_", "fills CUDA memory only"),
        ("torch.compile", "sparse_", "only for uniform_"),
        ("torch.func._random", "trunc_normal_", "only for uniform_, normal_"),
    ):
        with pytest.raises(rivals.AbsentError, match=why):
            RIVALS[side](case(name), tensor)


def test_what_is_not_installed_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(rivals.AbsentError, match="jax cannot be imported"):
        RIVALS["JAX rbg"](case("uniform_"), torch.zeros(32, 32))


# ---------------------------------------------------------------------------- measuring


def test_a_case_has_a_time_or_a_note_for_each_side(monkeypatch):
    monkeypatch.setattr(bench, "RIVALS", {"cuRAND (CuPy)": rivals.curand})
    row = bench.measure(case("normal_"), FAST)
    assert set(row.timings) == {US, MEMORY, TORCH}
    assert row.notes == {"cuRAND (CuPy)": "cuRAND fills CUDA memory only"}
    assert row.ratios[US] == 1
    assert row.failure == ""
    assert row.gigabytes_per_second(US) == row.case.bytes / row.timings[US].median / 1e9


def test_a_rival_that_fails_does_not_end_the_case(monkeypatch):
    def broken(*_):
        raise OSError("no library\nno luck")

    monkeypatch.setattr(bench, "RIVALS", {"broken": broken})
    row = bench.measure(case("normal_"), FAST)
    assert row.notes == {"broken": "OSError: no library"}
    assert US in row.timings


@pytest.mark.usefixtures("no_rivals")
def test_a_fill_that_does_nothing_is_a_failure(monkeypatch):
    monkeypatch.setattr(winit_cuda, "normal_", lambda tensor: tensor)
    row = bench.measure(case("normal_"), FAST)
    assert "does not write finite numbers" in row.failure
    assert "torch.nn.init" in row.timings


@pytest.mark.usefixtures("no_rivals")
def test_many_tensors_are_one_case():
    many = gpu_cases.GpuSmallTensors(dtype="float32", threads=1, device="cpu")
    row = bench.measure(many, replace(FAST, budget=0.01))
    assert set(row.timings) == {US, MEMORY, TORCH}
    assert row.failure == ""
    assert row.device == {}


@needs_float8_fill
@pytest.mark.usefixtures("no_rivals")
def test_the_plain_laws_have_times_of_the_launch_alone():
    row = bench.measure(case("uniform_"), FAST)
    assert set(row.device) == {US, MEMORY, TORCH}
    assert set(bench.measure(case("uniform_", dtype="float8_e5m2"), FAST).device) == {US, MEMORY}
    assert bench.measure(case("ones_"), FAST).device == {}
    assert bench.measure(case("uniform_", 4), FAST).device == {}


@pytest.mark.usefixtures("no_rivals")
def test_a_launch_that_cannot_be_captured_costs_no_case(monkeypatch):
    monkeypatch.setattr(bench, "take_turns_in_graphs", lambda *_: 1 / 0)
    row = bench.measure(case("normal_"), FAST)
    assert row.device == {}
    assert row.notes == {"launches alone": "ZeroDivisionError: division by zero"}
    assert US in row.timings


def test_what_compiles_for_long_is_kept_to_a_few_programs():
    tensor = torch.zeros(1 << 10)
    for side in ("torch.compile", "JAX rbg"):
        with pytest.raises(rivals.AbsentError, match="only, to save time"):
            RIVALS[side](case("uniform_", dtype="float16"), tensor)
    with pytest.raises(rivals.AbsentError, match=r"2\^16, 2\^22 and 2\^28"):
        RIVALS["JAX rbg"](case("uniform_", device="cuda"), tensor)


def test_a_batch_is_measured_without_rivals():
    row = bench.measure(BATCH, FAST)
    assert set(row.timings) == {US, MEMORY, TORCH}
    assert row.failure == ""
    assert "only for" in row.notes["JAX rbg"]


@pytest.mark.usefixtures("no_rivals")
def test_what_does_not_fit_is_left_out(monkeypatch):
    monkeypatch.setattr(bench, "memory_missing", lambda _: "skipped: needs 5.0 GiB")
    row = bench.measure(case("normal_"), FAST)
    assert row.timings == {}
    assert row.failure == ""


@pytest.mark.usefixtures("no_rivals")
def test_a_stop_keeps_what_was_measured():
    def begin(each):
        if each.exponent == 4:
            bench._stop()

    plan = replace(FAST, cases=(case("ones_"), case("ones_", 4)))
    measured, complete = measure_all(plan, bench.measure, begin)
    assert len(measured) == 1
    assert not complete


def test_without_a_gpu_it_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench.main([str(tmp_path / "out")]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert machine.describe_gpu() == {}
    assert machine.bandwidths() == {}


@pytest.mark.usefixtures("no_rivals")
def test_when_the_time_is_over_it_writes_what_it_has(monkeypatch, tmp_path):
    plan = replace(FAST, cases=(case("ones_"),) * 40)
    monkeypatch.setattr(bench, "gpu_plan", lambda _: plan)
    seconds = iter(range(100))
    monkeypatch.setattr(bench, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    assert bench.main([str(tmp_path), "--dry-run", "--seconds", "3"]) == 130
    (page,) = tmp_path.glob("dry-run-acceptance-*-incomplete.md")
    assert "INCOMPLETE: stopped after 3 of 40 cases" in page.read_text()


@pytest.mark.usefixtures("no_rivals")
def test_a_failure_is_the_exit_status(monkeypatch, capsys, tmp_path):
    plan = replace(FAST, cases=(case("ones_"), case("zeros_")))
    monkeypatch.setattr(bench, "gpu_plan", lambda _: plan)
    monkeypatch.setattr(winit_cuda, "ones_", lambda tensor: tensor)
    assert bench.main([str(tmp_path), "--dry-run"]) == 1
    assert "FAILED: ones_ float32 2^10" in capsys.readouterr().out


# ---------------------------------------------------------------------------- the report


def made_up_report(made, **changes):
    given = {
        "command": "python -m ...",
        "dry_run": False,
        "complete": True,
        "cases": len(made),
        "machine": {"date": "2025-03-04", "torch": "2.11", "winit_cuda": "0.1", "cpu": "Fast"},
        "gpu_idle": {"name": "Made Up 100", "l2_bytes": 50 << 20},
        "gpu_at_work": {"nvidia_smi": {"clocks.sm": "1980 MHz"}},
        "bandwidths": {"copy": 4.3e12},
        "backend": winit_cuda.backend_info(),
    }
    return rows.GpuReport(rows=made, **{**given, **changes})


def made_up_row(each, notes=None, **seconds):
    sides = {US: 1e-3, "fill_": 9.2e-4, "torch.nn.init": 2e-3, **seconds}
    timings = {side: Timing(each, 0.0, 7, capped=False) for side, each in sides.items()}
    ratios = {side: time / 1e-3 for side, time in sides.items()}
    launches = {US: 1e-4, "fill_": 9e-5, "torch.nn.init": 3e-4} if each.name in CHARTED else {}
    return rows.GpuRow(each, timings, ratios, notes or {}, launches)


ROWS = [
    *(made_up_row(case(name, e)) for name in CHARTED for e in (10, 20, 26)),
    made_up_row(case("uniform_", 26, "bfloat16"), {"JAX rbg": "not there"}),
    made_up_row(case("orthogonal_", 22)),
    made_up_row(BATCH),
    made_up_row(case("uniform_", 4)),
]


def test_the_page_has_times_ratios_and_goals():
    page = report.as_markdown(made_up_report(ROWS))
    assert page.startswith("# Fills on Made Up 100\n")
    assert (
        "| uniform_ | float32 | 8192x8192 | 2.00x | 0.92 | 2.5x MISSED, 0.95 of fill_ MISSED |"
        in page
    )
    assert (
        "| normal_ | float32 | 8192x8192 | 2.00x | 0.92 | 3x MISSED, 0.90 of fill_ reached |"
        in page
    )
    assert (
        "| uniform_ | float32 | 8192x8192 |  | 1.00 ms ±0% | 268 | 0.92 | 2.00x |"
        in page.partition("## Throughput")[2]
    )
    assert "| uniform_ | float32 | 32x32 | L2 |" in page
    assert "| uniform_ | float32 | 1024x1024 | 100 µs | 41.9 | 0.90 | 3.00x |" in page
    assert "- memory, by a copy: 4300 GB/s" in page
    matrices = page.partition("## Matrices")[2].partition("## One call")[0]
    assert "| orthogonal_ | float32 | 2048x2048 |" in matrices
    assert "| orthogonal_, batch | float32 | 4x16x16 |" in matrices
    assert "GPU at work: clocks.sm 1980 MHz" in page
    assert f"JAX rbg, 1 of {len(ROWS)} cases, first uniform_ bfloat16 2^26: not there" in page


def test_tables_are_well_formed():
    page = report.as_markdown(made_up_report(ROWS, complete=False, cases=99))
    for table in page.split("\n\n"):
        lines = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1
    assert "INCOMPLETE: stopped after 13 of 99 cases" in page


def test_json_holds_every_side():
    data = json.loads(report.as_json(made_up_report(ROWS)))
    assert len(data["rows"]) == len(ROWS)
    assert data["rows"][0]["seconds"]["fill_"]["median"] == 9.2e-4
    assert data["rows"][0]["bytes"] == 4096
    assert data["gpu_idle"]["name"] == "Made Up 100"
    assert data["rows"][0]["device_seconds"]["winit_cuda"] == 1e-4
    assert data["bandwidths"] == {"copy": 4.3e12}
    assert "CUDA of torch" in data["versions"]


def test_an_empty_report_can_be_written(tmp_path):
    empty = made_up_report([], complete=False, gpu_idle={})
    names = [path.name for path in report.write(empty, tmp_path)]
    assert {Path(name).suffix for name in names} >= {".json", ".md"}


def test_without_matplotlib_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    names = [path.name for path in report.write(made_up_report(ROWS), tmp_path)]
    stem = "cuda-made-up-100-acceptance-2025-03-04"
    assert names == [f"{stem}.json", f"{stem}.md"]
    page = (tmp_path / f"{stem}.md").read_text()
    assert "No chart: " in page
    assert "winit_cuda[plot]" in page


def test_the_chart_has_both_panels_of_each_law():
    pytest.importorskip("matplotlib")
    axes = chart._figure(made_up_report(ROWS)).axes
    assert [panel.get_title(loc="left") for panel in axes[:3]] == [f"{n}  float32" for n in CHARTED]
    for throughput, ratio in zip(axes[:3], axes[3:], strict=True):
        sides = {line.get_label(): line for line in throughput.lines}
        assert list(sides) == [TORCH, MEMORY, US]
        assert list(sides[US].get_xdata()) == [1 << 10, 1 << 20, 1 << 26]
        assert sides[US].get_ydata()[-1] == pytest.approx(268, rel=0.01)
        shares = {line.get_label(): line for line in ratio.lines}
        assert list(shares[US].get_ydata()) == pytest.approx([0.92] * 3)
        assert list(shares[TORCH].get_ydata()) == pytest.approx([0.46] * 3)
        assert list(shares[MEMORY].get_ydata()) == pytest.approx([1.0] * 3)


def test_every_side_has_a_line_of_its_own():
    styles = [chart._STYLES[side] for side in (US, MEMORY, TORCH, *RIVALS)]
    assert len({style["color"] for style in styles}) == len(styles) == len(chart._STYLES)
