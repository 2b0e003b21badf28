"""Builds winit_cuda: Python with, where this machine can compile it, the native core of csrc/.

What is built is decided by WINIT_CUDA_BUILD:

    auto   (default) the CUDA core where there is nvcc, else the CPU core; without a C++ compiler
           pure Python on ATen
    cuda   the CUDA core, or an error
    cpu    the CPU core, or an error
    none   pure Python

The decision is printed in one line and kept in winit_cuda/_build.json, from where
`backend_info()` tells it. A compiler that is there and fails is always an error.

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
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).resolve().parent
BUILDS = ("auto", "cuda", "cpu", "none")
FIRST_ARCHITECTURE = (7, 5)
# The names that torch.utils.cpp_extension takes in TORCH_CUDA_ARCH_LIST, from 7.5 up.
ARCHITECTURE_NAMES = {
    "turing": "7.5+PTX",
    "ampere": "8.0;8.6+PTX",
    "ada": "8.9+PTX",
    "hopper": "9.0+PTX",
    "blackwell": "10.0;10.3;12.0;12.1+PTX",
    "blackwell+tegra": "11.0",
}


class Plan(NamedTuple):
    """What will be built, with what, and why."""

    core: str
    """ "cuda", "cpu" or "none"."""
    nvcc: str | None
    reason: str


def fail(message: str) -> NoReturn:
    """Stop the build with one line."""
    raise SystemExit(f"winit_cuda: {message}")


# ---------------------------------------------------------------------------- what to build


def find_nvcc(environment: Mapping[str, str], default: str = "/usr/local/cuda") -> str | None:
    """Return the nvcc of CUDA_HOME, CUDA_PATH, PATH or /usr/local/cuda, the first that is there."""
    homes = [environment[name] for name in ("CUDA_HOME", "CUDA_PATH") if environment.get(name)]
    in_homes = [str(Path(home) / "bin") for home in homes]
    for path in (*in_homes, environment.get("PATH", ""), str(Path(default) / "bin")):
        found = shutil.which("nvcc", path=path) if path else None
        if found:
            return found
    return None


def find_compiler(environment: Mapping[str, str]) -> str | None:
    """Return the C++ compiler that CMake would take, if there is one that answers."""
    path = environment.get("PATH", "")
    if environment.get("CXX"):
        found = shutil.which(shlex.split(environment["CXX"])[0], path=path)
        return found or fail(f"the C++ compiler CXX={environment['CXX']} was not found")
    if os.name == "nt":
        return shutil.which("cl", path=path)
    for name in ("c++", "g++", "clang++"):
        found = shutil.which(name, path=path)
        # macOS without its developer tools has a c++ that only says so.
        if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            return found
    return None


def plan_build(environment: Mapping[str, str], default_cuda: str = "/usr/local/cuda") -> Plan:
    """Decide what to build from WINIT_CUDA_BUILD and from the compilers of this machine."""
    wanted = environment.get("WINIT_CUDA_BUILD") or "auto"
    if wanted not in BUILDS:
        fail(f"WINIT_CUDA_BUILD must be one of {', '.join(BUILDS)}, not {wanted!r}")
    if wanted == "none":
        return Plan("none", None, "pure Python without the native core: WINIT_CUDA_BUILD=none")
    if find_compiler(environment) is None:
        why = "no C++ compiler was found (c++, g++, clang++)"
        if wanted != "auto":
            fail(f"WINIT_CUDA_BUILD={wanted}, but {why}")
        return Plan("none", None, f"pure Python without the native core: {why}")
    if wanted == "cpu":
        return Plan("cpu", None, "native core for the CPU only: WINIT_CUDA_BUILD=cpu")
    nvcc = find_nvcc(environment, default_cuda)
    if nvcc is None:
        why = f"nvcc was not found in CUDA_HOME, CUDA_PATH, PATH or {default_cuda}"
        if wanted == "cuda":
            fail(f"WINIT_CUDA_BUILD=cuda, but {why}")
        return Plan("cpu", None, f"native core for the CPU only: {why}")
    return Plan("cuda", nvcc, f"native core for the CPU and CUDA: nvcc is {nvcc}")


# ---------------------------------------------------------------------------- architectures


def default_architectures(listing: str) -> list[str]:
    """Return the first architecture of every major one from 7.5 up, and PTX for the newest.

    Code for the first of a major architecture runs on all of it. `listing` is what
    `nvcc --list-gpu-arch` prints.
    """
    known = sorted((int(major), int(minor)) for major, minor in _COMPUTE.findall(listing))
    first: dict[int, str] = {}
    for major, minor in known:
        if (major, minor) >= FIRST_ARCHITECTURE:
            first.setdefault(major, f"{major}{minor}")
    if not first:
        fail(f"nvcc knows no architecture from 7.5 up, only {listing.split()}")
    return [*(f"{number}-real" for number in first.values()), f"{first[max(first)]}-virtual"]


_COMPUTE = re.compile(r"^\s*compute_(\d+)(\d)\s*$", re.MULTILINE)


def torch_architectures(text: str) -> list[str]:
    """Turn a TORCH_CUDA_ARCH_LIST ("8.0;9.0+PTX", "Hopper") into CMake's architectures.

    Architectures before 7.5, which such lists often hold, are left out.
    """
    items: list[str] = []
    for item in re.split(r"[;,\s]+", text.strip("; ,\t\n")):
        items += ARCHITECTURE_NAMES.get(item.lower(), item).split(";")
    chosen: list[str] = []
    for item in items:
        match = re.fullmatch(r"(\d+)\.(\d)([af]?)(\+PTX)?", item, re.IGNORECASE)
        if match is None:
            fail(f"TORCH_CUDA_ARCH_LIST has {item!r}: expected items such as 9.0, 9.0+PTX, Hopper")
        major, minor, suffix, ptx = match.groups()
        if (int(major), int(minor)) >= FIRST_ARCHITECTURE:
            number = f"{major}{minor}{suffix.lower()}"
            chosen += [f"{number}-real"] + ([f"{number}-virtual"] if ptx else [])
    if not chosen:
        fail(f"TORCH_CUDA_ARCH_LIST={text!r} has no architecture from 7.5 up")
    return list(dict.fromkeys(chosen))


def choose_architectures(environment: Mapping[str, str], nvcc: str) -> list[str]:
    """Return the value of CMAKE_CUDA_ARCHITECTURES, of which the environment may have its own."""
    if environment.get("CMAKE_CUDA_ARCHITECTURES"):
        return environment["CMAKE_CUDA_ARCHITECTURES"].split(";")
    if environment.get("TORCH_CUDA_ARCH_LIST", "").strip():
        return torch_architectures(environment["TORCH_CUDA_ARCH_LIST"])
    listing = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True)
    if listing.returncode != 0:
        said = (listing.stderr + listing.stdout).strip()
        fail(f"{nvcc} --list-gpu-arch failed with exit status {listing.returncode}:\n{said}")
    return default_architectures(listing.stdout)


# ---------------------------------------------------------------------------- commands


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


def run(command: Iterable[str]) -> None:
    """Run a command whose output belongs to the build's; its failure is the build's."""
    command = list(command)
    print(shlex.join(command), flush=True)
    status = subprocess.run(command).returncode
    if status != 0:
        fail(f"{Path(command[0]).name} failed with exit status {status}; its messages are above")


def check_nvcc(nvcc: str, host_compiler: str | None) -> None:
    """Compile an empty kernel: where nvcc fails, CMake would say so without nvcc's own words."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "empty.cu")
        source.write_text("__global__ void empty() {}\n")
        command = [nvcc, "-std=c++17", "-c", str(source), "-o", str(source.with_suffix(".o"))]
        run(command + (["-ccbin", host_compiler] if host_compiler else []))


