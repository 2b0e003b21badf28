"""setup.py: what it decides to build, for which architectures, and how it says no."""

from __future__ import annotations

import json
import runpy
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
CUDA_13 = """compute_75\ncompute_80\ncompute_86\ncompute_87\ncompute_88\ncompute_89\ncompute_90
compute_100\ncompute_110\ncompute_103\ncompute_120\ncompute_121\n"""
CUDA_12_4 = """compute_50\ncompute_52\ncompute_53\ncompute_60\ncompute_61\ncompute_62\ncompute_70
compute_72\ncompute_75\ncompute_80\ncompute_86\ncompute_87\ncompute_89\ncompute_90\n"""

posix = pytest.mark.skipif(sys.platform == "win32", reason="the fake compilers are shell scripts")


@pytest.fixture(scope="module")
def setup() -> SimpleNamespace:
    pytest.importorskip("setuptools", minversion="64")
    return SimpleNamespace(**runpy.run_path(str(ROOT / "setup.py")))


def program(folder: Path, name: str, script: str = "exit 0") -> Path:
    """Write an executable shell script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


# ------------------------------------------------------------------------------ what to build


@posix
def test_nvcc_is_searched_in_order(setup: SimpleNamespace, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("home", "path", "PATH", "default")]
    environment = {
        "CUDA_HOME": str(places[0]),
        "CUDA_PATH": str(places[1]),
        "PATH": str(places[2] / "bin"),
    }
    default = str(places[3])
    assert setup.find_nvcc(environment, default) is None
    for place in reversed(places):
        nvcc = program(place / "bin", "nvcc")
        assert setup.find_nvcc(environment, default) == str(nvcc)
    assert setup.find_nvcc({}, default) == str(places[3] / "bin" / "nvcc")


@posix
@pytest.mark.parametrize(
    ("wanted", "compiler", "nvcc", "core"),
    [
        ("auto", True, True, "cuda"),
        ("", True, True, "cuda"),
        ("auto", True, False, "cpu"),
        ("auto", False, True, "none"),
        ("cuda", True, True, "cuda"),
        ("cpu", True, True, "cpu"),
        ("none", True, True, "none"),
    ],
)
def test_plan(
    setup: SimpleNamespace, tmp_path: Path, wanted: str, compiler: bool, nvcc: bool, core: str
) -> None:
    tmp_path.joinpath("bin").mkdir()
    if compiler:
        program(tmp_path / "bin", "c++")
    if nvcc:
        program(tmp_path / "bin", "nvcc")
    environment = {"PATH": str(tmp_path / "bin"), "WINIT_CUDA_BUILD": wanted}
    plan = setup.plan_build(environment, str(tmp_path / "no_cuda"))
    assert plan.core == core
    assert (plan.nvcc is not None) == (core == "cuda")
    assert "\n" not in plan.reason


@posix
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WINIT_CUDA_BUILD": "gpu"}, "WINIT_CUDA_BUILD must be one of .*, not 'gpu'"),
        ({"WINIT_CUDA_BUILD": "cuda"}, "WINIT_CUDA_BUILD=cuda, but nvcc was not found"),
        ({"WINIT_CUDA_BUILD": "cpu", "PATH": ""}, "WINIT_CUDA_BUILD=cpu, but no C\\+\\+ compiler"),
        ({"CXX": "no-such-c++"}, "CXX=no-such-c\\+\\+ was not found"),
    ],
)
def test_plan_says_no(
    setup: SimpleNamespace, tmp_path: Path, environment: dict[str, str], message: str
) -> None:
    program(tmp_path / "bin", "c++")
    with pytest.raises(SystemExit, match=message):
        setup.plan_build({"PATH": str(tmp_path / "bin"), **environment}, str(tmp_path / "no_cuda"))


@posix
def test_a_compiler_that_does_not_answer_is_none(setup: SimpleNamespace, tmp_path: Path) -> None:
    program(tmp_path, "c++", "exit 1")
    assert setup.find_compiler({"PATH": str(tmp_path)}) is None
    working = program(tmp_path, "clang++")
    assert setup.find_compiler({"PATH": str(tmp_path)}) == str(working)


# ------------------------------------------------------------------------------ architectures


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (CUDA_13, "75-real 80-real 90-real 100-real 110-real 120-real 120-virtual"),
        (CUDA_12_4, "75-real 80-real 90-real 90-virtual"),
    ],
)
def test_every_major_architecture(setup: SimpleNamespace, listing: str, expected: str) -> None:
    assert setup.default_architectures(listing) == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.0;9.0+PTX", "80-real 90-real 90-virtual"),
        ("6.0 7.0 7.5, 8.0", "75-real 80-real"),
        ("9.0a 12.0", "90a-real 120-real"),
        ("Ampere;Hopper;9.0", "80-real 86-real 86-virtual 90-real 90-virtual"),
        (" Turing; ", "75-real 75-virtual"),
    ],
)
def test_torch_cuda_arch_list(setup: SimpleNamespace, text: str, expected: str) -> None:
    assert setup.torch_architectures(text) == expected.split()


@pytest.mark.parametrize("text", ["sm_90", "9", "Fermi", "6.1;7.0", "8.0+SASS"])
def test_torch_cuda_arch_list_says_no(setup: SimpleNamespace, text: str) -> None:
    with pytest.raises(SystemExit, match="TORCH_CUDA_ARCH_LIST"):
        setup.torch_architectures(text)


@posix
def test_environment_overrides_what_nvcc_knows(setup: SimpleNamespace, tmp_path: Path) -> None:
    nvcc = str(program(tmp_path, "nvcc", "echo compute_80; echo compute_86; echo compute_90"))
    environment: dict[str, str] = {}
    known = ["80-real", "90-real", "90-virtual"]
    assert setup.choose_architectures(environment, nvcc) == known
    environment["TORCH_CUDA_ARCH_LIST"] = " "
    assert setup.choose_architectures(environment, nvcc) == known
    environment["TORCH_CUDA_ARCH_LIST"] = "8.6"
    assert setup.choose_architectures(environment, nvcc) == ["86-real"]
    environment["CMAKE_CUDA_ARCHITECTURES"] = "90a-real;100"
    assert setup.choose_architectures(environment, nvcc) == ["90a-real", "100"]


@posix
def test_a_failing_nvcc_is_quoted(setup: SimpleNamespace, tmp_path: Path) -> None:
    nvcc = str(program(tmp_path, "nvcc", "echo 'nvcc fatal: no license' >&2; exit 3"))
    with pytest.raises(SystemExit, match="exit status 3:\nnvcc fatal: no license"):
        setup.choose_architectures({}, nvcc)


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
