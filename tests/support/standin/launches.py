"""A core in place of the native one: it checks every launch on a device, and the CPU core writes.

What a kernel needs and cannot check: that its device is current, that the stream is the current one
of that device, and that every address it gets is of memory it may use.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from winit_cuda._core.dtypes import CODES

from .memory import PINNED
from .runtime import CAPABILITY, DEVICES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .runtime import Machine

_ITEM_SIZES = {code: dtype.itemsize for dtype, code in CODES.items()}
# More fills in a list than this do not fit a kernel's parameters here.
_MOST_IN_PARAMETERS = 20


class Core:
    """The functions of `winit_cuda._C`; those that launch are checked when a device is meant."""

    def __init__(self, machine: Machine, below: Any, *, runs_devices: bool = False) -> None:
        """`runs_devices`: whether the core below has the devices; if not, it is told of the CPU."""
        self.machine, self.below, self.runs_devices = machine, below, runs_devices
        self.launches: list[str] = []
        self._failing: int | None = None
        for name in ("uniform", "normal", "trunc_normal", "sparse", "orthogonal_batch"):
            setattr(self, name, self._fill(name))

    def fail_after(self, passing: int | None) -> None:
        """Let a launch fail, once, when its key is drawn, after so many more; None: never."""
        self._failing = None if passing is None else len(self.launches) + passing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def build_info(self) -> dict[str, Any]:
        architecture = "".join(map(str, CAPABILITY))
        cuda = {"cuda": True, "cuda_version": "13.0", "cuda_architectures": [architecture]}
        return {**self.below.build_info(), **cuda}

    def cuda_status(self) -> dict[str, Any]:
        return {"devices": DEVICES, "error": "", "driver": 13000, "runtime": 13000}

    def cuda_current_device(self) -> int:
        return self.machine.current_device()

    def set_cuda_device(self, device: int) -> None:
        assert device == self.machine.current_device(), "torch's guard is to do that"

    def _device(self, device: int) -> int:
        return device if self.runs_devices else -1

    def _check(self, name: str, device: int, stream: int) -> None:
        """The launch of `name` may go to the device and stream."""
        assert device == self.machine.current_device(), f"{name}: cuda:{device} is not current"
        assert stream == self.machine.raw_stream(device), f"{name}: not the current stream"
        self._tell(device)

    def _tell(self, device: int) -> None:
        """Make the device current for a core below that runs devices: torch.cuda is not theirs."""
        if self.runs_devices:
            self.below.set_cuda_device(device)

    def _launch(
        self, name: str, device: int, stream: int, key: Any, words: tuple[int, int], call: Any
    ) -> None:
        """Draw as the core does, and then launch."""
        self._check(name, device, stream)
        if callable(key):
            assert stream not in self.machine.capturing, "a key is drawn once, not by each replay"
            key, words = 0, self.below.drawn(key, *words)
        elif key:
            self._check_there(device, key, 16)
        self.launches.append(name)
        if self._failing is not None and len(self.launches) > self._failing:
            self._failing = None
            raise RuntimeError("kernel launch: out of memory")
        call(key, *words)
        graph = self.machine.capturing.get(stream)
        if graph is not None:
            graph.record(lambda: call(key, *words))

    def _check_there(self, device: int, address: int, size: int) -> None:
        assert self.machine.memory.holds(device, address, size), "not memory of the device"

    def _check_here(self, address: int) -> None:
        assert address, "no memory"
        assert not self.machine.memory.is_on_device(address), "not memory of the host"

    def _check_place(self, device: int, pointer: int, size: int, numel: int, box: Any) -> None:
        assert numel > 0, "nothing to launch for"
        last = numel - 1
        if box is not None:
            sizes, strides = box[:2]
            last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        self._check_there(device, pointer, (last + 1) * size)

    def _fill(self, name: str) -> Callable[..., None]:
        native = getattr(self.below, name)

        def fill(*arguments: Any) -> None:
            pointer, code, numel, box, device, stream, threads, key, seed, word, *rest = arguments
            if device < 0:
                native(*arguments)
                return
            self._check_place(device, pointer, _ITEM_SIZES[code], numel, box)
            if name == "sparse":
                columns = rest[1] if box is None else box[0][1]
                self._check_there(device, rest[-1], 16 * columns)
            elif name == "orthogonal_batch":
                needed = self.orthogonal_batch_workspace(*rest[:3], device)
                if needed:
                    self._check_there(device, rest[-1], needed)
            place = (pointer, code, numel, box, self._device(device), stream, threads)
            self._launch(
                name, device, stream, key, (seed, word), lambda *key: native(*place, *key, *rest)
            )

        return fill

    def sparse_boxes(self, parts: list[Any], *arguments: Any) -> None:
        code, device, stream, threads, key, seed, word, *rest = arguments
        if device < 0:
            self.below.sparse_boxes(parts, *arguments)
            return
        for _, _, boxes in parts:
            for pointer, numel, box in boxes:
                self._check_place(device, pointer, _ITEM_SIZES[code], numel, box)
        self._check_there(device, rest[-1], 16 * sum(count for _, count, _ in parts))
        where = (code, self._device(device), stream, threads)
        self._launch(
            *("sparse_boxes", device, stream, key, (seed, word)),
            lambda *key: self.below.sparse_boxes(parts, *where, *key, *rest),
        )
        for _ in range(1, sum(len(boxes) for _, _, boxes in parts)):
            # Each box has a kernel of its own: that of a later one may fail when others have run.
            self._launch("sparse_boxes", device, stream, 0, (seed, word), lambda *_: None)

    def orthogonal(self, *arguments: Any) -> None:
        assert arguments[4] < 0, "whole matrices are made on the CPU"
        self.below.orthogonal(*arguments)

    def orthogonal_batch_workspace(self, count: int, rows: int, columns: int, device: int) -> int:
        if device < 0:
            return self.below.orthogonal_batch_workspace(count, rows, columns, device)
        assert device == self.machine.current_device(), f"cuda:{device} is not current"
        assert self.below.orthogonal_batch_takes(rows, columns)
        self._tell(device)
        if self.runs_devices:
            return self.below.orthogonal_batch_workspace(count, rows, columns, device)
        return 8 * rows * columns if rows * columns > 4096 else 0

    def reflectors(self, *arguments: Any) -> None:
        pointer, code, rows, columns, first, count, signs, device, stream, threads, *key = arguments
        if device < 0:
            self.below.reflectors(*arguments)
            return
        size = _ITEM_SIZES[code]
        self._check_there(device, pointer, (rows - first) * count * size)
        self._check_there(device, signs, count * size)
        where = (self._device(device), stream, threads)
        sizes = pointer, code, rows, columns, first, count, signs
        self._launch(
            *("reflectors", device, stream, key[0], tuple(key[1:])),
            lambda *key: self.below.reflectors(*sizes, *where, *key),
        )

    def split_keys(self, pointer: int, count: int, device: int, stream: int, *key: Any) -> None:
        if device < 0:
            self._check_here(pointer)
            self.below.split_keys(pointer, count, device, stream, *key)
            return
        self._check_there(device, pointer, 16 * count)
        where = (self._device(device), stream)
        self._launch(
            *("split_keys", device, stream, key[0], tuple(key[1:])),
            lambda *key: self.below.split_keys(pointer, count, *where, *key),
        )

    def FillList(self, device: int, items: list[Any]) -> Any:  # noqa: N802
        if device < 0:
            return self.below.FillList(device, items)
        for law, pointer, code, numel, box, *numbers in items:
            size = numbers[-1] if law == "constant_bits" else _ITEM_SIZES[code]
            self._check_place(device, pointer, size, numel, box)
        return FillList(self, device, items)


class FillList:
    """A list of fills of a device. What is in its memory here is the keys."""

    def __init__(self, core: Core, device: int, items: list[Any]) -> None:
        self._core, self._device, self._count = core, device, len(items)
        self._below = core.below.FillList(core._device(device), items)

    @property
    def memory_bytes(self) -> int:
        if self._core.runs_devices:
            return self._below.memory_bytes
        return 16 * self._count if self._count > _MOST_IN_PARAMETERS else 0

    def write(self, memory: int, keys: int) -> None:
        assert self._core.machine.memory.holds(PINNED, memory, self.memory_bytes), "not pinned"
        if self._core.runs_devices:
            self._below.write(memory, keys)
        else:
            ctypes.memmove(memory, keys, self.memory_bytes)

    def run(self, keys: int, keys_there: bool, stream: int, threads: int, memory: int) -> None:
        core = self._core
        if keys_there:
            self._run_with_keys_there(keys, stream, threads, memory)
            return
        core._check_here(keys)
        if memory:
            core._check_there(self._device, memory, self.memory_bytes)
            assert stream not in core.machine.capturing, "the copy would be captured"
        words = ctypes.string_at(keys, 16 * self._count)
        if memory and not core.runs_devices:  # what was copied there counts
            words = ctypes.string_at(memory, 16 * self._count)
        room = ctypes.create_string_buffer(words)
        there = memory if core.runs_devices else 0

        def run(*_: object) -> None:
            self._below.run(ctypes.addressof(room), False, stream, threads, there)

        core._launch("FillList", self._device, stream, 0, (0, 0), run)

    def _run_with_keys_there(self, keys: int, stream: int, threads: int, memory: int) -> None:
        self._core._check_there(self._device, keys, 16 * self._count)
        assert not memory

        def run(*_: object) -> None:
            self._below.run(keys, True, stream, threads, 0)

        self._core._launch("FillList", self._device, stream, 0, (0, 0), run)
