"""From a tensor to the memory that the core writes: address, dtype, box, device and stream.

`check` and `check_overlap` name what no fill can write, `describe` puts any dense layout into the
core's terms. `address` is the short way of ordinary tensors.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from . import backend
from .checks import unfit
from .dtypes import CODES
from .overlap import overlaps
from .torch_internals import (
    cuda_stream,
    dispatches_itself,
    increment_version,
    is_zero_tensor,
    serves_vmap,
    unwrapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# (pointer, dtype, numel, box, device, cuda_stream, threads), as every fill of the core begins.
Place = tuple[int, int, int, Any, int, int, int]
# (sizes, strides, strides of the row-major index, index of the first element)
Box = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]

_Tensor, _Parameter = torch.Tensor, torch.nn.Parameter


def _no_place(_: Any) -> tuple[int, int, int] | None:
    return None


ORDINARY = (_Tensor, _Parameter)
"""The classes whose tensors the core reads by itself; those of derived ones it does not."""

exchange = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
"""What it reads them by: DLPack's C interface, which torch has since 2.10; else None."""

DOUBTS = (torch.Tensor.is_neg, torch.Tensor.is_inference)
"""What that does not say of a tensor."""

place_of: Callable[[Any], tuple[int, int, int] | None] = _no_place
"""Address, number of elements and code of the dtype of an ordinary contiguous tensor on the CPU.

None of all others. In a third of the time of `address` and what there is to ask besides. What
`torch.jit.trace` looks at is among them.
"""
if exchange is not None and backend.loaded is not None:
    place_of = backend.loaded.reader(exchange, ORDINARY, DOUBTS)


def quick(law: str) -> Callable[[Any, tuple[Any, int, int], tuple[Any, ...]], Any] | None:
    """What fills an ordinary tensor by a law of the core, given words and numbers.

    It returns True where the tensor has a place by `place_of` and the numbers are plain ones that
    fit its dtype; else nothing has happened, and it returns that place. None where the core has no
    such law, or cannot read tensors.
    """
    if exchange is None or backend.loaded is None or law not in backend.loaded.LAWS:
        return None
    filler: Any = backend.loaded.quick(
        law, exchange, ORDINARY, DOUBTS, torch.get_num_threads, increment_version
    )
    return filler  # type: ignore[no-any-return]


MAX_RANK = 15
"""csrc/fill/box.h: more dimensions than this of more than one element cannot be described."""


def address(tensor: Any) -> int:
    """The address of an ordinary tensor: of a plain class, dense, with memory; else 0.

    It reads half a dozen attributes and no more, so that a small tensor costs no more than in
    `torch.nn.init`. Of what `check` and its like refuse only two kinds have an address: quantized
    tensors, and those whose elements share memory, none of which is contiguous.
    """
    kind = type(tensor)
    if kind is not _Tensor and kind is not _Parameter:
        return 0
    try:
        pointer: int = (
            not tensor.is_nested
            and tensor._version >= 0  # noqa: SLF001  (an inference tensor has none, and says so)
            and tensor.data_ptr()
        )
    except RuntimeError:  # nor have sparse layouts, or tensors under torch.func, an address
        return 0
    return pointer


def check(function: str, tensor: Any) -> None:
    """Raise unless `tensor` is a dense tensor that may be written here and now."""
    if not isinstance(tensor, torch.Tensor):
        raise unfit(function, "tensor", "a torch.Tensor", type(tensor).__name__)
    if torch.compiler.is_dynamo_compiling():  # it cannot ask a tensor for what follows
        return
    if (layout := _layout(tensor)) is not None:
        raise unfit(function, "tensor", "dense (torch.strided)", layout)
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        requirement = "a normal tensor outside torch.inference_mode()"
        raise unfit(function, "tensor", requirement, "an inference tensor", RuntimeError)
    if is_zero_tensor(tensor):
        requirement = "a tensor with memory (clone it first)"
        raise unfit(function, "tensor", requirement, "an immutable zero tensor", RuntimeError)


