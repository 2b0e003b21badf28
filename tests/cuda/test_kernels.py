"""Every kernel against the CPU, by the cases that compute-sanitizer watches on a GPU."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu import sanitizer_cases
from emulated_device import ARCHITECTURES, EmulatedDevice, emulated_device
from standin import OTHER_DEVICES

DEVICES = (0, *OTHER_DEVICES)
LARGE = "several passes"


@pytest.fixture
def cases(machine, monkeypatch):
    if machine is not None:
        if not machine.core.runs_devices:
            pytest.skip(f"needs a device's kernels: {emulated_device()}")
        monkeypatch.setattr(sanitizer_cases, "_C", machine.core)
    return list(sanitizer_cases.cases())


@pytest.fixture
def emulated(machine):
    device = emulated_device()
    if machine is None or not isinstance(device, EmulatedDevice):
        pytest.skip("needs the emulated device")
    device.calls()
    return device


@pytest.mark.parametrize("device", DEVICES)
def test_every_kernel(cases, device):
    with torch.cuda.device(device):
        assert not [case.label for case in cases if not case.agrees(device)]


def test_threads_one_by_one(cases, emulated):
    """Each up to the next barrier, forwards, backwards and in any order: none waits for another.

    The devices take turns, as their kernels are of the same sources.
    """
    small = [case for case in cases if LARGE not in case.label]
    assert len(cases) > len(small) > 400
    wrong = []
    for turn, device in enumerate(DEVICES):
        emulated.configure(device, in_step=False)
        try:
            with torch.cuda.device(device):
                own = small[turn :: len(DEVICES)]
                wrong += [case.label for case in own if not case.agrees(device)]
        finally:
            emulated.configure(device)
    assert not wrong
    launched = {call[1] for call in emulated.calls() if call[0] == "launch"}
    for device in DEVICES:
        kernels = emulated.kernels(ARCHITECTURES[device])
        assert len(kernels) > 100
        assert {name for name in kernels - launched if "sums_kernel" not in name} == set()
