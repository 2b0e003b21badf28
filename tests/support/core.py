"""Calls into the native core: by each instruction set, and by its device code.

The tests of csrc call `winit_cuda._C` through these functions, so that one test runs in every place
that must give the same bits.
"""

from __future__ import annotations

import contextlib
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

from emulated_device import ARCHITECTURES, EmulatedDevice, emulated_device, find_build
from reference import Key, blocks_with
from winit_cuda._core.target import DOUBTS, ORDINARY, exchange

_C = pytest.importorskip("winit_cuda._C", reason="winit_cuda was installed without its core")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CODES = {getattr(torch, name): code for name, code in _C.DTYPES.items()}
DTYPES = tuple(CODES)
LOW_PRECISION = tuple(dtype for dtype in DTYPES if dtype.itemsize < 4)
WORDS_OF = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
KEY = Key(seed=0x0123456789ABCDEF, stream=0xFEDCBA9876543210)

Box = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]


class Place(NamedTuple):
    """Who fills: a CPU by an instruction set (None: the best), a CUDA device, an emulated one."""

    name: str
    device: int
    simd: str | None = None
    architecture: int | None = None

    @property
    def core(self) -> Any:
        """The copy of the core that fills there."""
        if self.architecture is None:
            return _C
        device = emulated_device()
        assert isinstance(device, EmulatedDevice)
        device.configure(self.device)
        return device.core


CPU = Place("cpu", -1)
CUDA = Place("cuda", 0)
INSTRUCTION_SETS = [Place(name, -1, name) for name in _C.build_info()["simd"]]
_BUILD = find_build()
EMULATED = [
    Place(f"sm_{number}", device, None, number)
    for device, number in enumerate(ARCHITECTURES if isinstance(_BUILD, Path) else ())
]
# The test of a real device skips where there is none; where one is emulated, it need not be said.
_REAL = pytest.param(CUDA, marks=pytest.mark.cuda(*([] if EMULATED else [str(_BUILD)])))
DEVICES = [*EMULATED, *([_REAL] if torch.cuda.is_available() or not EMULATED else [])]


def name_of(value: Any) -> str:
    return str(getattr(value, "name", value)).removeprefix("torch.")


everywhere = pytest.mark.parametrize("place", [*INSTRUCTION_SETS, *DEVICES], ids=name_of)
on_each_device = pytest.mark.parametrize("place", DEVICES, ids=name_of)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
every_low_precision = pytest.mark.parametrize("dtype", LOW_PRECISION, ids=name_of)


@contextlib.contextmanager
def memory_of(tensor: torch.Tensor, place: Place) -> Iterator[int]:
    """The address, at the place, of a CPU tensor's data; what is written there comes back."""
    if place.device < 0:
        yield tensor.data_ptr()
        return
    if place.architecture is not None:
        device = emulated_device()
        assert isinstance(device, EmulatedDevice)
        with device.memory(tensor.untyped_storage()):
            yield tensor.data_ptr()
        return
    storage = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    there = storage.to(f"cuda:{place.device}")
    yield there.data_ptr() + tensor.storage_offset() * tensor.element_size()
    storage.copy_(there)


def stream_of(place: Place) -> int:
    is_real = place.device >= 0 and place.architecture is None
    return torch.cuda.current_stream(place.device).cuda_stream if is_real else 0


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def box_of(
    view: torch.Tensor, global_shape: Sequence[int] | None = None, offsets: Sequence[int] = ()
) -> Box:
    """The box of a whole tensor, or of the part at `offsets` of one of `global_shape`."""
    steps = row_major(view.shape if global_shape is None else global_shape)
    first = sum(offset * step for offset, step in zip(offsets, steps, strict=False))
    return tuple(view.shape), view.stride(), steps, first


def call(
    function: str | Callable[..., None],
    view: torch.Tensor,
    *arguments: Any,
    place: Place = CPU,
    box: Box | None = None,
    threads: int = 2,
) -> torch.Tensor:
    """Calls a fill of the core on a CPU tensor, at the place, and returns the tensor.

    A fill by name, or a function of this module that takes the core first.
    """
    core = place.core
    named = getattr(core, function) if isinstance(function, str) else partial(function, core)
    if box is None and not view.is_contiguous():
        box = box_of(view)
    _C.set_simd(place.simd)
    try:
        with memory_of(view, place) as pointer:
            code = CODES.get(view.dtype, 0)
            count, stream = view.numel(), stream_of(place)
            named(pointer, code, count, box, place.device, stream, threads, *arguments)
    finally:
        _C.set_simd(None)
    return view