def _layout(tensor: torch.Tensor) -> str | None:
    """The name of a layout that is not dense."""
    if tensor.layout is not torch.strided:
        return str(tensor.layout)
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.is_quantized:
        return f"a quantized tensor ({tensor.dtype})"
    return None


def check_memory(function: str, tensor: torch.Tensor) -> None:
    """Raise where the tensor's storage was freed, as sharding libraries do between steps."""
    if (
        tensor.device.type in ("cpu", "cuda")
        and not dispatches_itself(tensor)
        and not tensor.untyped_storage().nbytes()
    ):
        requirement = "a tensor with memory"
        raise unfit(function, "tensor", requirement, "one whose storage was freed", RuntimeError)


def check_overlap(function: str, tensor: torch.Tensor) -> None:
    """Raise where two elements of the tensor share memory."""
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return
    shared = overlaps(tensor.shape, tensor.stride())
    if shared is not False:
        requirement = "without elements that share memory (clone it first)"
        received = f"shape {tuple(tensor.shape)} with strides {tensor.stride()}"
        if shared is None:
            received += ", which are too entangled to tell"
        raise unfit(function, "tensor", requirement, received, RuntimeError)


def check_examples(function: str, tensor: torch.Tensor) -> None:
    """Raise where vmap maps over a tensor that may not be written, or has too little memory."""
    if not serves_vmap:
        return
    batch = unwrapped(tensor)
    if not dispatches_itself(batch):
        check(function, batch)
        check_overlap(function, batch)


def problem(tensor: torch.Tensor) -> str | None:
    """Why the core does not fill the tensor; None where it does."""
    reason = backend.problem(tensor)
    if reason is None and tensor.dtype not in CODES:
        reason = f"the native core does not fill {tensor.dtype}"
    return reason


def can_describe(tensor: torch.Tensor) -> bool:
    """Whether the core can write the tensor where it lies."""
    return (
        not tensor.is_neg()
        and (tensor.is_contiguous() or sum(size > 1 for size in tensor.shape) <= MAX_RANK)
        and tensor.data_ptr() != 0
    )


def box_of(tensor: torch.Tensor) -> Box | None:
    """The layout of a tensor that is not contiguous; None where that takes a closer look."""
    sizes = tuple(tensor.shape)
    if len(sizes) > MAX_RANK or overlaps(sizes, tensor.stride()) is not False:
        return None
    return _box(sizes, tensor)


def _box(sizes: tuple[int, ...], tensor: torch.Tensor) -> Box:
    return sizes, tensor.stride(), row_major_strides(sizes), 0


def describe(tensor: torch.Tensor) -> Place:
    """The leading arguments of a native fill for any dense tensor on a device of the core's."""
    box = None if tensor.is_contiguous() else _box(tuple(tensor.shape), tensor)
    code = CODES.get(tensor.dtype, 0)
    pointer, numel = tensor.data_ptr(), tensor.numel()
    if tensor.is_cuda:
        index = tensor.get_device()
        return pointer, code, numel, box, index, cuda_stream(index), 1
    return pointer, code, numel, box, -1, 0, torch.get_num_threads()


@contextlib.contextmanager
def on_device(index: int) -> Iterator[None]:
    """Make a CUDA device the current one, as the core's launches ask for.

    By torch's guard, which makes no context on the device before where there was none. The core is
    told, too: with CUDA 11 torch only notes which device is to be current.
    """
    with torch.cuda.device(index):
        backend.loaded.set_cuda_device(index)
        yield


def row_major_strides(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """How far a step along each dimension moves in row-major order."""
    strides = [1] * len(sizes)
    for dimension in range(len(sizes) - 1, 0, -1):
        strides[dimension - 1] = strides[dimension] * sizes[dimension]
    return tuple(strides)
