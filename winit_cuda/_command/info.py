"""``winit-cuda info``: versions, what was built, what each device uses and why."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import torch

from .._core.backend import backend_info
from . import machine

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``winit-cuda info`` has no options."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    """Print everything that a bug report needs."""
    print(text())
    return 0


def text() -> str:
    """The backends, and the machine below them."""
    info = backend_info()
    usable = info.core.get("simd", [])
    driver = machine.cuda_driver()
    facts = {
        "threads": f"{torch.get_num_threads()} of torch, {machine.available_cores()} cores",
        "SIMD": f"{info.core['simd_active']}, usable: {', '.join(usable)}" if usable else "",
        "processor": machine.cpu_model(),
        "GPUs": ", ".join(machine.cuda_devices()) or "none that torch sees",
        "driver": f"NVIDIA {driver}" if driver else "no NVIDIA driver",
        "torch CUDA": torch.version.cuda or "built without",
        "Python": platform.python_version(),
        "platform": platform.platform(),
        "commit": machine.git_commit() or "",
    }
    lines = [f"{name:<11} {value}" for name, value in facts.items() if value]
    return "\n".join([str(info), "", *lines])
