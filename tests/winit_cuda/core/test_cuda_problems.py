"""Why the core does not serve a CUDA device, and what is said of one that it serves."""

from __future__ import annotations

import pytest
import torch

import standin
import winit_cuda as winit
from initializers import needs_core
from winit_cuda._core import backend

pytestmark = [
    needs_core,
    pytest.mark.skipif(standin.is_not_needed(), reason="tells the stand-in what there is"),
]


def test_devices_that_are_served(machine):
    build = machine.core.build_info()
    for device in range(standin.DEVICES):
        assert backend.cuda_problem(device) is None
        assert backend.problem(torch.empty(3, device=device)) is None
    shown = str(winit.backend_info())
    assert f"CUDA {build['cuda_version']} for 90" in shown
    assert shown.count("native: served by the native core") == 1 + standin.DEVICES


def test_a_core_without_cuda(machine, monkeypatch):
    monkeypatch.setattr(machine.core, "build_info", machine.core.below.build_info)
    if machine.core.build_info()["cuda"]:
        pytest.skip("the core was built with CUDA")
    assert "built without CUDA" in backend.cuda_problem(0)


def test_another_architecture(machine, monkeypatch):
    build = {**machine.core.build_info(), "cuda_architectures": ["75", "80"]}
    monkeypatch.setattr(machine.core, "build_info", lambda: build)
    assert backend.cuda_problem(0).endswith("built for 75, 80, not for its architecture 9.0")


@pytest.mark.usefixtures("machine")
def test_rocm(monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert "ROCm" in backend.cuda_problem(0)


@pytest.mark.usefixtures("machine")
def test_a_device_that_the_core_does_not_see():
    assert backend.cuda_problem(standin.DEVICES) is not None