def quick(
    law: str, tensor: Any, numbers: Any, words: Any = (0, *KEY), threads: int = 2, written: Any = id
) -> Any:
    """True if the core's short way takes the tensor, and has filled it; else its place, or None."""
    if exchange is None:
        pytest.skip("torch has no C interface for tensors before 2.10")
    function = _C.quick(law, exchange, ORDINARY, DOUBTS, lambda: threads, written)
    return function(tensor, words, numbers)


def constant(
    core: Any, pointer: int, code: int, count: int, box: Box | None, *where_and_value: Any
) -> None:
    """A fill by one value, for `call`: a list of one, as the core fills constants in lists only."""
    _constant(core, "constant", pointer, code, count, box, *where_and_value)


def constant_bits(
    core: Any, pointer: int, code: int, count: int, box: Box | None, *where_and_bits: Any
) -> None:
    """The same by the low bytes of an integer: the bits and how many bytes."""
    _constant(core, "constant_bits", pointer, code, count, box, *where_and_bits)


def _constant(core: Any, law: str, *call_of_a_fill: Any) -> None:
    pointer, code, count, box, device, stream, threads, *numbers = call_of_a_fill
    if count:
        item = (law, pointer, code, count, box, *numbers)
        no_key = np.zeros(2, dtype=np.uint64)
        core.FillList(device, [item]).run(no_key.ctypes.data, False, stream, threads, 0)


def fill(
    law: str,
    view: torch.Tensor,
    *numbers: float,
    key: Key = KEY,
    key_in_memory: bool = False,
    place: Place = CPU,
    box: Box | None = None,
    threads: int = 2,
) -> torch.Tensor:
    """Fills by "uniform", "normal" or "trunc_normal"."""
    numbers = tuple(map(float, numbers))
    if not key_in_memory:
        return call(law, view, 0, *key, *numbers, place=place, box=box, threads=threads)
    cell = torch.from_numpy(np.array(key, dtype=np.uint64).view(np.int64))
    with memory_of(cell, place) as pointer:
        arguments = (pointer, 12345, 67890, *numbers)
        return call(law, view, *arguments, place=place, box=box, threads=threads)


def draw(
    law: str,
    count: int,
    dtype: torch.dtype,
    *numbers: float,
    key: Key = KEY,
    index: int = 0,
    place: Place = CPU,
) -> torch.Tensor:
    """The elements index, index + 1, ... of a stream."""
    values = torch.empty(count, dtype=dtype)
    box = ((count,), (1,), (1,), index) if index else None
    return fill(law, values, *numbers, key=key, place=place, box=box)


def draw_at(words: Any, law: str, dtype: torch.dtype, *numbers: float, place: Place = CPU) -> Any:
    """The values of chosen words: `blocks_with` finds where a stream holds them."""
    parts = [
        draw(law, 4, dtype, *numbers, key=key, index=index, place=place)
        for key, index in blocks_with(words)
    ]
    return torch.cat(parts)[: len(words)] if parts else torch.empty(0, dtype=dtype)


def words(
    count: int, domain: int = 0, index: int = 0, key: Key = KEY, place: Place = CPU
) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """The core's own words."""
    buffer = torch.empty(count, dtype=torch.int32)
    _C.set_simd(place.simd)
    try:
        with memory_of(buffer, place) as pointer:
            place.core.words(pointer, count, *key, domain, index, place.device, stream_of(place))
    finally:
        _C.set_simd(None)
    return buffer.numpy().view(np.uint32)


