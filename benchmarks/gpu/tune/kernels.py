"""The compiled variants as Python calls."""

from __future__ import annotations

import ctypes
from array import array
from ctypes import POINTER, c_char_p, c_double, c_int, c_longlong, c_ulonglong, c_void_p
from typing import TYPE_CHECKING, Any

import torch

from winit_cuda import _C

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# The laws that are tuned, with their numbers.
LAWS: dict[str, tuple[float, ...]] = {
    "uniform": (0.0, 1.0),
    "normal": (0.0, 1.0),
    "trunc_normal": (0.0, 1.0, -2.0, 2.0),
}
DTYPES = ("float32", "bfloat16")
KEY = (0x0123456789ABCDEF, 0xFEDCBA9876543210)  # (seed, stream)


class Fills:
    """A library of fills.cu."""

    def __init__(self, path: Path, blocks_per_processor: int) -> None:
        library = ctypes.CDLL(str(path))
        self._fill = library.tuned_fill
        self._fill.restype = c_char_p
        self._fill.argtypes = (
            *(c_void_p, c_longlong, c_int, c_char_p, POINTER(c_double)),
            *(c_ulonglong, c_ulonglong, c_int, c_int, c_void_p),
        )
        self._resident = library.tuned_resident
        self._resident.restype = c_char_p
        self._resident.argtypes = (c_int, c_char_p, POINTER(c_double), POINTER(c_int))
        self._blocks = blocks_per_processor

    def fill(self, tensor: torch.Tensor, law: str) -> None:
        """Fill a contiguous tensor on the current stream."""
        failed = self._fill(
            tensor.data_ptr(),
            tensor.numel(),
            _code(tensor),
            law.encode(),
            _numbers(law),
            *KEY,
            self._blocks,
            tensor.device.index or 0,
            stream_of(tensor),
        )
        if failed:
            raise RuntimeError(failed.decode())

    def resident(self, dtype: str, law: str) -> int:
        """How many blocks a multiprocessor holds."""
        blocks = c_int()
        code = _C.DTYPES[dtype]
        failed = self._resident(code, law.encode(), _numbers(law), ctypes.byref(blocks))
        if failed:
            raise RuntimeError(failed.decode())
        return blocks.value


class ListOfFills:
    """A list made by a library of lists.cpp: one law, a key for each tensor."""

    def __init__(self, path: Path, tensors: Sequence[torch.Tensor], law: str) -> None:
        library = ctypes.CDLL(str(path))
        library.tuned_list.restype = c_void_p
        library.tuned_list_free.argtypes = (c_void_p,)
        library.tuned_message.restype = c_char_p
        self._run = library.tuned_list_run
        self._run.restype = c_char_p
        self._run.argtypes = (c_void_p, POINTER(c_ulonglong), c_int, c_void_p)
        self._free = library.tuned_list_free
        self._list = None
        count = len(tensors)
        pointers = (c_void_p * count)(*(tensor.data_ptr() for tensor in tensors))
        counts = (c_longlong * count)(*(tensor.numel() for tensor in tensors))
        made = library.tuned_list(
            count, pointers, counts, _code(tensors[0]), law.encode(), _numbers(law)
        )
        if not made:
            raise RuntimeError(library.tuned_message().decode())
        self._list, self._tensors = c_void_p(made), tensors
        self._keys = (c_ulonglong * (2 * count))(*keys(count))

    def run(self) -> None:
        """Fill all tensors on the current stream."""
        first = self._tensors[0]
        failed = self._run(self._list, self._keys, first.device.index or 0, stream_of(first))
        if failed:
            raise RuntimeError(failed.decode())

    def __del__(self) -> None:
        if self._list:
            self._free(self._list)


class ProductList:
    """The same list by the package."""

    def __init__(self, tensors: Sequence[torch.Tensor], law: str) -> None:
        numbers = LAWS[law]
        items: list[tuple[Any, ...]] = [
            (law, each.data_ptr(), _code(each), each.numel(), None, *numbers) for each in tensors
        ]
        self._list, self._tensors = _C.FillList(device_of(tensors[0]), items), tensors
        self._keys = array("Q", keys(len(tensors)))

    def run(self) -> None:
        first = self._tensors[0]
        self._list.run(self._keys.buffer_info()[0], False, stream_of(first), 1, 0)


def product_fill(tensor: torch.Tensor, law: str, key: tuple[int, int] = KEY) -> None:
    """Fill a contiguous tensor by the package's own kernel, on the current stream."""
    place = (tensor.data_ptr(), _code(tensor), tensor.numel(), None)
    getattr(_C, law)(*place, device_of(tensor), stream_of(tensor), 1, 0, *key, *LAWS[law])


def keys(count: int) -> list[int]:
    """Two words for each of so many tensors."""
    return [word for number in range(count) for word in (KEY[0], number)]


def device_of(tensor: torch.Tensor) -> int:
    """The core's code of the tensor's device."""
    return (tensor.device.index or 0) if tensor.is_cuda else -1


def stream_of(tensor: torch.Tensor) -> int:
    stream: int = torch.cuda.current_stream(tensor.device).cuda_stream if tensor.is_cuda else 0
    return stream


def _code(tensor: torch.Tensor) -> int:
    return _C.DTYPES[str(tensor.dtype).removeprefix("torch.")]


def _numbers(law: str) -> ctypes.Array[c_double]:
    return (c_double * len(LAWS[law]))(*LAWS[law])
