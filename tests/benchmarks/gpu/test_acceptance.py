"""The acceptance script: its dry run, and what it makes of steps that fail, hang or find nothing.

pip, nvcc and compute-sanitizer are stand-ins here; Python is the real one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from initializers import needs_float8_fill

TESTS = Path(__file__).resolve().parents[2]
SCRIPT = TESTS.parent / "benchmarks" / "gpu" / "acceptance.sh"
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not SCRIPT.exists(), reason="needs Linux and a checkout"
)

REPORTS_ALL = "exit 42"
REPORTS_NOTHING = "exit 0"
REPORTS_THE_CONTROL = 'case "$*" in *./control*) exit 42 ;; esac'


class Run(NamedTuple):
    """What a run of the script left."""

    status: int
    output: str
    folder: Path

    @property
    def summary(self):
        return (self.folder / "summary.md").read_text()

    def result(self, task):
        """What the summary says of a task."""
        line = next(line for line in self.summary.splitlines() if f"| {task} |" in line)
        return line.split(" | ")[2]


@pytest.fixture(scope="module")
def accept(tmp_path_factory):
    """Runs the script with stand-ins that are lines of bash; that of Python sees real Python."""

    def run(*options, python="", **tools):
        folder = tmp_path_factory.mktemp("accept")
        tools = {"nvcc": "touch control", "nvidia-smi": "exit 1", **tools}
        # pip would build, and info show that; the tuning has a test of its own.
        cases = f"{python} *pip*|*info|*gpu.tune*) exit 0 ;;"
        tools["python"] = f'case "$*" in {cases} esac\nexec {sys.executable} "$@"'
        for name, lines in tools.items():
            program = folder / "bin" / name.replace("_", "-")
            program.parent.mkdir(exist_ok=True)
            program.write_text(f"#!/usr/bin/env bash\n{lines}\n")
            program.chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHON": str(folder / "bin" / "python"),
            "CUDA_VISIBLE_DEVICES": "",
            # One folder is enough here.
            "PYTEST_ADDOPTS": " ".join(
                f"--ignore={folder}" for folder in TESTS.iterdir() if folder.name != "cuda"
            ),
        }
        out = folder / "out"
        command = [str(SCRIPT), str(out), *options]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return Run(done.returncode, done.stdout, out)

    return run


@pytest.fixture(scope="module")
def dry_run(accept):
    return accept("--dry-run")


@needs_float8_fill
def test_the_dry_run_starts_every_step(dry_run):
    assert dry_run.status == 0, dry_run.output
    tasks = ("pip install", "every kernel, on the CPU", "benchmarks", "tuning", "tests marked cuda")
    for task in tasks:
        assert dry_run.result(task) == "passed"
    assert "nothing failed" in dry_run.summary.splitlines()[0]
    assert "A DRY RUN on the CPU" in dry_run.summary
    log = (dry_run.folder / "acceptance.log").read_text()
    assert "skipped" in log
    assert "cases are as on the CPU" in log


@needs_float8_fill
def test_the_dry_run_leaves_few_small_files(dry_run):
    files = {path.name: path.stat().st_size for path in dry_run.folder.iterdir()}
    suffixes = {name.rpartition(".")[2] for name in files if name.startswith("dry-run-acceptance-")}
    assert {"json", "md"} <= suffixes <= {"json", "md", "svg"}
    assert files.keys() - {name for name in files if name.startswith("dry-run-acceptance-")} == {
        "summary.md",
        "acceptance.log",
    }
    assert sum(files.values()) < 1_000_000


@needs_float8_fill
def test_the_dry_run_measures_every_initializer(dry_run):
    (results,) = dry_run.folder.glob("*.json")
    data = json.loads(results.read_text())
    assert data["dry_run"]
    assert data["complete"]
    assert {"uniform_", "trunc_normal_", "orthogonal_", "sparse_", "dirac_"} <= {
        row["initializer"] for row in data["rows"]
    }
    assert all("winit_cuda" in row["seconds"] for row in data["rows"])
    page = results.with_suffix(".md").read_text()
    assert "cuRAND fills CUDA memory only" in page
    assert "DRY RUN" in page


def test_a_failing_step_does_not_stop_the_next(accept):
    run = accept(
        "--dry-run", "--steps", "build,tests", python="*pip*) exit 7 ;; *pytest*) exit 0 ;;"
    )
    assert run.status == 1
    assert run.result("pip install") == "FAILED: exit status 7"
    assert run.result("tests marked cuda") == "passed"
    assert "- FAILED: build: pip install" in run.summary
    assert "benchmarks" not in run.summary


def test_a_step_that_hangs_is_stopped(accept):
    hangs = "*pytest*) sleep 60 ;;"
    run = accept("--dry-run", "--steps", "tests", "--limit", "1", python=hangs)
    assert run.status == 1
    assert run.result("tests marked cuda").startswith("FAILED: stopped after")


def test_a_measurement_out_of_time_is_cut_and_no_failure(accept):
    slow = "*gpu.bench*) exit 130 ;; *gpu.tune*) sleep 60 ;;"
    run = accept("--dry-run", "--steps", "bench,tune", "--limit", "9", python=slow)
    assert run.status == 0
    assert run.result("benchmarks").startswith("CUT: not all of it")
    assert run.result("tuning").startswith("CUT: stopped after")
    assert "nothing failed, 2 cut for time" in run.summary.splitlines()[0]


def test_steps_end_within_the_limit_together(accept):
    """The share of the tests is all of it; they get what the benchmarks have left."""
    hangs = "*gpu.bench*|*pytest*) sleep 60 ;;"
    run = accept("--dry-run", "--steps", "bench,tests", "--limit", "6", python=hangs)
    assert run.result("benchmarks").startswith("CUT: stopped after")
    assert run.result("tests marked cuda") in [f"FAILED: stopped after {n} s" for n in (2, 3, 4)]


def test_what_comes_too_late_is_not_started(accept):
    run = accept("--steps", "bits", "--limit", "1", python="*-c*) sleep 60 ;;")
    assert run.result("every kernel as on the CPU") == "FAILED: not started, the time was over"


def test_measurements_get_less_time_than_their_step(accept):
    """They end by themselves and write what they have."""
    tells = 'printf "%s\\n" "$*"; exit 0'
    run = accept(
        "--dry-run", "--steps", "bench", "--limit", "300", python=f"*gpu.bench*) {tells} ;;"
    )
    assert re.search(r"--seconds 8[67]", run.summary)


@pytest.mark.parametrize("steps", ["", ",", "bits,none"])
def test_steps_that_are_none(accept, steps):
    """Nothing that has not run may be said not to have failed."""
    run = accept("--steps", steps)
    assert run.status == 2
    assert "nothing failed" not in run.output


def test_a_core_without_a_gpu_is_no_success(accept):
    run = accept("--steps", "bits", python="*sanitizer_cases*) exit 0 ;;")
    assert run.status == 1
    assert run.result("every kernel as on the CPU") == "passed"
    assert run.result("the core serves every GPU").startswith("FAILED")


@pytest.mark.parametrize(
    ("tool", "status", "kernels"),
    [
        (REPORTS_THE_CONTROL, 0, "passed"),
        (REPORTS_ALL, 1, "FAILED: exit status 42"),
    ],
    ids=["the control", "all"],
)
def test_a_sanitizer_that_reports(accept, tool, status, kernels):
    run = accept("--steps", "sanitizer", compute_sanitizer=tool)
    assert run.status == status
    for name in ("memcheck", "racecheck", "initcheck"):
        assert run.result(f"{name} on every kernel") == kernels


@pytest.mark.parametrize("tool", [REPORTS_NOTHING, "echo Device not supported; exit 1"])
def test_a_sanitizer_that_the_machine_refuses_is_left_out(accept, tool):
    run = accept("--steps", "sanitizer", compute_sanitizer=tool)
    assert run.status == 0, run.output
    assert "nothing failed" in run.summary.splitlines()[0]
    for name in ("memcheck", "racecheck", "initcheck"):
        assert run.result(name) == "LEFT OUT: it does not find the control's error here"
    assert "on every kernel" not in run.summary


def test_without_a_sanitizer_it_is_left_out(accept):
    run = accept("--steps", "sanitizer")
    assert run.status == 0
    assert run.result("compute-sanitizer").startswith("LEFT OUT")


@pytest.mark.parametrize(
    "options", [["--steps", "build,all"], ["--limit", "0"], ["--limit"], ["--fast"], ["another"]]
)
def test_bad_options_exit_with_2(accept, options):
    run = accept(*options)
    assert run.status == 2
    assert not (run.folder / "summary.md").exists()
