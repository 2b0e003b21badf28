"""Builds winit_cuda: Python with, where this machine can compile it, the native core of csrc/.

What is built is decided by WINIT_CUDA_BUILD:

    auto   (default) the CUDA core where there is nvcc, or an NVIDIA driver and nvcc on PyPI, else
           the CPU core; without a C++ compiler pure Python on ATen
    cuda   the CUDA core, or an error
    cpu    the CPU core, or an error
    none   pure Python

The decision (build_backend/plan.py) is printed in one line and kept in winit_cuda/_build.json,
from where `backend_info()` tells it. A compiler that is there and fails is always an error.

Other variables: CUDA_HOME, CUDA_PATH (where nvcc is), CMAKE_CUDA_ARCHITECTURES or
TORCH_CUDA_ARCH_LIST (what to compile for), CMAKE_ARGS (more arguments for CMake), MAX_JOBS.
Everything about the compilation itself is in csrc/CMakeLists.txt.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

from build_backend.architectures import choose_architectures
from build_backend.driver import find_driver
from build_backend.plan import fail, plan_build, without_host_compiler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from build_backend.toolkit import Nvcc

ROOT = Path(__file__).resolve().parent


def find_tool(name: str) -> str:
    """Return cmake or ninja: that of the Python package `name` if there is one, else of PATH."""
    try:
        files = [Path(str(file.locate())) for file in distribution(name).files or ()]
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == name and file.parent.name in ("bin", "Scripts") and file.is_file():
            return str(file)
    return shutil.which(name) or fail(f"{name} was not found: pip install {name}")


def run(command: Iterable[str], advice: str | None = None) -> None:
    """Run a command whose output belongs to the build's; its failure is the build's."""
    command = list(command)
    print(shlex.join(command), flush=True)
    status = subprocess.run(command).returncode
    if status != 0:
        said = f"{Path(command[0]).name} failed with exit status {status}; its messages are above"
        fail(f"{said}; {advice}" if advice else said)


def check_nvcc(nvcc: Nvcc, host_compiler: str | None) -> None:
    """Compile an empty kernel: where nvcc fails, CMake would say so without nvcc's own words."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "empty.cu")
        source.write_text("__global__ void empty() {}\n")
        command = [nvcc.path, "-std=c++17", "-c", str(source), "-o", str(source.with_suffix(".o"))]
        advice = without_host_compiler(os.environ) or "WINIT_CUDA_BUILD=cpu leaves CUDA out"
        run(command + (["-ccbin", host_compiler] if host_compiler else []), advice)


def package_of(command: build_ext | build_py) -> Path:
    """Return the folder that a command puts the package into."""
    return ROOT / "winit_cuda" if command.editable_mode else Path(command.build_lib, "winit_cuda")


class BuildCore(build_ext):
    """Compiles csrc/ with CMake and ninja in build/core-*, which is kept for the next build."""

    def run(self) -> None:
        """Refuse what the plan refuses; what was not compiled is not on record as built."""
        if PLAN.problem:
            fail(PLAN.problem)
        try:
            super().run()
        except BaseException:
            (package_of(self) / "_build.json").unlink(missing_ok=True)
            raise

    def build_extension(self, ext: Extension) -> None:
        """Configure, compile, and put the module where setuptools expects it."""
        import pybind11

        nvcc = PLAN.nvcc
        directory = ROOT / "build" / f"core-{sys.implementation.cache_tag}-{PLAN.core}"
        compilers = {name: os.environ.get(name) for name in ("CC", "CXX", "CUDAHOSTCXX")}
        definitions = {
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_MAKE_PROGRAM": find_tool("ninja"),
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            "WINIT_CUDA_WITH_CUDA": "OFF",
        }
        if nvcc:
            driver = find_driver()
            capabilities = driver.capabilities if driver else ()
            architectures = choose_architectures(os.environ, nvcc.path, capabilities)
            definitions["WINIT_CUDA_WITH_CUDA"] = "ON"
            definitions["CMAKE_CUDA_COMPILER"] = nvcc.path
            definitions["CMAKE_CUDA_ARCHITECTURES"] = ";".join(architectures)
            if nvcc.libraries:  # for the linker, whoever calls it
                known = os.environ.get("LIBRARY_PATH")
                os.environ["LIBRARY_PATH"] = os.pathsep.join(
                    [str(nvcc.libraries), *([known] if known else [])]
                )
        if sys.platform == "darwin" and os.environ.get("ARCHFLAGS"):
            universal = re.findall(r"-arch (\S+)", os.environ["ARCHFLAGS"])
            definitions["CMAKE_OSX_ARCHITECTURES"] = ";".join(universal)

        # A changed compiler needs a new directory: CMake does not change it in an old one. pip
        # installs nvcc for one build, in a folder of another name every time; elsewhere a new one
        # may take the place of an old one.
        stamp = directory / "compilers.json"
        # What CMAKE_ARGS has set once would else stay set when it is gone.
        arguments = os.environ.get("CMAKE_ARGS", "")
        made_by = json.dumps(
            {**compilers, "nvcc": nvcc, "source": str(ROOT), "arguments": arguments}
        )
        fresh = not stamp.exists() or stamp.read_text() != made_by
        cmake = find_tool("cmake")
        if fresh and nvcc:
            check_nvcc(nvcc, compilers["CUDAHOSTCXX"])
        run(
            [cmake, "-G", "Ninja", "-S", str(ROOT / "csrc"), "-B", str(directory)]
            + (["--fresh"] if fresh else [])
            + [f"-D{name}={value}" for name, value in definitions.items()]
            + shlex.split(arguments)
        )
        stamp.write_text(made_by)
        jobs = os.environ.get("MAX_JOBS") or str(os.cpu_count() or 1)
        run([cmake, "--build", str(directory), "--parallel", jobs])

        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        self.copy_file(str(directory / target.name), str(target))


class BuildPython(build_py):
    """Says what is built, and keeps it for `backend_info()`."""

    def run(self) -> None:
        """Copy the Python files without those of an earlier build, and add _build.json."""
        if PLAN.problem:
            fail(PLAN.problem)
        package = package_of(self)
        if not self.editable_mode:
            shutil.rmtree(package, ignore_errors=True)
        elif PLAN.core == "none":
            (package / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}").unlink(missing_ok=True)
        super().run()
        print(f"winit_cuda: {PLAN.reason}", flush=True)
        record = {"core": PLAN.core, "reason": PLAN.reason}
        if PLAN.nvcc:
            record["toolkit"] = str(PLAN.nvcc)
        (package / "_build.json").write_text(json.dumps(record, indent=4) + "\n")


if __name__ == "__main__":
    PLAN = plan_build(os.environ)
    setup(
        license="MIT",
        ext_modules=[] if PLAN.core == "none" else [Extension("winit_cuda._C", sources=[])],
        cmdclass={"build_ext": BuildCore, "build_py": BuildPython},
    )
