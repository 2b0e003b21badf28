"""Tensors of every dtype and layout, in memory whose every byte is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Shape = tuple[int, ...]

FLOATING = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
_QUANTIZED = (torch.qint8, torch.quint8, torch.qint32, torch.quint4x2, torch.quint2x4)
_ALL = {each for each in vars(torch).values() if isinstance(each, torch.dtype)}
OTHERS = tuple(sorted(_ALL - {*FLOATING, *_QUANTIZED}, key=str))

# Bytes that no fill leaves in a row; they repeat at no power of two.
_MOST = 1 << 16
_PATTERN = torch.from_numpy(np.resize(np.arange(7, 258, dtype=np.uint8), 17 * _MOST).copy())


class Input(NamedTuple):
    """What is filled, and what shows where it was written."""

    tensor: Any
    memory: torch.Tensor | None
    """All bytes of its storage; None where it has no memory that could be looked at."""
    text: str
    """An expression for such a tensor."""
    is_written: bool = True
    """Whether there are elements that a fill writes."""


class Subclass(torch.Tensor):
    """A tensor of a class that changes nothing."""


def memory(size: int) -> torch.Tensor:
    return _PATTERN[:size].clone()


def placed(shape: Shape, strides: Shape, offset: int, dtype: torch.dtype) -> Input:
    """A tensor that lies so in its memory, with three elements behind it."""
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last > _MOST:
        return placed(shape, row_major(shape), offset, dtype)
    count = offset + (last + 1 if 0 not in shape else 0) + 3
    whole = memory(count * dtype.itemsize)
    tensor = whole.view(dtype).as_strided(shape, strides, offset)
    text = f"torch.zeros({count}, dtype={dtype}).as_strided({shape}, {strides}, {offset})"
    return Input(tensor, whole, text, 0 not in shape)


def row_major(shape: Shape) -> Shape:
    return tuple(math.prod(shape[at + 1 :]) for at in range(len(shape)))


def _contiguous(shape: Shape, source: random.Random) -> Shape:  # noqa: ARG001
    return row_major(shape)


def _permuted(shape: Shape, source: random.Random) -> Shape:
    order = source.sample(range(len(shape)), len(shape))
    steps = row_major(tuple(shape[at] for at in order))
    return tuple(steps[order.index(at)] for at in range(len(shape)))


def _channels_last(shape: Shape, source: random.Random) -> Shape:
    if len(shape) < 3:
        return _permuted(shape, source)
    *rest, last = row_major((shape[0], *shape[2:], shape[1]))
    return (rest[0], last, *rest[1:])


def _sliced(shape: Shape, source: random.Random) -> Shape:
    wide = tuple(size * source.choice((1, 2, 3)) + source.choice((0, 1)) for size in shape)
    return tuple(step * source.choice((1, 1, 1)) for step in _permuted(wide, source))


def _expanded(shape: Shape, source: random.Random) -> Shape:
    return tuple(0 if source.random() < 0.5 else step for step in row_major(shape))


def _any_strides(shape: Shape, source: random.Random) -> Shape:
    return tuple(source.randint(0, 12) for _ in shape)


def _interleaved(shape: Shape, source: random.Random) -> Shape:
    """Two dimensions of coprime strides, whose elements lie between each other's."""
    if len(shape) != 2:
        return _permuted(shape, source)
    other = shape[0] + source.choice((0, 1, 2))
    return (max(1, other + 1), max(1, other))


LAYOUTS: dict[Callable[[Shape, random.Random], Shape], int] = {
    _contiguous: 55,
    _permuted: 10,
    _channels_last: 5,
    _sliced: 10,
    _expanded: 4,
    _any_strides: 4,
    _interleaved: 4,
}


