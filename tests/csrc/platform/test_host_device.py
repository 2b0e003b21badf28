"""What the header of all C++ files asks of a compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HEADER = Path(__file__).resolve().parents[3] / "csrc" / "platform" / "host_device.h"
COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def errors(*flags: str) -> list[str]:
    """What the preprocessor has to say of the header."""
    command = [str(COMPILER), "-std=c++17", "-E", "-x", "c++", "-o", "/dev/null", *flags]
    done = subprocess.run([*command, str(HEADER)], capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if "error: " in line]


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_another_compiler_is_told_in_one_line():
    assert not errors()
    (line,) = errors("-U__GNUC__", "-U__clang__", "-D_MSC_VER=1940")
    assert "winit_cuda needs GCC or Clang: MSVC and Windows are not supported" in line
