"""Arguments: right ones, borderline ones, and what people pass by mistake."""

from __future__ import annotations

import decimal
import fractions
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

import winit_cuda as winit

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .inputs import Shape


class Value(NamedTuple):
    """An argument and the expression for it."""

    object: Any
    text: str


_NAMES = {
    "Decimal": decimal.Decimal,
    "Fraction": fractions.Fraction,
    "inf": math.inf,
    "nan": math.nan,
    "np": np,
    "torch": torch,
    "winit": winit,
}


def _values(*texts: str) -> tuple[Value, ...]:
    return tuple(Value(eval(text, _NAMES), text) for text in texts)


_USUAL = _values("0.0", "1.0", "0.5", "-1.0", "0.02", "2", "1", "0", "3.0", "-2.5", "0.25")
_BORDERLINE = _values(
    *("-0.0", "5e-324", "1e-45", "1e-40", "6e-8", "1e-3", "1-2**-53", "1+2**-52", "447.9", "448"),
    *("464", "-448.0", "57344", "65504", "65520", "-65504", "3.4028234663852886e38"),
    *("3.4028236e38", "1e300", "1.7976931348623157e308", "-1.7976931348623157e308", "inf"),
    *("-inf", "nan", "2**24+1", "255", "256", "-129", "2**31", "2**63", "-2**63-1"),
    *("2**64", "2**1023"),
)
_ODD = _values(
    *("True", "False", "None", "10**400", "-10**400", "10**5000", "1j", "1+0j", "'0.5'", "'x'"),
    *("b'1'", "[1.0]", "()", "{}", "set()", "Decimal('0.5')", "Decimal('NaN')"),
    *("Decimal('sNaN')", "Decimal('1e999')", "Fraction(1,3)", "Fraction(10**400,1)"),
    *("np.float32(0.5)", "np.float16(1)", "np.float64('nan')", "np.int64(3)", "np.uint8(1)"),
    *("np.bool_(True)", "np.longdouble(1)", "np.complex128(1)", "np.str_('1')", "np.array(0.5)"),
    *("np.array([0.5])", "np.array([1.,2.])", "np.array([])", "np.array(1+2j)", "np.array('x')"),
    *("np.array(None)", "np.datetime64('2020')", "np.ma.masked", "np.nan", "torch.tensor(0.5)"),
    *("torch.tensor([0.5])", "torch.tensor([[1]])", "torch.tensor([1.,2.])", "torch.empty(0)"),
    *("torch.tensor(1+2j)", "torch.tensor(True)", "torch.tensor(1).to_sparse()"),
    *("torch.tensor(0.5,device='meta')", "torch.tensor(0.5,requires_grad=True)"),
    *("torch.tensor(0.5,dtype=torch.float8_e5m2)", "torch.nn.Parameter(torch.tensor(2.))"),
    *("torch.float32", "torch.Size([1])", "object()", "object", "float", "len", "range(3)"),
    *("slice(None)", "...", "NotImplemented"),
)


def number(source: random.Random) -> Value:
    chance = source.random()
    return source.choice(_USUAL if chance < 0.7 else _BORDERLINE if chance < 0.87 else _ODD)


def _or_odd(values: tuple[Value, ...]) -> Callable[[random.Random], Value]:
    """One of these, and any number now and then."""
    return lambda source: source.choice(values) if source.random() < 0.85 else number(source)


fraction = _or_odd(
    _values("0.0", "0.1", "0.3", "0.5", "0.9", "1.0", "1", "0", "1e-9", "1 - 2**-53")
)
deviation = _or_odd(_values("1.0", "0.5", "0.01", "2.0", "0.0", "1e-3", "3", "1e-30"))
count = _or_odd(_values("1", "2", "3", "0", "-1", "np.int64(2)", "torch.tensor(2)", "2.0", "10**9"))
few = _or_odd(_values("0", "1", "2", "np.int64(1)", "-1", "3"))
mode = _or_odd(_values("'fan_in'", "'fan_out'", "'FAN_IN'", "'fan_avg'", "''", "[]", "{}"))
_LINEARITIES = (
    *("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"),
    *("conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "gelu", "RELU", ""),
)
nonlinearity = _or_odd(_values(*map(repr, _LINEARITIES), "[]", "{}", "torch.relu"))

_MOST = 5000
_NO_KEYS = _values("5", "'k'", "(1, 2)", "object()", "torch.tensor(1)", "np.uint64(3)", "winit.Key")
_NO_GENERATORS = _values("5", "'g'", "object()", "np.random.default_rng(0)", "torch.Generator")
_NO_SHARDS = _values("5", "'s'", "(2, 2)", "winit.Shard", "((4, 4), (0, 0))", "object()")


def key(source: random.Random) -> Value:
    if source.random() < 0.05:
        return source.choice(_NO_KEYS)
    seed, stream = (source.choice((0, 1, 2**63, 2**64 - 1, source.getrandbits(64))) for _ in "ab")
    return Value(winit.Key(seed, stream), f"winit.Key({seed}, {stream})")


def generator(source: random.Random) -> Value:
    if source.random() < 0.1:
        return source.choice(_NO_GENERATORS)
    if torch.cuda.is_available() and source.random() < 0.1:
        return Value(torch.Generator("cuda"), "torch.Generator('cuda')")
    return Value(torch.Generator().manual_seed(1), "torch.Generator().manual_seed(1)")


def shard(shape: Shape, source: random.Random) -> Value:
    """Mostly one that the tensor fits in."""
    if source.random() < 0.1:
        return source.choice(_NO_SHARDS)
    sizes = tuple(size + source.choice((0, 1, 2, 5)) for size in shape)
    if math.prod(sizes) > _MOST:  # orthogonal_ makes all columns
        sizes = shape
    offsets = tuple(source.randint(0, room - size) for size, room in zip(shape, sizes, strict=True))
    if source.random() < 0.1:
        sizes = tuple(max(0, size - source.choice((0, 0, 3))) for size in sizes)
        offsets = tuple(min(offset, size) for offset, size in zip(offsets, sizes, strict=True))
    if source.random() < 0.1:
        sizes, offsets = sizes[1:], offsets[1:]
    if len(sizes) == len(shape) and shape and shape[0] > 1 and source.random() < 0.3:
        return _two_boxes(shape, sizes)
    text = f"winit.Shard({sizes}, {offsets})"
    return Value(winit.Shard(sizes, offsets), text)


def _two_boxes(shape: Shape, sizes: Shape) -> Value:
    """The last rows of a tensor as the first ones of the whole, and the others behind them."""
    zeros, last = (0,) * (len(shape) - 1), shape[0] // 2
    first = shape[0] - last
    boxes = (
        ((last, *zeros), (first, *shape[1:]), (0, *zeros)),
        ((0, *zeros), (last, *shape[1:]), (first, *zeros)),
    )
    whole = tuple(map(max, sizes, shape))
    text = f"winit.Shards([{', '.join(f'winit.Box{box}' for box in boxes)}], {whole})"
    return Value(winit.Shards([winit.Box(*box) for box in boxes], whole), text)
