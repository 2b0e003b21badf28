"""Compiles the variants: with nvcc for a GPU, or with a C++ compiler to look at their values."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..sass import CSRC, Resources, compiler_flags, find_tool, parse_resources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .variants import Variant

HERE = Path(__file__).parent
# What makes laws of their parameters, and the memory behind lists.
COMMON = (
    "values/distributions.cpp",
    "values/limits.cpp",
    "values/special.cpp",
    "platform/memory.cpp",
    "platform/faults.cpp",
)
_CPP = ("-std=c++17", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden")
_INCLUDE = (f"-I{CSRC}", f"-I{CSRC.parent}")


@dataclass(frozen=True)
class Library:
    """A compiled variant."""

    path: Path
    resources: dict[str, Resources]
    """By the mangled name of its kernels."""


class BuildError(Exception):
    """Why there is no library."""


@dataclass(frozen=True)
class Builder:
    """Where and for what to compile. Without an architecture it is for the CPU."""

    folder: Path
    architecture: str | None
    jobs: int = os.cpu_count() or 1

    def fills(self, variants: Sequence[Variant]) -> dict[Variant, Library | BuildError]:
        """A library of fills.cu for each variant, or why there is none."""
        return self._build("fills", variants, self._fill_command)

    def lists(self, variants: Sequence[Variant]) -> dict[Variant, Library | BuildError]:
        """A library of many/cuda.cu for each variant, or why there is none."""
        return self._build("lists", variants, self._list_command)

    def _build(
        self, kind: str, variants: Sequence[Variant], command: _Command
    ) -> dict[Variant, Library | BuildError]:
        self.folder.mkdir(parents=True, exist_ok=True)
        objects = self._common()
        each = list(dict.fromkeys(variant.defines for variant in variants))

        def build(number: int) -> Library | BuildError:
            library = self.folder / f"{kind}_{number}.so"
            defines = [f"-D{name}={value}" for name, value in each[number]]
            try:
                return Library(library, _run(command(defines, objects, library)))
            except BuildError as error:
                return error

        with ThreadPoolExecutor(self.jobs) as pool:
            built = dict(zip(each, pool.map(build, range(len(each))), strict=True))
        return {variant: built[variant.defines] for variant in variants}

    def _common(self) -> list[str]:
        objects = [str(self.folder / f"{Path(source).stem}.o") for source in COMMON]
        commands = [
            [cpp_compiler(), *_CPP, "-O2", *_INCLUDE, "-c", str(CSRC / source), "-o", made]
            for source, made in zip(COMMON, objects, strict=True)
            if not Path(made).exists()
        ]
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(_run, commands))
        return objects

    def _nvcc(self) -> list[str]:
        flags = compiler_flags(CSRC / "CMakeLists.txt")
        host = [f"-Xcompiler={flag}" for flag in _CPP[1:]]
        link = ["-shared", "--cudart=static", "--resource-usage", "-Xlinker=-Bsymbolic"]
        return [nvcc(), *flags, *host, *link, f"-arch={self.architecture}", *_INCLUDE]

    def _fill_command(self, defines: list[str], objects: list[str], library: Path) -> list[str]:
        source = str(HERE / "fills.cu")
        if self.architecture:
            return [*self._nvcc(), *defines, source, *objects, "-o", str(library)]
        languages = ("-x", "c++", source, "-x", "none")
        flags = (*_CPP, "-O1", "-shared", "-Wl,-Bsymbolic", *_INCLUDE)
        return [cpp_compiler(), *flags, *defines, *languages, *objects, "-o", str(library)]

    def _list_command(self, defines: list[str], objects: list[str], library: Path) -> list[str]:
        sources = [CSRC / "many" / "cuda.cu", CSRC / "many" / "describe.cpp", HERE / "lists.cpp"]
        return [*self._nvcc(), *defines, *map(str, sources), *objects, "-o", str(library)]


if TYPE_CHECKING:
    from collections.abc import Callable

    _Command = Callable[[list[str], list[str], Path], list[str]]


def nvcc() -> str:
    found = find_tool("nvcc")
    if found is None:
        raise BuildError("nvcc was not found in CUDA_HOME, CUDA_PATH, PATH or /usr/local/cuda")
    return found


def cpp_compiler() -> str:
    found = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if found is None:
        raise BuildError("no C++ compiler was found (c++, g++, clang++)")
    return found


def _run(command: Sequence[str]) -> dict[str, Resources]:
    """Run a compiler; what ptxas says of the kernels."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        error = next(
            (line for line in lines if "error" in line.lower()), lines[-1] if lines else ""
        )
        raise BuildError(f"{Path(command[0]).name}: {error[:200]}")
    return parse_resources(done.stderr)
