"""Build the CPU core with other compilers and flags, and compare the bits of its fills.

    python tests/batteries/compilers.py --json tests/batteries/results/compilers.json

Each compiler builds csrc/ without optimization and with -O3. Every core then fills, by each
instruction set of this machine, all cases of the golden file, which must give its hashes, and
further ones (orthogonal matrices, wide sparse ones, layouts, lists), which must give those of the
first core. Building takes some minutes for each. The cases run in processes of their own, which
this file starts by itself with `--core`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record import ROOT, write

if TYPE_CHECKING:
    from collections.abc import Callable

COMPILERS = ("g++", "clang++")
FLAGS = ("-O0", "-O3 -DNDEBUG")


def main() -> int:
    """Build, run and compare; 1 where a hash differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--compilers", nargs="+", default=COMPILERS)
    parser.add_argument("--flags", nargs="+", default=FLAGS, help="each one argument: '-O2 -g'")
    parser.add_argument("--core", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.core:
        print(json.dumps(hashes_of(options.core)))
        return 0
    rows: list[dict[str, Any]] = []
    for compiler in options.compilers:
        for flags in options.flags:
            with tempfile.TemporaryDirectory(prefix="core-") as folder:
                core = built(compiler, flags, Path(folder))
                command = [sys.executable, __file__, "--core", str(core)]
                found = json.loads(subprocess.check_output(command, text=True))
            rows.append({"compiler": version_of(compiler), "flags": flags, **found})
            expected = list(rows[0]["further"].values())[-1]  # of the best instruction set
            rows[-1]["differ"] = [
                f"{isa}: {name}"
                for isa, hashes in found["further"].items()
                for name in expected
                if hashes[name] != expected[name] and not is_rounded_apart(isa, name)
            ]
            rows[-1]["passed"] = not rows[-1]["differ"] and not any(found["not_golden"].values())
            print(compiler, flags, "as it must" if rows[-1]["passed"] else rows[-1], flush=True)
    passed = all(row["passed"] for row in rows)
    if options.json:
        result = {"battery": "compilers and flags", "passed": passed, "rows": rows}
        write(options.json, result)
    return 0 if passed else 1


def is_rounded_apart(isa: str, name: str) -> bool:
    """Whether docs/values.md promises no bits: large orthogonal matrices without vectors of fma."""
    return name.startswith("orthogonal") and isa in ("portable", "sse2")


def version_of(compiler: str) -> str:
    """What the compiler says that it is."""
    return subprocess.check_output([compiler, "--version"], text=True).splitlines()[0]


def built(compiler: str, flags: str, folder: Path) -> Path:
    """The core, compiled with these flags beside those of csrc/CMakeLists.txt."""
    build(compiler, flags, folder)
    (core,) = folder.glob("_C*.so")
    return core


def build(compiler: str, flags: str, folder: Path, *targets: str, **others: str) -> None:
    """Have CMake build targets of csrc/CMakeLists.txt, or all of them, with further definitions."""
    import pybind11

    definitions = {
        "CMAKE_CXX_COMPILER": compiler,
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CXX_FLAGS_RELEASE": flags,
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
        **others,
    }
    configure = ["cmake", "-G", "Ninja", "-S", ROOT / "csrc", "-B", folder]
    configure += [f"-D{name}={value}" for name, value in definitions.items()]
    configure += shlex.split(os.environ.get("CMAKE_ARGS", ""))
    chosen = ["--target", *targets] if targets else []
    for command in (configure, ["cmake", "--build", folder, *chosen]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def hashes_of(file: Path) -> dict[str, Any]:
    """What the core of this file gives, by instruction set."""
    specification = importlib.util.spec_from_file_location("winit_cuda._C", file)
    assert specification is not None
    assert specification.loader is not None
    # In the place of the installed one, before anything imports that.
    sys.modules["winit_cuda._C"] = core = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(core)
    sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "csrc" / "values")]
    import test_golden as golden

    import winit_cuda
    from core import INSTRUCTION_SETS

    assert winit_cuda.backend_info().loaded
    stored = golden.hashes_in(golden.FILE)
    result: dict[str, Any] = {"golden_cases": len(golden.CASES), "not_golden": {}, "further": {}}
    for place in INSTRUCTION_SETS:
        result["not_golden"][place.name] = [
            name for name, run in golden.CASES.items() if golden.digest(run(place)) != stored[name]
        ]
        core.set_simd(place.simd)
        result["further"][place.name] = {
            name: golden.digest(run()) for name, run in further().items()
        }
        core.set_simd(None)
    return result


def further() -> dict[str, Callable[[], Any]]:
    """Fills that the golden file has not, by the public functions."""
    import torch

    import winit_cuda as winit
    from winit_cuda._dispatch.items import Job
    from winit_cuda._dispatch.many import fill_many
    from winit_cuda._fills.elementwise import NORMAL

    key = winit.key(16)

    def orthogonal(*shape: int, dtype: torch.dtype = torch.float32) -> Callable[[], Any]:
        return lambda: winit.orthogonal_(torch.empty(shape, dtype=dtype), key=key)

    def many() -> torch.Tensor:
        tensors = [torch.empty(size) for size in range(1, 300, 7)]
        jobs = [Job(NORMAL, "normal_", tensor, (0.0, 0.02)) for tensor in tensors]
        fill_many(jobs, winit.split(key, len(jobs)))
        return torch.cat(tensors)

    def transposed(dtype: torch.dtype) -> Callable[[], Any]:
        return lambda: winit.normal_(torch.empty(301, 203, dtype=dtype).t(), key=key).contiguous()

    return {
        "small orthogonal 16x16": orthogonal(16, 16),
        "orthogonal 300x200": orthogonal(300, 200),
        "orthogonal 130x300 float64": orthogonal(130, 300, dtype=torch.float64),
        "sparse 3000x64": lambda: winit.sparse_(torch.empty(3000, 64), 0.3, key=key),
        "sparse 70000x5": lambda: winit.sparse_(torch.empty(70000, 5), 0.3, key=key),
        "transposed float32": transposed(torch.float32),
        "transposed bfloat16": transposed(torch.bfloat16),
        "transposed float64": transposed(torch.float64),
        "tail float32": lambda: winit.trunc_normal_(torch.empty(9999), a=2.5, b=9.0, key=key),
        "list": many,
    }


if __name__ == "__main__":
    sys.exit(main())
