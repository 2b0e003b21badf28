"""Which implementation fills a tensor: the native core, or torch's own operators (ATen).

The policy, in one place:

1. The core, `winit_cuda._C`, is imported once, with this package. Where that fails (it was not
   built, or this machine cannot load it) the reason is kept and nothing else happens.
2. "auto", the default: the core fills CPU tensors, and the CUDA tensors of devices that it was
   compiled for. Everything else (other devices, complex numbers, no core) is filled by ATen, just
   as `torch.nn.init` fills it: with its values, drawn from its generator.
3. "native": as "auto", but where ATen would be needed a RuntimeError says why.
4. "aten": always ATen.
5. A core that was built with CUDA and does not serve a CUDA device, because of its driver or
   architecture, says so in a warning when ATen first fills a tensor there: other values than on
   the CPU are not what it was built for.
6. An explicit key= names values that only the core can compute: on ATen it is a RuntimeError.

`backend_info()` tells what this comes to on this machine.
"""

from __future__ import annotations

import importlib
import json
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType  # noqa: TC003  (annotations are for everyone to resolve)
from typing import Any, Literal

import torch

from .._version import STREAM_VERSION, __version__
from . import cuda_support
from .checks import warn, wrong

Choice = Literal["auto", "native", "aten"]
CHOICES = ("auto", "native", "aten")

_PACKAGE = Path(__file__).parents[1]

import_error: str | None = None
"""Why the core could not be imported."""

loaded: Any
"""The core as imported, or None."""
try:
    loaded = importlib.import_module("winit_cuda._C")
except ImportError as error:
    loaded = None
    import_error = str(error)
    if not (_PACKAGE / "_build.json").exists():  # every installation has one
        import_error = (
            f"winit_cuda was not built in {_PACKAGE}: run `pip install -e .` in the folder above, "
            f"or start Python elsewhere ({error})"
        )
        warnings.warn(import_error, stacklevel=2)

core: Any = loaded
"""The core where it is to be used, else None. `use_backend` changes it."""

_choice: Choice = "auto"
_lock = threading.Lock()
_cuda_problems: dict[int, str | None] = {}
_warned: set[int] = set()


def choice() -> Choice:
    """The backend chosen by `use_backend`."""
    return _choice


class use_backend:  # noqa: N801  (a function to its callers)
    """Choose what fills tensors: "auto", "native" or "aten".

    The choice holds from the call on, for the whole process; as a context manager it ends with the
    block, when the choice before it returns. It is one for all threads: a fill that another thread
    has begun finishes on the backend it began with, and blocks that overlap in different threads
    undo each other's choice. Choose at the start of a program, or from one thread.

    Args:
        name: "auto" (the core where it serves, else ATen), "native" (the core, or an error) or
            "aten" (what `torch.nn.init` does).

    Raises:
        ValueError: `name` is none of the three.
        RuntimeError: `name` is "native" and the core cannot be loaded.

    Example:
        >>> import torch, winit_cuda as winit
        >>> with winit.use_backend("aten"):
        ...     theirs = winit.normal_(torch.empty(3), generator=torch.Generator().manual_seed(0))
        >>> ours = torch.nn.init.normal_(torch.empty(3), generator=torch.Generator().manual_seed(0))
        >>> torch.equal(ours, theirs)
        True
    """

    def __init__(self, name: Choice) -> None:
        if not isinstance(name, str) or name not in CHOICES:
            raise wrong("use_backend", "name", f"one of {', '.join(CHOICES)}", name)
        if name == "native" and loaded is None:
            raise RuntimeError(f"use_backend: the native core is not there: {import_error}")
        self._previous = _choose(name)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _choose(self._previous)


def _choose(name: Choice) -> Choice:
    global _choice, core
    with _lock:
        previous, _choice = _choice, name
        core = None if name == "aten" else loaded
    return previous


def problem(tensor: torch.Tensor) -> str | None:
    """Why the core does not serve tensors on this tensor's device; None where it does."""
    if _choice == "aten":
        return 'use_backend("aten") is in force'
    if core is None:
        return f"the native core is not there ({import_error})"
    if tensor.device.type == "cpu":
        return None
    if tensor.is_cuda:
        return cuda_problem(tensor.get_device())
    return f"the native core does not serve {tensor.device.type} devices"


def cuda_problem(index: int) -> str | None:
    """Why the core does not serve CUDA device `index`; None where it does."""
    if index not in _cuda_problems:
        _cuda_problems[index] = _find_cuda_problem(index)
    return _cuda_problems[index]


def _find_cuda_problem(index: int) -> str | None:
    if loaded is None:
        return f"the native core is not there ({import_error})"
    return cuda_support.problem(loaded, index)


