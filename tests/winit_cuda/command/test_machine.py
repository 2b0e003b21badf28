"""What `winit-cuda info` finds out of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

import standin
from winit_cuda._command import machine as command


@pytest.mark.skipif(standin.is_not_needed(), reason="knows what the stand-in is called")
def test_cuda_devices(machine: Any) -> None:
    assert command.cuda_devices() == ["a stand-in (sm_90)"] * standin.DEVICES
    assert machine.device_switches == 0


@pytest.mark.parametrize("capability", ["default", None])
def test_what_torch_uses(capability: str | None) -> None:
    program = "from winit_cuda._command import machine; print(machine.torch_simd())"
    environment = {name: value for name, value in os.environ.items() if "CAPABILITY" not in name}
    if capability:
        environment["ATEN_CPU_CAPABILITY"] = capability
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    if capability:  # "NO AVX" in torch 2.4
        assert done.stdout.strip() in ("DEFAULT (forced)", "NO AVX (forced)")
    else:
        assert done.stdout.strip() == torch.backends.cpu.get_cpu_capability()
