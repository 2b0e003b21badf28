"""The install: setup.py says no in one line, and what it built is what is installed."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

from build_backend.toolkit import Nvcc
from machine import program

ROOT = Path(__file__).resolve().parents[2]


def run_setup(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("setuptools", minversion="64")
    return subprocess.run(
        [sys.executable, str(ROOT / "setup.py"), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_extra_of_the_tests_has_what_the_commands_need() -> None:
    """The commands and the benchmarks are tested, too, where nothing else was installed."""
    tomllib = pytest.importorskip("tomllib", reason="from Python 3.11 on")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert set(extras["bench"]) <= set(extras["test"])


@pytest.mark.parametrize("command", ["build_py", "build_ext"])
def test_setup_says_no_in_one_line(tmp_path: Path, command: str) -> None:
    done = run_setup("-q", command, f"--build-lib={tmp_path / 'lib'}", WINIT_CUDA_BUILD="gpu")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        "winit_cuda: WINIT_CUDA_BUILD must be one of auto, cuda, cpu, none, not 'gpu'"
    )
    assert not tmp_path.joinpath("lib").exists()


def test_what_is_not_compiled_needs_no_plan() -> None:
    """An sdist is packed wherever Python is, whatever is to be built of it."""
    done = run_setup("--version", WINIT_CUDA_BUILD="gpu")
    assert (done.returncode, done.stdout.split()[-1:]) == (0, [version("winit_cuda")])


@pytest.mark.skipif(sys.platform == "win32", reason="nvcc is a shell script here")
@pytest.mark.parametrize(
    ("host", "advice"),
    [("g++", "WINIT_CUDA_BUILD=cpu leaves CUDA out"), ("clang++", "nvcc needs g\\+\\+, which was")],
)
def test_a_failing_nvcc_ends_the_build_with_advice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    host: str,
    advice: str,
) -> None:
    pytest.importorskip("setuptools", minversion="64")
    check_nvcc = runpy.run_path(str(ROOT / "setup.py"))["check_nvcc"]
    for name in ("CUDAHOSTCXX", "NVCC_CCBIN", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(program(tmp_path, host).parent))
    nvcc = Nvcc(str(program(tmp_path, "nvcc", "echo 'nvcc fatal: gcc?' >&2; exit 3")), None)
    with pytest.raises(SystemExit, match=f"nvcc failed with exit status 3; .* above; {advice}"):
        check_nvcc(nvcc, None)
    assert capfd.readouterr().err == "nvcc fatal: gcc?\n"


# ------------------------------------------------------------------------------ what was installed


def test_the_version_is_that_of_the_package() -> None:
    import winit_cuda

    assert winit_cuda.__version__ == version("winit_cuda")


def test_the_build_is_recorded() -> None:
    record = files("winit_cuda").joinpath("_build.json")
    if not record.is_file():
        pytest.skip("winit_cuda runs from the source tree, not installed")
    build = json.loads(record.read_text())
    assert build["core"] in ("cuda", "cpu", "none")
    assert build["reason"]
    assert build.get("toolkit", "").startswith("nvcc") == (build["core"] == "cuda")
    if build["core"] != "none":
        from winit_cuda import _C

        assert _C.build_info()["cuda"] == (build["core"] == "cuda")


def test_the_benchmarks_are_installed() -> None:
    import winit_cuda.benchmarks as benchmarks

    assert benchmarks.__file__


def test_every_package_is_listed() -> None:
    """A new folder of Python files is in the wheel only if pyproject.toml lists it."""
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in (ROOT / "winit_cuda").rglob("*.py")}
    found = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert found | {"winit_cuda.benchmarks"} == set(listed)