def dense(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    (layout,) = source.choices(tuple(LAYOUTS), tuple(LAYOUTS.values()))
    return placed(shape, layout(shape, source), source.choice((0, 0, 1, 3)), dtype)


def _parameter(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    made = dense(shape, dtype, source)
    needs = dtype.is_floating_point or dtype.is_complex
    return made._replace(
        tensor=torch.nn.Parameter(made.tensor, requires_grad=needs),
        text=f"torch.nn.Parameter({made.text}, requires_grad={needs})",
    )


def _leaf(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    made = dense(shape, dtype, source)
    if not (dtype.is_floating_point or dtype.is_complex):
        return made
    return made._replace(tensor=made.tensor.requires_grad_(), text=f"{made.text}.requires_grad_()")


def _view_of_a_leaf(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    made = _leaf(shape, dtype, source)
    return made._replace(tensor=made.tensor[...], text=f"{made.text}[...]")


def _subclass(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    made = dense(shape, dtype, source)
    return made._replace(
        tensor=made.tensor.as_subclass(Subclass), text=f"{made.text}.as_subclass(Subclass)"
    )


def _inference(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    with torch.inference_mode():
        made = dense(shape, dtype, source)
    return made._replace(text=f"(in inference mode) {made.text}")


def _conjugated(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    made = dense(shape, torch.complex128 if dtype == torch.float64 else torch.complex64, source)
    if source.random() < 0.3:
        return made._replace(tensor=made.tensor.conj(), text=f"{made.text}.conj()")
    negative, text = made.tensor.conj().imag, f"{made.text}.conj().imag"
    if source.random() < 0.5 and made.is_written:  # in the memory before that of the rest
        strides = row_major(shape)
        if math.prod(shape) <= (made.memory.numel() // negative.itemsize - 10):
            negative = negative.as_strided(shape, strides, 1)
            text += f".as_strided({shape}, {strides}, 1)"
    return made._replace(tensor=negative, text=text)


def _meta(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    (layout,) = source.choices(tuple(LAYOUTS), tuple(LAYOUTS.values()))
    strides = layout(shape, source)
    tensor = torch.empty_strided(shape, strides, dtype=dtype, device="meta")
    text = f"torch.empty_strided({shape}, {strides}, dtype={dtype}, device='meta')"
    return Input(tensor, None, text, is_written=False)


def _fake(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:  # noqa: ARG001
    with FakeTensorMode():
        tensor = torch.empty(shape, dtype=dtype)
    text = f"FakeTensorMode()(torch.empty({shape}, dtype={dtype}))"
    return Input(tensor, None, text, is_written=False)


def _not_dense(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:
    tensor = torch.ones(shape)
    makers = {
        "_.to_sparse()": torch.Tensor.to_sparse,
        "_.to_sparse_csr()": lambda it: it.to_sparse_csr() if it.dim() >= 2 else it.to_sparse(),
        "_.to_mkldnn()": torch.Tensor.to_mkldnn,
        "nested_tensor([_, _])": lambda it: torch.nested.nested_tensor([it, it]),
        "torch._efficientzerotensor": lambda it: torch._efficientzerotensor(it.shape),
        "quantize_per_tensor(_)": lambda it: torch.quantize_per_tensor(it, 0.5, 1, torch.qint8),
    }
    name = source.choice(tuple(makers))
    try:
        made = makers[name](tensor)
    except (RuntimeError, NotImplementedError, IndexError):
        return dense(shape, dtype, source)
    return Input(made, None, f"{name} with _ = torch.ones({shape})", is_written=False)


_NO_TENSORS = ("None", "1.0", "[1.0, 2.0]", "'w'", "np.zeros((3, 4))", "torch.Size([2])", "object")


def _no_tensor(shape: Shape, dtype: torch.dtype, source: random.Random) -> Input:  # noqa: ARG001
    text = source.choice(_NO_TENSORS)
    return Input(eval(text, {"np": np, "torch": torch}), None, text, is_written=False)


_KINDS: dict[Callable[[Shape, torch.dtype, random.Random], Input], int] = {
    dense: 80,
    _parameter: 6,
    _leaf: 3,
    _view_of_a_leaf: 2,
    _subclass: 2,
    _inference: 2,
    _conjugated: 4,
    _meta: 2,
    _fake: 0.3,
    _not_dense: 1,
    _no_tensor: 0.5,
}


def draw(shape: Shape, source: random.Random) -> Input:
    """A tensor of about this shape."""
    dtype = source.choice(FLOATING if source.random() < 0.8 else OTHERS)
    (kind,) = source.choices(tuple(_KINDS), tuple(_KINDS.values()))
    return kind(shape, dtype, source)


def elements(tensor: torch.Tensor, memory: torch.Tensor) -> np.ndarray[Any, Any]:
    """Which bytes of its memory belong to the tensor's elements."""
    places = np.array([tensor.data_ptr() - memory.data_ptr()])
    steps = [step * tensor.itemsize for step in tensor.stride()]
    for size, step in (*zip(tensor.shape, steps, strict=True), (tensor.itemsize, 1)):
        places = (places[:, None] + step * np.arange(size)).ravel()
    mask = np.zeros(memory.numel(), dtype=bool)
    mask[places] = True
    return mask
