"""What is built, decided from WINIT_CUDA_BUILD, the compilers, and the driver."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from build_backend import plan as plan_module
from build_backend.driver import Driver
from build_backend.plan import Plan, find_compiler, plan_build
from build_backend.toolkit import Nvcc
from machine import GXX, nvcc, program, programs

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="the fake compilers are shell scripts")
linux = pytest.mark.skipif(sys.platform != "linux", reason="PyPI has nvcc for Linux")

GPU = Driver((13, 0), ((9, 0),))
OLD_GPU = Driver((12, 4), ((8, 6),))
INSTALL = (
    "without build isolation, install it first: pip install 'nvidia-cuda-nvcc>=13.0,<13.1' "
    "'nvidia-cuda-crt>=13.0,<13.1' 'nvidia-cuda-runtime>=13.0,<13.1' 'nvidia-nvvm>=13.0,<13.1'"
)


@pytest.fixture
def decide(tmp_path: Path):
    """Decide on a machine with these programs, this driver and this nvcc of pip."""

    def decide(
        wanted: str = "auto",
        scripts: dict[str, str] | None = None,
        driver: Driver | None = None,
        installed: Nvcc | None = None,
        **environment: str,
    ) -> Plan:
        path = programs(tmp_path / "bin", GXX if scripts is None else scripts)
        return plan_build(
            {"PATH": path, "WINIT_CUDA_BUILD": wanted, **environment},
            str(tmp_path / "no_cuda"),
            lambda: driver,
            lambda: installed,
        )

    return decide


@posix
@pytest.mark.parametrize(
    ("wanted", "compiler", "with_nvcc", "core"),
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
def test_the_core(decide, wanted: str, compiler: bool, with_nvcc: bool, core: str) -> None:
    scripts = {**(GXX if compiler else {}), **({"nvcc": nvcc("13.0")} if with_nvcc else {})}
    plan = decide(wanted, scripts)
    assert plan.core == core
    assert (plan.nvcc is not None) == (core == "cuda")
    assert plan.problem is None
    assert plan.requirements == ()
    assert "\n" not in plan.reason


@posix
@pytest.mark.parametrize(
    ("wanted", "scripts", "environment", "problem"),
    [
        ("gpu", GXX, {}, "WINIT_CUDA_BUILD must be one of auto, cuda, cpu, none, not 'gpu'"),
        ("cpu", {}, {}, "WINIT_CUDA_BUILD=cpu, but no C++ compiler was found (c++, g++, clang++)"),
        (
            "cuda",
            GXX,
            {"CXX": "no-such-c++"},
            "WINIT_CUDA_BUILD=cuda, but the C++ compiler CXX=no-such-c++ was not found",
        ),
    ],
)
def test_what_cannot_be_built(decide, wanted, scripts, environment, problem) -> None:
    assert decide(wanted, scripts, **environment).problem == problem


def test_windows_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "os", type("windows", (), {"name": "nt"}))
    plan = plan_build({}, driver=lambda: GPU)
    assert plan.problem
    assert plan.problem.startswith("Windows is not supported")
    assert "\n" not in plan.problem
    assert plan.requirements == ()
    assert plan_build({"WINIT_CUDA_BUILD": "none"}).problem is None


@posix
def test_a_compiler_that_does_not_answer_is_none(tmp_path: Path) -> None:
    program(tmp_path, "c++", "exit 1")
    assert find_compiler({"PATH": str(tmp_path)}) is None
    working = program(tmp_path, "clang++")
    assert find_compiler({"PATH": str(tmp_path)}) == str(working)


# ------------------------------------------------------------------------------ nvcc from PyPI


@linux
@pytest.mark.parametrize("wanted", ["auto", ""])
def test_a_driver_without_nvcc_asks_pip_for_it(decide, tmp_path: Path, wanted: str) -> None:
    plan = decide(wanted, driver=GPU)
    assert plan.requirements[0] == "nvidia-cuda-nvcc>=13.0,<13.1"
    assert plan.problem is None
    # Where nobody asked: what a build without isolation then says and does.
    assert plan.core == "cpu"
    assert plan.reason == (
        "native core for the CPU only: nvcc was not found in CUDA_HOME, CUDA_PATH, PATH or "
        f"{tmp_path / 'no_cuda'}; {INSTALL}"
    )


@linux
@pytest.mark.parametrize(("driver", "end"), [(GPU, "13.1"), (None, "14.0")])
def test_who_wants_cuda_gets_nvcc_or_an_error(decide, driver: Driver | None, end: str) -> None:
    plan = decide("cuda", driver=driver)
    assert plan.requirements[0] == f"nvidia-cuda-nvcc>=13.0,<{end}"
    assert plan.problem
    assert plan.problem.startswith("WINIT_CUDA_BUILD=cuda, but nvcc was not found in CUDA_HOME")
    assert f"pip install 'nvidia-cuda-nvcc>=13.0,<{end}'" in plan.problem


@posix
@pytest.mark.parametrize("wanted", ["cpu", "none"])
def test_who_declines_is_not_asked(decide, wanted: str) -> None:
    plan = decide(wanted, driver=GPU, installed=Nvcc("/pip/bin/nvcc", (13, 0), from_pypi=True))
    assert plan == Plan(wanted, plan.reason)
    assert plan.reason.endswith(f": WINIT_CUDA_BUILD={wanted}")


@posix
def test_nvcc_of_the_machine_comes_first(decide, tmp_path: Path) -> None:
    pip = Nvcc("/pip/bin/nvcc", (13, 0), from_pypi=True)
    plan = decide(driver=GPU, installed=pip)
    assert plan == Plan("cuda", "native core for the CPU and CUDA: nvcc 13.0 from PyPI", pip)
    plan = decide(scripts={"nvcc": nvcc("12.4")}, driver=GPU, installed=pip)
    path = tmp_path / "bin" / "nvcc"
    assert plan.nvcc == Nvcc(str(path), (12, 4))
    assert plan.reason == f"native core for the CPU and CUDA: nvcc 12.4 ({path})"


@linux
def test_a_driver_of_cuda_12_needs_a_toolkit(decide) -> None:
    said = "the NVIDIA driver takes CUDA up to 12.4, PyPI has nvcc from 13.0 on: install a CUDA"
    plan = decide(driver=OLD_GPU)
    assert (plan.core, plan.requirements, plan.problem) == ("cpu", (), None)
    assert said in plan.reason
    plan = decide("cuda", driver=OLD_GPU)
    assert plan.requirements == ()
    assert plan.problem
    assert said in plan.problem


@posix
def test_nvcc_that_is_newer_than_the_driver_is_told(decide) -> None:
    plan = decide(scripts={**GXX, "nvcc": nvcc("13.0")}, driver=OLD_GPU)
    assert plan.core == "cuda"
    assert "needs a newer NVIDIA driver than this machine's, which takes CUDA up to 12.4" in (
        plan.reason
    )
    assert "driver" not in decide(scripts={"nvcc": nvcc("12.9")}, driver=OLD_GPU).reason


# ------------------------------------------------------------------------------ what nvcc needs


@posix
def test_an_old_nvcc_is_named_before_it_compiles(decide, tmp_path: Path) -> None:
    scripts = {**GXX, "nvcc": nvcc("11.5")}
    old = f"nvcc 11.5 ({tmp_path / 'bin' / 'nvcc'}) is too old: CUDA 12.1 or later is needed"
    plan = decide(scripts=scripts)
    assert plan.problem == (
        f"{old}; set CUDA_HOME to a newer one, or WINIT_CUDA_BUILD=cpu to leave CUDA out"
    )
    assert plan.requirements == ()
    assert decide("cpu", scripts).problem is None
    # The next place may have a newer one.
    program(tmp_path / "cuda" / "bin", "nvcc", nvcc("12.1"))
    assert decide(scripts=scripts, CUDA_HOME=str(tmp_path / "cuda")).core == "cuda"
    program(tmp_path / "no_cuda" / "bin", "nvcc", nvcc("12.1"))
    plan = decide(scripts=scripts)
    assert plan.nvcc == Nvcc(str(tmp_path / "no_cuda" / "bin" / "nvcc"), (12, 1))


@linux
def test_an_old_nvcc_is_replaced_where_there_is_a_driver(decide) -> None:
    plan = decide(scripts={**GXX, "nvcc": nvcc("12.0")}, driver=GPU)
    assert plan.requirements[0] == "nvidia-cuda-nvcc>=13.0,<13.1"
    assert plan.problem
    assert INSTALL in plan.problem


@linux
def test_pip_is_not_asked_for_an_nvcc_without_a_host_compiler(decide) -> None:
    plan = decide(scripts={"clang++": "exit 0"}, driver=GPU)
    assert (plan.core, plan.requirements, plan.problem) == ("cpu", (), None)
    assert plan.reason.endswith(
        "nvcc needs g++, which was not found: install it, or set CUDAHOSTCXX"
    )
    for name in ("CUDAHOSTCXX", "NVCC_PREPEND_FLAGS"):  # conda's compilers have other names
        named = {name: "-ccbin=x86_64-conda-linux-gnu-c++"}
        assert decide(scripts={"clang++": "exit 0"}, driver=GPU, **named).requirements
