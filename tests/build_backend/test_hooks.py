"""The build backend: what pip is asked for on a machine with a GPU and without nvcc."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from machine import GXX, driver_library, nvcc, program, programs

pytest.importorskip("setuptools", minversion="64")

from build_backend import hooks
from build_backend.driver import find_driver
from build_backend.plan import plan_build

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PyPI has nvcc for Linux")
HOOKS = ["get_requires_for_build_wheel", "get_requires_for_build_editable"]


@pytest.fixture
def without_nvcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with g++ and a driver for CUDA 13.0, and no nvcc; the folder of its programs."""
    compiler = shutil.which("cc") or pytest.skip("needs a C compiler")
    library = driver_library(compiler, tmp_path, 13000, "90")
    for name in ("CUDA_HOME", "CUDA_PATH", "CXX", "CUDAHOSTCXX", "WINIT_CUDA_BUILD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", GXX))
    machine = partial(
        plan_build,
        default_cuda=str(tmp_path / "no_cuda"),
        driver=lambda: find_driver(library),
        installed=lambda: None,
    )
    monkeypatch.setattr(hooks, "plan_build", machine)
    own = SimpleNamespace(  # setuptools would run setup.py on the machine that this is
        get_requires_for_build_wheel=lambda settings: ["wheel", *(settings or [])],
        get_requires_for_build_sdist=lambda settings: [*(settings or [])],
    )
    monkeypatch.setattr(hooks, "build_meta", own)
    return tmp_path / "bin"


@pytest.mark.usefixtures("without_nvcc")
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("wanted", ["", "auto", "cuda"])
def test_nvcc_is_asked_for(monkeypatch: pytest.MonkeyPatch, hook: str, wanted: str) -> None:
    monkeypatch.setenv("WINIT_CUDA_BUILD", wanted)
    assert getattr(hooks, hook)() == [
        "wheel",
        "nvidia-cuda-nvcc>=13.0,<13.1",
        "nvidia-cuda-crt>=13.0,<13.1",
        "nvidia-cuda-runtime>=13.0,<13.1",
        "nvidia-nvvm>=13.0,<13.1",
    ]


@pytest.mark.parametrize("hook", HOOKS)
def test_nothing_is_asked_for_where_nvcc_is(without_nvcc: Path, hook: str) -> None:
    program(without_nvcc, "nvcc", nvcc("12.4"))
    assert getattr(hooks, hook)({"option": "x"}) == ["wheel", "option"]


@pytest.mark.usefixtures("without_nvcc")
@pytest.mark.parametrize("wanted", ["cpu", "none"])
def test_who_declines_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("WINIT_CUDA_BUILD", wanted)
    assert hooks.get_requires_for_build_editable(None) == ["wheel"]


def test_what_pip_cannot_help_ends_the_build_before_it_begins(
    without_nvcc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_nvcc.joinpath("g++").unlink()
    monkeypatch.setenv("WINIT_CUDA_BUILD", "cuda")
    with pytest.raises(SystemExit, match=r"^winit_cuda: .* nvcc needs g\+\+, which was not found"):
        hooks.get_requires_for_build_wheel()


@pytest.mark.usefixtures("without_nvcc")
def test_an_sdist_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINIT_CUDA_BUILD", "cuda")
    assert hooks.get_requires_for_build_sdist() == []


def test_pip_finds_the_backend() -> None:
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    root = Path(__file__).resolve().parents[2]
    system = tomllib.loads((root / "pyproject.toml").read_text())["build-system"]
    assert (system["build-backend"], system["backend-path"]) == (hooks.__name__, ["."])
    assert all(callable(getattr(hooks, name)) for name in hooks.__all__)
