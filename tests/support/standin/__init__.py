"""CUDA devices that are not there, so that the package's CUDA half runs on any machine.

`installed` puts a stand-in in the place of `torch.cuda`, of tensors on CUDA devices and of the
core, and takes all of it away again. What runs in between is the package's own Python, line by
line as on a machine with two GPUs:

- `memory`: the memory of the devices and pinned memory, on the host, known by address. It can run
  out.
- `runtime`: what torch.cuda says and does: devices, streams, generators, graphs.
- `tensors`: tensors in that memory say they are on a device, results of theirs are there, too, and
  tensors of different devices do not mix.
- `launches`: a core that checks what a launch on a device relies on. Where the emulated device is
  built (emulated_device.py), the core's own launch code and kernels then run; else the CPU core
  writes in their place.

It shows that addresses, devices, streams, keys and errors are right. It does not show what only a
GPU can: that work of two streams runs in order, how the driver, torch's own kernels and its
allocator behave, and how long anything takes.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch

from emulated_device import EmulatedDevice, emulated_device
from winit_cuda._core import backend
from winit_cuda._fills.structured import FILLS

from .launches import Core
from .runtime import DEVICES as DEVICES
from .runtime import Machine
from .tensors import OnDevices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def is_not_needed() -> bool:
    """Whether a CUDA device is here that the core was built for."""
    core = backend.loaded
    return torch.cuda.is_available() and core is not None and core.build_info()["cuda"]


OTHER_DEVICES = range(1, torch.cuda.device_count() if is_not_needed() else DEVICES)
"""The devices beside the first."""
needs_two_devices = pytest.mark.skipif(not OTHER_DEVICES, reason="needs two CUDA devices")


def _is_a_subclass(tensor: torch.Tensor) -> bool:
    """Whether a class overrides torch's functions; the mode of the stand-in is not to be seen."""
    override = type(tensor).__torch_function__
    disabled = torch._C._disabled_torch_function_impl  # DTensor's
    return type(tensor) not in (torch.Tensor, torch.nn.Parameter) and override is not disabled


def _no_place(_: Any) -> None:
    return None


def _bound(names: Iterable[str]) -> list[tuple[Any, str]]:
    """The modules of the package that have bound these names at import."""
    modules = [each for name, each in sys.modules.items() if name.startswith("winit_cuda.")]
    return [(each, name) for each in modules for name in names if name in vars(each)]


@contextlib.contextmanager
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Two CUDA devices, for this thread and those it starts."""
    machine = Machine()
    device = emulated_device()
    if isinstance(device, EmulatedDevice):
        machine.memory.emulated = device
        device.configure(0)
        core: Any = Core(machine, device.core, runs_devices=True)
    else:
        core = Core(machine, backend.loaded)
    machine.core = core
    mode = OnDevices(machine)
    run = threading.Thread.run

    def run_with_devices(thread: threading.Thread) -> None:
        with mode:
            run(thread)

    with monkeypatch.context() as patch:
        machine.replace_torch_cuda(patch)
        patch.setattr(threading.Thread, "run", run_with_devices)
        patch.setattr(backend, "loaded", core)
        patch.setattr(backend, "core", core)
        patch.setattr(backend, "_cuda_problems", {})
        patch.setattr(backend, "_warned", set(range(DEVICES)))  # a warning is one test's subject
        for fill in FILLS.values():
            if fill.native is not None:
                patch.setattr(type(fill), "native", staticmethod(getattr(core, fill.name)))
                patch.setattr(type(fill), "quick", None)  # as place_of
        answers = {
            "cuda_stream": machine.raw_stream,
            "has_torch_function": _is_a_subclass,
            "place_of": _no_place,  # DLPack knows nothing of these devices
            "exchange": None,
        }
        for module, name in _bound(answers):
            patch.setattr(module, name, answers[name])
        with mode:
            yield machine
