"""What is said where the core's kernels do not run: cores that tell of other machines stand in."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import winit_cuda as winit
from winit_cuda._command import cli
from winit_cuda._core import backend, cuda_support

TOO_OLD = "CUDA driver version is insufficient for CUDA runtime version"
NO_DEVICE = "no CUDA-capable device is detected"


def machine(
    driver: int = 13000,
    runtime: int = 13000,
    *,
    devices: int = 1,
    error: str = "",
    architectures: tuple[str, ...] = ("75", "90", "90+PTX"),
    cuda: bool = True,
) -> Any:
    """A core that was built with CUDA `runtime` and finds this driver."""
    build = {
        "cuda": cuda,
        "cuda_version": cuda_support.version_name(runtime),
        "cuda_architectures": list(architectures),
        "compiler": "GCC 13",
        "simd": ["portable"],
        "simd_active": "portable",
    }
    status = {"devices": devices, "error": error, "driver": driver, "runtime": runtime}
    return SimpleNamespace(build_info=lambda: build, cuda_status=lambda: status)


@pytest.fixture(autouse=True)
def hopper(monkeypatch):
    """A device of compute capability 9.0, as torch sees it."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))


@pytest.mark.parametrize(
    "core",
    [
        machine(),
        machine(13020, 12010),  # a driver runs what any earlier CUDA has built
        machine(12010, 12010),
        machine(12020, 12080),  # and binary code of a later one of its major version
        machine(devices=8),
        machine(architectures=("90+PTX",)),
    ],
)
def test_nothing_is_wrong(core):
    assert cuda_support.problem(core, 0) is None


@pytest.mark.parametrize(
    ("core", "words"),
    [
        (
            machine(12060, 13000, devices=0, error=TOO_OLD),
            "the NVIDIA driver knows CUDA 12.6, and the native core was built with 13.0 "
            f"({TOO_OLD}): update the driver, or build winit_cuda with nvcc 12.x, at best no later "
            "than 12.6",
        ),
        (
            machine(0, 13000, devices=0, error=TOO_OLD),
            f"the native core, built with CUDA 13.0, finds no NVIDIA driver ({TOO_OLD}): install "
            "one of CUDA 13.0 or later",
        ),
        (
            machine(11080, 12040, devices=0, error=TOO_OLD),
            f"the NVIDIA driver knows CUDA 11.8 ({TOO_OLD}), and the native core needs 12.1 or "
            "later: update the driver, to 530 or later",
        ),
        (  # a driver that would run the binary code, but no kernel with long parameters
            machine(12000, 12080),
            "the NVIDIA driver knows CUDA 12.0, and the native core needs 12.1 or later: update "
            "the driver, to 530 or later",
        ),
        (
            machine(13000, 13000, devices=0, error=NO_DEVICE),
            "the CUDA runtime of the native core (13.0; the driver knows 13.0) sees no device: "
            f"{NO_DEVICE}",
        ),
        (machine(architectures=("75", "100")), "built for 75, 100, not for its architecture 9.0"),
        (
            machine(12020, 12080, architectures=("75", "80+PTX")),
            "for its architecture 9.0 the native core has only PTX of CUDA 12.8, and the NVIDIA "
            "driver compiles it up to 12.2: update the driver, or build winit_cuda with "
            "CMAKE_CUDA_ARCHITECTURES=90-real",
        ),
        (machine(cuda=False), "the native core was built without CUDA"),
    ],
    ids=["toolkit", "no driver", "CUDA 11", "CUDA 12.0", "no device", "binary", "PTX", "no CUDA"],
)
def test_what_is_wrong_and_what_helps(core, words):
    assert words in cuda_support.problem(core, 0)


def test_fewer_devices_than_torch_sees():
    core = machine(devices=2)
    assert cuda_support.problem(core, 1) is None
    assert "sees no cuda:2, as torch does, but 2 devices" in cuda_support.problem(core, 2)


def test_rocm(monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.2")
    assert "ROCm" in cuda_support.problem(machine(), 0)


@pytest.mark.parametrize(
    ("architecture", "capability", "runs"),
    [
        ("75", (7, 5), True),
        ("80", (8, 9), True),
        ("86", (8, 0), False),
        ("80", (9, 0), False),
        ("90a", (9, 0), True),
        ("100a", (10, 3), False),
        ("120", (12, 1), True),
        ("80", (8, 7), False),
        ("86", (8, 7), False),
        ("87", (8, 7), True),
        ("87", (8, 9), False),
        ("100", (10, 1), False),
        ("80+PTX", (8, 7), True),
        ("90+PTX", (12, 0), True),
        ("90+PTX", (8, 9), False),
    ],
)
def test_architectures(architecture, capability, runs):
    assert cuda_support.runs_on(architecture, capability) == runs


@pytest.fixture
def install(monkeypatch):
    """Put a core in the place of the loaded one, with one CUDA device in torch's eyes."""

    def put(core: Any) -> None:
        monkeypatch.setattr(backend, "loaded", core)
        monkeypatch.setattr(backend, "core", core)
        monkeypatch.setattr(backend, "_cuda_problems", {})
        monkeypatch.setattr(backend, "_warned", set())
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    return put


def test_info_tells_driver_runtime_and_reason(install, capsys):
    install(machine(12060, 13000, devices=0, error=TOO_OLD))
    info = winit.backend_info()
    assert info.cuda == {"devices": 0, "error": TOO_OLD, "driver": 12060, "runtime": 13000}
    reason = cuda_support.problem(backend.loaded, 0)
    assert info.devices[1] == backend.DeviceUse("cuda:0", "aten", reason)
    assert cli.main(["info"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert f"CUDA        driver up to 12.6, runtime 13.0, {TOO_OLD}" in printed
    assert f"cuda:0      aten: {reason}" in printed


def test_info_where_all_is_well(install):
    install(machine(13020, 13000, devices=2))
    info = winit.backend_info()
    assert "CUDA        driver up to 13.2, runtime 13.0, 2 devices" in str(info).splitlines()
    assert info.devices[1].backend == "native"


def test_info_without_cuda(install):
    install(machine(0, 0, devices=0, error="built without CUDA", cuda=False))
    info = winit.backend_info()
    assert info.cuda == {}
    assert "\nCUDA " not in str(info)


def test_one_warning_for_a_device_that_the_core_was_built_for(install):
    install(machine(12060, 13000, devices=0, error=TOO_OLD))
    with pytest.warns(UserWarning, match=r"torch fills the tensors of cuda:0, .* 12\.6") as seen:
        backend.warn_of_fallback(0)
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backend.warn_of_fallback(0)


@pytest.mark.parametrize("core", [machine(), machine(cuda=False), None])
@pytest.mark.filterwarnings("error")
def test_no_warning(core, install):
    """Nor where the core is fine and the dtype is not, or nobody asked for CUDA."""
    install(core)
    backend.warn_of_fallback(0)


@pytest.mark.filterwarnings("error")
def test_no_warning_where_aten_was_chosen(install, monkeypatch):
    install(machine(12060, 13000, devices=0, error=TOO_OLD))
    monkeypatch.setattr(backend, "_choice", "aten")
    backend.warn_of_fallback(0)
