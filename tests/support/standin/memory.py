"""Memory of devices and pinned memory: blocks on the host that are known by their addresses."""

from __future__ import annotations

import bisect
import threading
import weakref
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from emulated_device import EmulatedDevice

PINNED = -2
"""Where a block of pinned memory is; a device's number for one of a device."""

# As torch's allocator aligns.
_ALIGNMENT = 512
# What is in memory that nothing was written to: no value that a fill leaves.
_GARBAGE = 0xA5


class _Block(NamedTuple):
    where: int
    end: int


class Memory:
    """Every block that is in use, and the allocations that are to fail."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = {}
        self._starts: list[int] = []
        self._lock = threading.RLock()  # a block may be freed in the middle of anything
        self.allocations = 0
        self._failing: int | None = None
        self.emulated: EmulatedDevice | None = None  # that is told of the blocks

    def fail_after(self, passing: int | None) -> None:
        """Let the device run out of memory, once, after so many more allocations; None: never."""
        self._failing = None if passing is None else self.allocations + passing

    def allocate(self, where: int, size: int) -> torch.Tensor:
        """A tensor of so many bytes, or of one where that is none."""
        with self._lock:
            self.allocations += 1
            if self._failing is not None and self.allocations > self._failing:
                self._failing = None
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate it all.")
            room = np.full(max(1, size) + _ALIGNMENT, _GARBAGE, dtype=np.uint8)
            offset = -room.ctypes.data % _ALIGNMENT
            begin = room.ctypes.data + offset
            self._blocks[begin] = _Block(where, begin + max(1, size))
            if self.emulated is not None and where >= 0:
                self.emulated.add_memory(begin, max(1, size))
            bisect.insort(self._starts, begin)
            weakref.finalize(room, self._free, begin).atexit = False
            return torch.frombuffer(room, dtype=torch.uint8, offset=offset, count=max(1, size))

    def _free(self, begin: int) -> None:
        with self._lock:
            block = self._blocks.pop(begin)
            if self.emulated is not None and block.where >= 0:
                self.emulated.remove_memory(begin)
            self._starts.remove(begin)

    def where(self, begin: int) -> int | None:
        """Where the block is that begins at the address; None for other memory of the host."""
        block = self._blocks.get(begin)
        return None if block is None else block.where

    def holds(self, where: int, address: int, size: int) -> bool:
        """Whether all bytes from the address on are in one block there."""
        with self._lock:
            number = bisect.bisect_right(self._starts, address) - 1
            if number < 0:
                return False
            block = self._blocks[self._starts[number]]
            return block.where == where and address + size <= block.end

    def is_on_device(self, address: int) -> bool:
        """Whether a device would have to read the address, and not the host."""
        return any(self.holds(device, address, 1) for device in (0, 1))

    def contents(self) -> dict[int, bytes]:
        """A copy of what is in every block of a device."""
        with self._lock:
            return {
                begin: bytes(_view(begin, block.end - begin).numpy())
                for begin, block in self._blocks.items()
                if block.where != PINNED
            }

    def restore(self, contents: dict[int, bytes]) -> None:
        """Put back what was in the blocks that are still there."""
        with self._lock:
            for begin, values in contents.items():
                if begin in self._blocks:
                    _view(begin, len(values)).numpy()[:] = np.frombuffer(values, dtype=np.uint8)


def _view(begin: int, size: int) -> torch.Tensor:
    import ctypes

    return torch.frombuffer((ctypes.c_uint8 * size).from_address(begin), dtype=torch.uint8)
