"""What `winit-cuda info` finds out of the machine."""

from __future__ import annotations

from typing import Any

import pytest

import standin
from winit_cuda._command import machine as command


@pytest.mark.skipif(standin.is_not_needed(), reason="knows what the stand-in is called")
def test_cuda_devices(machine: Any) -> None:
    assert command.cuda_devices() == ["a stand-in (sm_90)"] * standin.DEVICES
    assert machine.device_switches == 0
