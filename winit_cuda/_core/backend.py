"""Which implementation fills a tensor: the native core, or torch's own operators (ATen).

The policy, in one place:

1. The core, `winit_cuda._C`, is imported once, with this package. Where that fails (it was not
   built, or this machine cannot load it) the reason is kept and nothing else happens.
2. "auto", the default: the core fills CPU tensors, and the CUDA tensors of devices that it was
   compiled for. Everything else (other devices, complex numbers, no core) is filled by ATen, just
   as `torch.nn.init` fills it: with its values, drawn from its generator.
3. "native": as "auto", but where ATen would be needed a RuntimeError says why.
4. "aten": always ATen.
5. An explicit key= names values that only the core can compute: on ATen it is a RuntimeError.

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

from .._version import __version__
from .checks import wrong

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
    build = loaded.build_info()
    if not build["cuda"]:
        return "the native core was built without CUDA"
    if torch.version.hip is not None:
        return "this torch runs on ROCm, the native core on CUDA"
    if index >= loaded.cuda_device_count():
        return "the native core does not see this device"
    capability = torch.cuda.get_device_capability(index)
    built = build["cuda_architectures"]
    if not any(runs_on(name, capability) for name in built):
        shown = f"{capability[0]}.{capability[1]}"
        return f"the native core was built for {', '.join(built)}, not for its architecture {shown}"
    return None


def runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    """Whether code for an architecture runs on a device of this compute capability.

    Binary code ("90") runs on devices of its major version that are not older, code with features
    of one architecture ("90a") on that one only, PTX ("90+PTX") on every device that is not older.
    Tegra and the other devices of its major version do not run each other's binary code.
    """
    number = int("".join(filter(str.isdigit, architecture)))
    major, minor = divmod(number, 10)
    if architecture.endswith("+PTX"):
        return capability >= (major, minor)
    tegra = {(8, 7), (10, 1)}
    if architecture.endswith(("a", "f")) or not tegra.isdisjoint({(major, minor), capability}):
        return capability == (major, minor)
    return capability[0] == major and capability[1] >= minor


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
    torch_version: str
    choice: Choice
    build: dict[str, Any]
    """How the package was built: "core" ("cuda", "cpu" or "none"), "reason" and, where nvcc
    compiled it, "toolkit"; may be empty."""
    loaded: bool
    import_error: str | None
    core: dict[str, Any]
    """What the loaded core says of itself: compiler, instruction sets, CUDA architectures."""
    devices: tuple[DeviceUse, ...] = field(default_factory=tuple)

    def __str__(self) -> str:
        lines = [
            f"winit_cuda  {self.version}, torch {self.torch_version}",
            f"built       {self.build.get('reason', 'no record of the build')}",
            f"core        {self._core_line()}",
            f"choice      {self.choice}",
        ]
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


def backend_info() -> BackendInfo:
    """Return what was built, what loads, and what fills the tensors of each device, with reasons.

    Example:
        >>> import winit_cuda as winit
        >>> winit.backend_info().devices[0].device
        'cpu'
    """
    return BackendInfo(
        version=__version__,
        torch_version=str(torch.__version__),
        choice=_choice,
        build=_build_record(),
        loaded=loaded is not None,
        import_error=import_error,
        core=dict(loaded.build_info()) if loaded is not None else {},
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
