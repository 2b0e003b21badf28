"""What is built, with what, and why: decided from WINIT_CUDA_BUILD and from what this machine has.

The build backend asks once for what pip must install first, setup.py again for what to compile.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from .driver import find_driver
from .toolkit import (
    OLDEST,
    Nvcc,
    installed_nvcc,
    requirements,
    show,
    system_nvccs,
    why_not_from_pypi,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .driver import Driver

BUILDS = ("auto", "cuda", "cpu", "none")
DEFAULT_CUDA = "/usr/local/cuda"


class Plan(NamedTuple):
    """What will be built, with what, and why."""

    core: str
    """ "cuda", "cpu" or "none"."""
    reason: str
    nvcc: Nvcc | None = None
    requirements: tuple[str, ...] = ()
    """What pip has to install for the plan to have CUDA; empty where nothing would help."""
    problem: str | None = None
    """Why nothing can be built; what is packed without compiling (an sdist) does not care."""


def fail(message: str) -> NoReturn:
    """Stop the build with one line."""
    raise SystemExit(f"winit_cuda: {message}")


def plan_build(
    environment: Mapping[str, str],
    default_cuda: str = DEFAULT_CUDA,
    driver: Callable[[], Driver | None] = find_driver,
    installed: Callable[[], Nvcc | None] = installed_nvcc,
) -> Plan:
    """Decide what to build from WINIT_CUDA_BUILD and from what is on this machine."""
    wanted = environment.get("WINIT_CUDA_BUILD") or "auto"
    if wanted not in BUILDS:
        return _no(f"WINIT_CUDA_BUILD must be one of {', '.join(BUILDS)}, not {wanted!r}")
    if wanted == "none":
        return Plan("none", "pure Python without the native core: WINIT_CUDA_BUILD=none")
    if os.name == "nt":
        return _no(
            "Windows is not supported, its compiler cannot build the native core; "
            "WINIT_CUDA_BUILD=none installs pure Python, with torch's own fills"
        )
    missing = _without_compiler(environment)
    if missing:
        if wanted != "auto":
            return _no(f"WINIT_CUDA_BUILD={wanted}, but {missing}")
        return Plan("none", f"pure Python without the native core: {missing}")
    if wanted == "cpu":
        return Plan("cpu", "native core for the CPU only: WINIT_CUDA_BUILD=cpu")

    nvccs = list(system_nvccs(environment, default_cuda))
    nvcc = next((nvcc for nvcc in nvccs if not nvcc.too_old), None) or installed()
    if nvcc is not None:
        return _with_nvcc(nvcc, driver())
    return _without_nvcc(wanted, nvccs[0] if nvccs else None, environment, default_cuda, driver())


def _no(problem: str) -> Plan:
    return Plan("none", problem, problem=problem)


def find_compiler(environment: Mapping[str, str]) -> str | None:
    """Return the C++ compiler that CMake would take, if there is one that answers."""
    path = environment.get("PATH", "")
    if environment.get("CXX"):
        return shutil.which(shlex.split(environment["CXX"])[0], path=path)
    for name in ("c++", "g++", "clang++"):
        found = shutil.which(name, path=path)
        # macOS without its developer tools has a c++ that only says so.
        if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            return found
    return None


def _without_compiler(environment: Mapping[str, str]) -> str | None:
    if find_compiler(environment):
        return None
    if environment.get("CXX"):
        return f"the C++ compiler CXX={environment['CXX']} was not found"
    return "no C++ compiler was found (c++, g++, clang++)"


def without_host_compiler(environment: Mapping[str, str]) -> str | None:
    """Say that nvcc seems to have no C++ compiler to work with; None where it has one."""
    named = ("CUDAHOSTCXX", "NVCC_CCBIN", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS")
    if any(environment.get(name) for name in named):
        return None
    if shutil.which("g++", path=environment.get("PATH", "")):
        return None
    return "nvcc needs g++, which was not found: install it, or set CUDAHOSTCXX"


def _with_nvcc(nvcc: Nvcc, driver: Driver | None) -> Plan:
    reason = f"native core for the CPU and CUDA: {nvcc}"
    if driver and nvcc.version and driver.cuda[0] < nvcc.version[0]:
        reason += (
            f"; it needs a newer NVIDIA driver than this machine's, which takes CUDA up to "
            f"{show(driver.cuda)}"
        )
    return Plan("cuda", reason, nvcc)


def _without_nvcc(
    wanted: str,
    too_old: Nvcc | None,
    environment: Mapping[str, str],
    default_cuda: str,
    driver: Driver | None,
) -> Plan:
    """Decide where no nvcc serves: whether pip is to install one, and what is built without."""
    if too_old:
        why = f"{too_old} is too old: CUDA {show(OLDEST)} or later is needed"
    else:
        why = f"nvcc was not found in CUDA_HOME, CUDA_PATH, PATH or {default_cuda}"
    needed: tuple[str, ...] = ()
    if driver or wanted == "cuda":
        obstacle = without_host_compiler(environment) or why_not_from_pypi(driver)
        if obstacle:
            why += f", and {obstacle}"
        else:
            needed = requirements(driver)
            quoted = " ".join(f"'{requirement}'" for requirement in needed)
            why += f"; without build isolation, install it first: pip install {quoted}"
    if wanted == "cuda":
        return Plan("none", why, None, needed, f"WINIT_CUDA_BUILD=cuda, but {why}")
    if too_old:
        way_out = "set CUDA_HOME to a newer one, or WINIT_CUDA_BUILD=cpu to leave CUDA out"
        return Plan("none", why, None, needed, f"{why}; {way_out}")
    return Plan("cpu", f"native core for the CPU only: {why}", None, needed)
