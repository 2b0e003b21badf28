"""CUDA devices without a GPU: the compiled kernels' PTX, run behind the core's own launch code.

A build with `-DWINIT_CUDA_EMULATED_DEVICE=ON` (csrc/testing) leaves a second copy of the core
beside the real one. Its calls of the CUDA runtime end in an emulated device, which reads the PTX
that nvcc made for the product and runs it instruction by instruction. It sees what the compiled
code computes and where it writes; what it cannot see is what nvcc's assembler, the driver and a
real device add to that: registers, streams, time.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.machinery
import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ptx

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

ROOT = Path(__file__).parents[2]
ARCHITECTURES = (75, 90)
"""Of devices 0 and 1: the oldest that is built for, and one with the conversions of newer ones."""


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("operation", ctypes.c_uint16),
        ("space", ctypes.c_uint8),
        ("count", ctypes.c_uint8),
        ("bytes", ctypes.c_uint8),
        ("register_bytes", ctypes.c_uint8),
        ("address_bytes", ctypes.c_uint8),
        ("guarded_by_zero", ctypes.c_uint8),
        ("line", ctypes.c_uint32),
        ("guard", ctypes.c_uint32),
        ("registers", ctypes.c_uint32 * 5),
        ("immediate", ctypes.c_int64),
    )


class _Constant(ctypes.Structure):
    _fields_ = (("at", ctypes.c_uint32), ("bytes", ctypes.c_uint32), ("value", ctypes.c_uint64))


class _Parameter(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_int32), ("bytes", ctypes.c_int32))


def find_build() -> Path | str:
    """The folder of the emulated core, or why there is none."""
    if not sys.platform.startswith("linux"):
        return "the emulated device runs on Linux alone"
    record = ROOT / "winit_cuda" / "_build.json"
    if not record.is_file() or json.loads(record.read_text())["core"] != "cuda":
        return "the core was built without CUDA"  # an older build may have left its own
    tag = f"core-{sys.implementation.cache_tag}-cuda"
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    folder = ROOT / "build" / tag / "emulated"
    if not (folder / f"_C{suffix}").is_file():
        return "the device code was not built for the emulated device (see CONTRIBUTING.md)"
    return folder


class EmulatedDevice:
    """The core on the emulated device, and what a test may ask of the device."""

    def __init__(self, folder: Path) -> None:
        path = str(folder / f"_C{importlib.machinery.EXTENSION_SUFFIXES[0]}")
        extension = importlib.machinery.ExtensionFileLoader("winit_cuda_emulated._C", path)
        spec = importlib.util.spec_from_loader(extension.name, extension)
        assert spec is not None
        self.core: Any = importlib.util.module_from_spec(spec)
        extension.exec_module(self.core)
        self.library = ctypes.CDLL(path)
        self.library.emulated_calls.restype = ctypes.c_char_p
        self.operations = self._names_of_operations()
        self._tables: list[Any] = []
        self._loaded: set[tuple[int, str]] = set()
        self._modules = [
            ptx.Module(text, self._place_table)
            for number in ARCHITECTURES  # of all that were compiled for
            for file in sorted((folder / "ptx").rglob(f"*.compute_{number}.ptx"))
            if ".entry" in (text := file.read_text())
        ]
        # Kept here: the library has only the address.
        loader = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_int, ctypes.c_char_p)
        self._loader = loader(self._load_or_tell)
        self.library.emulated_loader(self._loader)

    def configure(
        self,
        device: int,
        processors: int = 2,
        resident_blocks: int = 2,
        in_step: bool = True,
        seed: int = 0,
    ) -> None:
        """Make a device current, and say what it is and how it runs.

        Threads go in step, or one by one from barrier to barrier, then in several orders.
        """
        self.library.emulated_configure(device, processors, resident_blocks, in_step, seed)

    @contextlib.contextmanager
    def memory(self, storage: torch.UntypedStorage) -> Iterator[None]:
        """Memory of the host that is the device's meanwhile: it may touch no other."""
        self.add_memory(storage.data_ptr(), storage.nbytes())
        try:
            yield
        finally:
            self.remove_memory(storage.data_ptr())

    def add_memory(self, address: int, size: int) -> None:
        self.library.emulated_memory(ctypes.c_uint64(address), ctypes.c_uint64(size), 1)

    def remove_memory(self, address: int) -> None:
        self.library.emulated_no_memory(ctypes.c_uint64(address))

    def calls(self) -> list[list[str]]:
        """The calls of the runtime since the last time: the name, then the arguments."""
        return [line.split() for line in self.library.emulated_calls().decode().splitlines()]

    def forget(self, architecture: int, name: str) -> None:
        """Read a kernel anew when it is launched next."""
        self.library.emulated_forget(architecture, name.encode())
        self._loaded.discard((architecture, name))

    def kernels(self, architecture: int) -> set[str]:
        """The names of all kernels."""
        return {
            name
            for module in self._modules
            if module.architecture == architecture
            for name in module.kernels
        }

    def _names_of_operations(self) -> dict[str, int]:
        room = ctypes.create_string_buffer(1 << 16)
        self.library.emulated_operations(room, len(room))
        return {name: number for number, name in enumerate(room.value.decode().split())}

    def _place_table(self, content: bytes) -> int:
        table = ctypes.create_string_buffer(content, len(content) + 16)
        address = -(-ctypes.addressof(table) // 16) * 16
        ctypes.memmove(address, content, len(content))
        self._tables.append(table)
        self.library.emulated_memory(ctypes.c_uint64(address), ctypes.c_uint64(len(content)), 0)
        return address

    def _load_or_tell(self, architecture: int, name: bytes) -> bool:
        try:
            return self.load(architecture, name.decode())
        except ptx.UnknownPtxError as error:
            self.library.emulated_fault(str(error).encode())
            return False

    def load(self, architecture: int, name: str) -> bool:
        """Read a kernel, once; False: there is none of the name."""
        if (architecture, name) in self._loaded:
            return True
        for module in self._modules:
            if module.architecture == architecture and name in module.kernels:
                gc.disable()  # half of the time that tens of thousands of small objects take
                self._give(architecture, module.kernel(name))
                gc.enable()
                self._loaded.add((architecture, name))
                return True
        return False

    def _give(self, architecture: int, kernel: ptx.Kernel) -> None:
        instructions = (_Instruction * len(kernel.instructions))(
            *(
                _Instruction(
                    self.operations[each.operation],
                    ptx.SPACES[each.space],
                    each.count,
                    each.bytes,
                    each.register_bytes,
                    each.address_bytes,
                    each.guarded_by_zero,
                    each.line,
                    each.guard,
                    (ctypes.c_uint32 * 5)(*each.registers),
                    each.immediate,
                )
                for each in kernel.instructions
            )
        )
        constants = (_Constant * len(kernel.constants))(*kernel.constants)
        parameters = (_Parameter * len(kernel.parameters))(*kernel.parameters)
        numbers = (ctypes.c_int64 * 7)(
            kernel.parameter_bytes,
            kernel.static_shared_bytes,
            kernel.dynamic_shared_offset,
            kernel.lane_bytes,
            kernel.most_threads,
            kernel.has_barrier,
            kernel.reads_sums,
        )
        arrays: list[Any] = []
        for array in (instructions, constants, parameters):
            arrays += [array, ctypes.c_int64(len(array))]
        places = (ctypes.c_uint32 * 4)(*kernel.places)
        self.library.emulated_kernel(architecture, kernel.name.encode(), *arrays, numbers, places)


@cache
def emulated_device() -> EmulatedDevice | str:
    """The one of this process, or why there is none."""
    folder = find_build()
    return folder if isinstance(folder, str) else EmulatedDevice(folder)
