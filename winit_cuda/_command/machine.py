"""What a measurement ran on: processor, devices, driver, versions, commit.

``winit-cuda info`` prints it; the demo and the benchmarks store it next to their numbers, because
a time without its machine means nothing.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from .._version import __version__

# The instruction sets that the fills of the CPU core could use, as py-cpuinfo names them.
_SIMD_FLAGS = ("neon", "asimd", "sve", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vl")


def describe() -> dict[str, object]:
    """Everything that a reader needs to judge a time measured here, as plain data for JSON."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "winit_cuda": __version__,
        "commit": git_commit(),
        "cpu": cpu_model(),
        "cpu_family": cpu_family(),
        "cores": available_cores(),
        "simd_flags": simd_flags(),
        "torch_simd": torch_simd(),
        "threads": torch.get_num_threads(),
        "load": load(),
        "cuda_devices": cuda_devices(),
        "cuda_driver": cuda_driver(),
    }


def cpu_model() -> str:
    """The name of the processor."""
    return _cpu_info().get("brand_raw") or platform.processor() or platform.machine()


def cpu_family() -> str | None:
    """Family and model of an x86 processor: virtual machines hide the rest of its name."""
    family, model = (_cpu_info().get(name) for name in ("family", "model"))
    return None if family is None else f"family {family}, model {model}"


def simd_flags() -> list[str]:
    """The instruction sets of this processor that matter here."""
    present = _cpu_info().get("flags") or ()
    return [flag for flag in _SIMD_FLAGS if flag in present]


def torch_simd() -> str:
    """What torch's own kernels use, and whether that was forced."""
    forced = os.environ.get("ATEN_CPU_CAPABILITY")
    return torch.backends.cpu.get_cpu_capability() + (" (forced)" if forced else "")


@functools.cache
def _cpu_info() -> dict[str, Any]:
    """What py-cpuinfo, of the extra ``bench``, says after about a second."""
    try:
        info: dict[str, Any] = importlib.import_module("cpuinfo").get_cpu_info()
    except ImportError:
        return {}
    return info


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load() -> float | None:
    """How many threads of other programs wanted a core in the last minute, where known."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def available_bytes() -> int | None:
    """The memory that is free for a new tensor, where the system tells."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def cuda_devices() -> list[str]:
    """The CUDA devices that torch sees, with their compute capability."""
    if not torch.cuda.is_available():
        return []
    devices = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
    return [f"{device.name} (sm_{device.major}{device.minor})" for device in devices]


def cuda_driver() -> str | None:
    """The version of the NVIDIA driver, None where there is none."""
    with contextlib.suppress(OSError):
        words = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").split()
        for word in words:
            if word.replace(".", "").isdigit() and "." in word:
                return word
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    output = _output_of(query) if shutil.which("nvidia-smi") else None
    return output.splitlines()[0] if output else None


def is_checkout(folder: Path) -> bool:
    """Whether this folder is the root of the project's sources."""
    return (folder / "csrc").is_dir() and (folder / "winit_cuda").is_dir()


def git_commit() -> str | None:
    """The commit of the sources, where the package or the current folder is a checkout of them."""
    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
        if is_checkout(folder):
            return _output_of(["git", "-C", str(folder), "describe", "--always", "--dirty"])
    return None


def _output_of(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
