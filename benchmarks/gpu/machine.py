"""What a GPU measurement ran on, beyond `winit_cuda._command.machine`: GPU, clocks, libraries."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

import winit_cuda

from .graphs import take_turns

# Fields of nvidia-smi; what a driver does not know it answers with [N/A].
_FIELDS = (
    "name",
    "driver_version",
    "memory.total",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "clocks.max.mem",
    "power.draw",
    "power.limit",
    "temperature.gpu",
)
# Distributions whose version decides what a rival does; CuPy's carries the version of CUDA.
_DISTRIBUTIONS = ("triton", "jax", "jaxlib", "cupy-cuda12x", "cupy-cuda13x", "cupy")

# About half a second of fills, in which nvidia-smi answers.
_WORK_BYTES, _WORK_FILLS = 1 << 30, 2000


def describe_gpu(at_work: bool = False) -> dict[str, object]:
    """The first GPU as plain data, as it is or while it fills memory; empty where there is none."""
    if not torch.cuda.is_available():
        return {}
    if at_work:
        tensor = torch.empty(_WORK_BYTES, dtype=torch.uint8, device="cuda")
        for _ in range(_WORK_FILLS):
            tensor.fill_(1)
    device = torch.cuda.get_device_properties(0)
    return {
        "name": device.name,
        "compute_capability": f"{device.major}.{device.minor}",
        "multiprocessors": device.multi_processor_count,
        "memory_bytes": device.total_memory,
        "l2_bytes": l2_bytes(),
        "nvidia_smi": _nvidia_smi(),
    }


def bandwidths() -> dict[str, float]:
    """Bytes a second that a copy reads and writes, and that a fill writes, of this GPU."""
    if not torch.cuda.is_available():
        return {}
    source, target = (torch.rand(_WORK_BYTES // 4, device="cuda") for _ in range(2))
    sides = {
        "copy": lambda _: target.copy_(source),
        "fill": lambda _: target.fill_(0.5),
    }
    times = take_turns(sides, 8, 9, "cuda")
    moved = {"copy": 2 * _WORK_BYTES, "fill": _WORK_BYTES}
    return {name: moved[name] / each.median for name, each in times.items()}


def l2_bytes() -> int | None:
    """The size of the L2 cache, in which repeated fills of a small tensor stay."""
    if not torch.cuda.is_available():
        return None
    return getattr(torch.cuda.get_device_properties(0), "L2_cache_size", None)


def versions() -> dict[str, str | None]:
    """CUDA of torch and of the core, and the libraries of the rivals; None: not installed."""
    core = winit_cuda.backend_info().core
    return {
        "CUDA of torch": torch.version.cuda,
        "CUDA of winit_cuda": core.get("cuda_version"),
        **{name: _installed_version(name) for name in _DISTRIBUTIONS},
    }


def _installed_version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _nvidia_smi() -> dict[str, str]:
    """Clocks, power and temperature of the first GPU at this moment, where nvidia-smi tells."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    query = [program, "-i", "0", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")]
    return dict(zip(_FIELDS, values, strict=False))