def sparse(
    view: torch.Tensor,
    zeros: int,
    std: float,
    global_shape: Sequence[int] | None = None,
    key: Key = KEY,
    place: Place = CPU,
    box: Box | None = None,
    threads: int = 2,
) -> torch.Tensor:
    """A sparse matrix, or a part of one of `global_shape`."""
    rows, columns = view.shape if global_shape is None else global_shape
    workspace = torch.empty(2 * max(1, view.shape[1]), dtype=torch.int64)
    with memory_of(workspace, place) as room:
        arguments = (0, *key, rows, columns, zeros, std, room)
        return call("sparse", view, *arguments, place=place, box=box, threads=threads)


def sparse_boxes(
    views: Sequence[torch.Tensor],
    parts: Sequence[tuple[int, int, Sequence[tuple[int, int, int]]]],
    zeros: int,
    shape: tuple[int, int],
    key: Key = KEY,
    place: Place = CPU,
    threads: int = 2,
) -> None:
    """Parts (first column, columns, boxes) of a sparse matrix of this shape.

    A box is (number of its view, first row, first column).
    """
    workspace = torch.empty(2 * sum(part[1] for part in parts) or 2, dtype=torch.int64)
    with contextlib.ExitStack() as stack:
        room = stack.enter_context(memory_of(workspace, place))
        pointers = [stack.enter_context(memory_of(view, place)) for view in views]
        given = [
            (
                *(first, count),
                [
                    (pointers[i], views[i].numel(), box_of(views[i], shape, offsets))
                    for i, *offsets in boxes
                ],
            )
            for first, count, boxes in parts
        ]
        where = (CODES[views[0].dtype], place.device, stream_of(place), threads)
        _C.set_simd(place.simd)
        try:
            place.core.sparse_boxes(given, *where, 0, *key, *shape, zeros, 1.0, room)
        finally:
            _C.set_simd(None)


def reflectors(
    rows: int,
    columns: int,
    dtype: torch.dtype,
    key: Key = KEY,
    place: Place = CPU,
    threads: int = 2,
    part: tuple[int, int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Stewart's reflectors and their signs; `part`: the first column and how many."""
    first, count = part or (0, columns)
    vectors = torch.full((rows - first, count), torch.nan, dtype=dtype)
    signs = torch.full((count,), torch.nan, dtype=dtype)
    _C.set_simd(place.simd)
    try:
        with memory_of(vectors, place) as v, memory_of(signs, place) as s:
            where = (place.device, stream_of(place), threads)
            place.core.reflectors(v, CODES[dtype], rows, columns, first, count, s, *where, 0, *key)
    finally:
        _C.set_simd(None)
    return vectors, signs


def orthogonal(
    view: torch.Tensor,
    gain: float,
    shape: tuple[int, int] | None = None,
    first: tuple[int, int] = (0, 0),
    key: Key = KEY,
    place: Place = CPU,
    threads: int = 2,
) -> torch.Tensor:
    """An orthogonal matrix times gain, or the part of one of `shape` that begins at `first`."""
    part = (first[0], view.shape[0], first[1], view.shape[1])
    arguments = (0, *key, *(view.shape if shape is None else shape), *part, gain)
    return call("orthogonal", view, *arguments, place=place, threads=threads)


def orthogonal_batch(
    view: torch.Tensor,
    gain: float = 1.0,
    key: Key = KEY,
    key_in_memory: bool = False,
    place: Place = CPU,
    threads: int = 2,
) -> torch.Tensor:
    """One matrix of shape[-2:] for each index before, each of its own child key."""
    *batch, rows, columns = view.shape
    count = math.prod(batch)
    needed = place.core.orthogonal_batch_workspace(count, rows, columns, place.device)
    workspace = torch.full((needed // 8,), torch.nan, dtype=torch.float64)
    cell = torch.from_numpy(np.array(key, dtype=np.uint64).view(np.int64))
    with memory_of(workspace, place) as room, memory_of(cell, place) as pointer:
        words = (pointer, 12345, 67890) if key_in_memory else (0, *key)
        arguments = (*words, count, rows, columns, gain, room if needed else 0)
        return call("orthogonal_batch", view, *arguments, place=place, threads=threads)


def bits(tensor: torch.Tensor) -> Any:
    """The bit patterns, as NumPy integers of the item size."""
    whole = tensor.contiguous()
    return whole.view(WORDS_OF[tensor.element_size()]).numpy()


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and np.array_equal(bits(a), bits(b))