def warn_of_fallback(index: int) -> None:
    """Warn once for each CUDA device that the core was built for, but does not serve."""
    if index in _warned or _choice == "aten" or loaded is None or not loaded.build_info()["cuda"]:
        return
    _warned.add(index)
    if (reason := cuda_problem(index)) is not None:
        warn(
            f"winit_cuda: torch fills the tensors of cuda:{index}, with other values than on the "
            f"CPU, because {reason}"
        )


@dataclass(frozen=True)
class DeviceUse:
    """What fills the tensors of a device, and why."""

    device: str
    backend: Literal["native", "aten"]
    reason: str


@dataclass(frozen=True)
class BackendInfo:
    """What was built, what loads, what each device uses and why; `print` it to read it."""

    version: str
    stream_version: int
    """Which values a key gives: `STREAM_VERSION`."""
    torch_version: str
    choice: Choice
    build: dict[str, Any]
    """How the package was built: "core" ("cuda", "cpu" or "none"), "reason" and, where nvcc
    compiled it, "toolkit"; may be empty."""
    loaded: bool
    import_error: str | None
    core: dict[str, Any]
    """What the loaded core says of itself: compiler, instruction sets, CUDA architectures."""
    cuda: dict[str, Any] = field(default_factory=dict)
    """What its CUDA runtime says: "devices" and, where there are none, "error"; the versions of
    "driver" (0: there is none) and "runtime", 12040 for 12.4. Empty in a core without CUDA."""
    devices: tuple[DeviceUse, ...] = field(default_factory=tuple)

    def __str__(self) -> str:
        lines = [
            f"winit_cuda  {self.version}, stream version {self.stream_version}, "
            f"torch {self.torch_version}",
            f"built       {self.build.get('reason', 'no record of the build')}",
            f"core        {self._core_line()}",
        ]
        if self.cuda:
            lines.append(f"CUDA        {self._cuda_line()}")
        lines.append(f"choice      {self.choice}")
        lines += [f"{use.device:<11} {use.backend}: {use.reason}" for use in self.devices]
        return "\n".join(lines)

    def _core_line(self) -> str:
        if not self.loaded:
            return f"not loaded: {self.import_error}"
        cuda = "no CUDA"
        if self.core["cuda"]:
            architectures = ", ".join(self.core["cuda_architectures"])
            cuda = f"CUDA {self.core['cuda_version']} for {architectures}"
        return f"loaded: {self.core['compiler']}, {self.core['simd_active']}, {cuda}"

    def _cuda_line(self) -> str:
        driver, runtime = map(
            cuda_support.version_name, (self.cuda["driver"], self.cuda["runtime"])
        )
        known = f"driver up to {driver}" if self.cuda["driver"] else "no driver"
        seen = f"{self.cuda['devices']} devices"
        return f"{known}, runtime {runtime}, {self.cuda['error'] or seen}"


def backend_info() -> BackendInfo:
    """Return what was built, what loads, and what fills the tensors of each device, with reasons.

    Example:
        >>> import winit_cuda as winit
        >>> winit.backend_info().devices[0].device
        'cpu'
    """
    core_says = dict(loaded.build_info()) if loaded is not None else {}
    return BackendInfo(
        version=__version__,
        stream_version=STREAM_VERSION,
        torch_version=str(torch.__version__),
        choice=_choice,
        build=_build_record(),
        loaded=loaded is not None,
        import_error=import_error,
        core=core_says,
        cuda=dict(loaded.cuda_status()) if core_says.get("cuda") else {},
        devices=tuple(_device_uses()),
    )


def _build_record() -> dict[str, Any]:
    """What setup.py decided and why."""
    path = _PACKAGE / "_build.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record


def _device_uses() -> list[DeviceUse]:
    uses = [_use("cpu", problem(torch.empty(0, device="cpu")))]
    for index in range(torch.cuda.device_count()):
        reason = problem_of_choice() or cuda_problem(index)
        uses.append(_use(f"cuda:{index}", reason))
    for kind, module in (("mps", torch.backends.mps), ("xpu", torch.xpu)):
        if module.is_available():
            reason = problem_of_choice() or f"the native core does not serve {kind} devices"
            uses.append(_use(kind, reason))
    return uses


def problem_of_choice() -> str | None:
    """Why the core is out of use on every device; None where it is in use."""
    if _choice == "aten":
        return 'use_backend("aten") is in force'
    return None if core is not None else f"the native core is not there ({import_error})"


def _use(device: str, reason: str | None) -> DeviceUse:
    if reason is None:
        return DeviceUse(device, "native", "served by the native core")
    return DeviceUse(device, "aten", reason)
