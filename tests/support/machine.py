"""Machines for the build to be tried on: folders of fake programs, a fake driver."""

from __future__ import annotations

import subprocess
from pathlib import Path

GXX = {"c++": "exit 0", "g++": "exit 0"}


def program(folder: Path, name: str, script: str = "exit 0") -> Path:
    """Write an executable shell script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def programs(folder: Path, scripts: dict[str, str]) -> str:
    """Write several, and return the folder as a PATH has it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in scripts.items():
        program(folder, name, script)
    return str(folder)


def nvcc(version: str) -> str:
    """Return the script of an nvcc that tells its version as the real ones do."""
    return f"echo 'Cuda compilation tools, release {version}, V{version}.88'"


def driver_library(compiler: str, folder: Path, cuda: int, gpus: str = "0", status: int = 0) -> str:
    """Compile a libcuda.so.1 that answers so; "0" is no GPU."""
    library = folder / "libcuda.so.1"
    source = Path(__file__).with_name("libcuda.c")
    macros = [f"-DCUDA={cuda}", f"-DGPUS={gpus}", f"-DSTATUS={status}"]
    command = [compiler, "-shared", "-fPIC", *macros, "-o", str(library), "-x", "c", str(source)]
    subprocess.run(command, check=True)
    return str(library)
