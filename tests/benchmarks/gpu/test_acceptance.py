"""The acceptance script: its dry run, and what it makes of steps that fail, hang or find nothing.

pip, nvcc and compute-sanitizer are stand-ins here; Python is the real one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

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
        # pip would build, and info show that.
        cases = f"{python} *pip*|*info) exit 0 ;;"
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


def test_the_dry_run_starts_every_step(dry_run):
    assert dry_run.status == 0, dry_run.output
    for task in ("pip install", "tests marked cuda", "every kernel, on the CPU", "benchmarks"):
        assert dry_run.result(task) == "passed"
    assert "nothing failed" in dry_run.summary.splitlines()[0]
    assert "A DRY RUN on the CPU" in dry_run.summary
    assert "skipped" in (dry_run.folder / "tests.log").read_text()
    assert "cases are as on the CPU" in (dry_run.folder / "sanitizer.log").read_text()


def test_the_dry_run_leaves_few_small_files(dry_run):
    files = {path.name: path.stat().st_size for path in dry_run.folder.iterdir()}
    logs = {f"{step}.log" for step in ("build", "tests", "sanitizer", "bench")}
    expected = logs | {"summary.md", "results.json", "results.md"}
    assert expected <= files.keys() <= expected | {"chart.svg"}
    assert sum(files.values()) < 1_000_000


def test_the_dry_run_measures_every_initializer(dry_run):
    data = json.loads((dry_run.folder / "results.json").read_text())
    assert data["dry_run"]
    assert data["complete"]
    assert {"uniform_", "trunc_normal_", "orthogonal_", "sparse_", "dirac_"} <= {
        row["initializer"] for row in data["rows"]
    }
    assert all("winit_cuda" in row["seconds"] for row in data["rows"])
    page = (dry_run.folder / "results.md").read_text()
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
    assert not (run.folder / "bench.log").exists()


def test_a_step_that_hangs_is_stopped(accept):
    hangs = "*pytest*) sleep 60 ;;"
    run = accept("--dry-run", "--steps", "tests", "--limit", "1", python=hangs)
    assert run.status == 1
    assert "the step's limit is 1 s" in run.result("tests marked cuda")


def test_tests_that_all_skip_are_no_success(accept):
    run = accept("--steps", "tests", python="*pytest*) exit 0 ;;")
    assert run.result("tests marked cuda") == "passed"
    assert run.status == 1
    assert run.result("the core serves every GPU").startswith("FAILED")


@pytest.mark.parametrize(
    ("tool", "control", "kernels"),
    [
        (REPORTS_THE_CONTROL, "passed", "passed"),
        (REPORTS_NOTHING, "FAILED: exit status 0 instead of 42", "passed"),
        (REPORTS_ALL, "passed", "FAILED: exit status 42"),
    ],
    ids=["the control", "nothing", "all"],
)
def test_a_sanitizer_that_reports(accept, tool, control, kernels):
    run = accept("--steps", "sanitizer", compute_sanitizer=tool)
    assert run.status == (0 if (control, kernels) == ("passed", "passed") else 1)
    for name in ("memcheck", "racecheck", "initcheck"):
        assert run.result(f"{name} finds the error of the control") == control
        assert run.result(f"{name} on every kernel") == kernels


def test_a_control_that_does_not_run_is_a_failure(accept):
    run = accept(
        "--steps", "sanitizer", compute_sanitizer='case "$*" in *./control*) exit 3 ;; esac'
    )
    assert run.status == 1
    assert "exit status 3 instead of 42" in run.result("racecheck finds the error of the control")


@pytest.mark.parametrize(
    "options", [["--steps", "build,all"], ["--limit", "0"], ["--limit"], ["--fast"], ["another"]]
)
def test_bad_options_exit_with_2(accept, options):
    run = accept(*options)
    assert run.status == 2
    assert not (run.folder / "summary.md").exists()