class BuildCore(build_ext):
    """Compiles csrc/ with CMake and ninja in build/core-*, which is kept for the next build."""

    def build_extension(self, ext: Extension) -> None:
        """Configure, compile, and put the module where setuptools expects it."""
        import pybind11

        directory = ROOT / "build" / f"core-{sys.implementation.cache_tag}-{PLAN.core}"
        compilers = {name: os.environ.get(name) for name in ("CC", "CXX", "CUDAHOSTCXX")}
        definitions = {
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_MAKE_PROGRAM": find_tool("ninja"),
            "Python_EXECUTABLE": sys.executable,
            "pybind11_DIR": pybind11.get_cmake_dir(),
            "WINIT_CUDA_WITH_CUDA": "OFF",
        }
        if PLAN.nvcc:
            definitions["WINIT_CUDA_WITH_CUDA"] = "ON"
            definitions["CMAKE_CUDA_COMPILER"] = PLAN.nvcc
            architectures = choose_architectures(os.environ, PLAN.nvcc)
            definitions["CMAKE_CUDA_ARCHITECTURES"] = ";".join(architectures)
        if sys.platform == "darwin" and os.environ.get("ARCHFLAGS"):
            universal = re.findall(r"-arch (\S+)", os.environ["ARCHFLAGS"])
            definitions["CMAKE_OSX_ARCHITECTURES"] = ";".join(universal)

        # A changed compiler needs a new directory: CMake does not change it in an old one.
        stamp = directory / "compilers.json"
        made_by = json.dumps({**compilers, "nvcc": PLAN.nvcc, "source": str(ROOT)})
        fresh = not stamp.exists() or stamp.read_text() != made_by
        cmake = find_tool("cmake")
        if fresh and PLAN.nvcc:
            check_nvcc(PLAN.nvcc, compilers["CUDAHOSTCXX"])
        run(
            [cmake, "-G", "Ninja", "-S", str(ROOT / "csrc"), "-B", str(directory)]
            + (["--fresh"] if fresh else [])
            + [f"-D{name}={value}" for name, value in definitions.items()]
            + shlex.split(os.environ.get("CMAKE_ARGS", ""))
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
        package = ROOT / "winit_cuda" if self.editable_mode else Path(self.build_lib, "winit_cuda")
        if not self.editable_mode:
            shutil.rmtree(package, ignore_errors=True)
        elif PLAN.core == "none":
            (package / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}").unlink(missing_ok=True)
        super().run()
        print(f"winit_cuda: {PLAN.reason}", flush=True)
        record = {"core": PLAN.core, "reason": PLAN.reason}
        (package / "_build.json").write_text(json.dumps(record, indent=4) + "\n")


if __name__ == "__main__":
    PLAN = plan_build(os.environ)
    setup(
        license="MIT",
        ext_modules=[] if PLAN.core == "none" else [Extension("winit_cuda._C", sources=[])],
        cmdclass={"build_ext": BuildCore, "build_py": BuildPython},
    )
