"""Fills that draw nothing: constants, the identity, the Dirac delta.

ATen writes them, at the limit of memory, for every dtype, layout and device. Only lists of tensors
hold constants of the core's. What torch lets pass is checked here: infinity and NaN are values of
most floating dtypes, and what a caller of `constant_` wrote; a finite number too large for the
dtype is a mistake, as is 1.5 in an integer tensor.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_dynamo_compiling

from .._core.checks import NOT_NUMBERS, WrongTypeError, unfit, wrong
from .._core.dtypes import CODES, COMPONENTS, FLOATING, LARGEST
from .._core.torch_internals import is_watched, transforms_active, without_dispatch_modes
from .fill import Fill, Numbers
from .parts import boxes, integers_of, shard_of, view

if TYPE_CHECKING:
    from .._distributed.shard import Box, Shard, Shards


def _limits(dtype: torch.dtype) -> tuple[int, int]:
    limits = torch.iinfo(dtype)
    return limits.min, limits.max


# The common dtypes of whole numbers, with their limits.
_INTEGERS = {
    torch.bool: (0, 1),
    **{t: _limits(t) for t in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)},
}

# Other dtypes are tried once.
_HAVE_NUMBERS = {*CODES, *COMPONENTS, *_INTEGERS}


class FixedFill(Fill):
    """A fill that draws nothing; `aten` writes it."""

    name = "fixed"
    is_random = False

    def part(self, shard: Shard | Shards) -> FixedFill:  # noqa: ARG002
        """The same fill, where every element has the same value."""
        return self

    def prepared(self, function: str, dtype: torch.dtype, numbers: Numbers) -> Numbers:
        """The dtype has 0 and 1."""
        if dtype not in _HAVE_NUMBERS:
            _check_has_numbers(function, dtype)
        return numbers

    def traced(self, tensor: torch.Tensor, numbers: Numbers) -> None:
        """Write any other than an ordinary tensor, which torch may be looking at."""
        self.aten(tensor, numbers, None)


class ConstantFill(FixedFill):
    """One value; numbers: the value."""

    name = "constant"
    number_count = 1

    def prepared(self, function: str, dtype: torch.dtype, numbers: Numbers) -> Numbers:
        """The dtype has the value, up to rounding; that of a traced tensor is not known."""
        if isinstance(numbers[0], torch.Tensor) and _is_unreadable(numbers[0]):
            return numbers
        return (as_element(function, dtype, numbers[0]),)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:  # noqa: ARG002
        """Write the value to every element."""
        _fill(tensor, numbers[0])


class ZerosFill(FixedFill):
    """Zeros, which dtypes have that have no other number: packed ones, float4, bits."""

    name = "zeros"
    number_count = 0

    def prepared(self, function: str, dtype: torch.dtype, numbers: Numbers) -> Numbers:  # noqa: ARG002
        """Every dtype has 0."""
        return numbers

    def only_value(self, code: int, numbers: Numbers) -> float | None:  # noqa: ARG002
        """Zero."""
        return 0.0

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:  # noqa: ARG002
        """Write zeros."""
        _clear(tensor)


class EyeFill(FixedFill):
    """The identity, whole or a part of it."""

    name = "eye"
    number_count = 0

    def __init__(self, shard: Shard | Shards | None = None) -> None:
        self.shard = shard
        self.structure = integers_of(shard)

    def part(self, shard: Shard | Shards) -> FixedFill:
        """The identity where the shard lies in it."""
        return EyeFill(shard)

    def structured(self, structure: tuple[int, ...]) -> Fill:
        """The identity where the integers say."""
        return EyeFill(shard_of(structure))

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:  # noqa: ARG002
        """Write it by one call, where torch has that for the dtype."""
        if self.shard is None:
            try:
                torch.eye(*tensor.shape, out=tensor, requires_grad=tensor.requires_grad)
            except RuntimeError:
                self._write(tensor)
        else:
            self._write(tensor)

    def _write(self, tensor: torch.Tensor) -> None:
        """Write zeros, then the diagonal."""
        _clear(tensor)
        if self.shard is None:
            _fill(tensor.diagonal(), 1)
            return
        for box in boxes(self.shard, tensor):
            row, column = box.offsets
            _fill(view(tensor, box).diagonal(row - column), 1)

    def traced(self, tensor: torch.Tensor, numbers: Numbers) -> None:
        """The same in a program, whose sizes are any, and under vmap."""
        if self.shard is None and is_dynamo_compiling():
            torch.eye(*tensor.shape, out=tensor)
        elif self.shard is not None or transforms_active():
            self._write(tensor)
        else:
            self.aten(tensor, numbers, None)


class DiracFill(FixedFill):
    """Ones that carry input channels to output channels, or a part of them; numbers: groups."""

    name = "dirac"
    number_count = 1

    def __init__(self, shard: Shard | Shards | None = None) -> None:
        self.shard = shard
        self.structure = integers_of(shard)

    def part(self, shard: Shard | Shards) -> FixedFill:
        """The delta where the shard lies in it."""
        return DiracFill(shard)

    def structured(self, structure: tuple[int, ...]) -> Fill:
        """The delta where the integers say."""
        return DiracFill(shard_of(structure))

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:  # noqa: ARG002
        """Write zeros, then the diagonal of each group at the center of the kernel."""
        if not tensor.numel():
            return
        _clear(tensor)
        if self.shard is not None:
            size = self.shard.global_shape[0] // numbers[0]
            for box in boxes(self.shard, tensor):
                _write_ones(tensor, box, size, self.shard.global_shape)
            return
        groups, (outputs, inputs) = numbers[0], tensor.shape[:2]
        matrices = at_center(tensor).view(groups, outputs // groups, inputs)
        _fill(matrices.diagonal(dim1=1, dim2=2), 1)


CONSTANT = ConstantFill()
ZEROS = ZerosFill()
EYE = EyeFill()
DIRAC = DiracFill()


def center_in(tensor: torch.Tensor, box: Box, global_shape: tuple[int, ...]) -> Any:
    """What a box of a local tensor has of the (out, in) matrix at the center, a view; or None."""
    matrix = view(tensor, box)
    for size, begin, length in zip(global_shape[2:], box.offsets[2:], box.sizes[2:], strict=True):
        if not begin <= size // 2 < begin + length:
            return None
        matrix = matrix.select(2, size // 2 - begin)
    return matrix


def _write_ones(tensor: torch.Tensor, box: Box, size: int, global_shape: tuple[int, ...]) -> None:
    """Write the ones of a box, where a group has `size` output channels."""
    matrix = center_in(tensor, box, global_shape)
    if matrix is None:
        return
    first, column = box.offsets[:2]
    end = first + box.sizes[0]
    # The rest of a group that begins before the box, whole groups, and the start of another.
    begin = min(-(-first // size) * size, end)
    stop = max(end // size * size, begin)
    for top, bottom in ((first, begin), (stop, end)):
        if top < bottom:
            rows = matrix.narrow(0, top - first, bottom - top)
            _fill(rows.diagonal(top % size - column), 1)
    if begin < stop:
        rows = matrix.narrow(0, begin - first, stop - begin)
        groups = rows.unflatten(0, ((stop - begin) // size, size))
        _fill(groups.diagonal(-column, 1, 2), 1)


def write_value(tensor: torch.Tensor, value: float) -> None:
    """Write one value to every element of a tensor that may require grad."""
    with torch.no_grad():
        _fill(tensor, value)


# torch 2.4 has no fill_ for float8, which zero_ needs where there are gaps; but it converts.


def _fill(tensor: torch.Tensor, value: complex) -> None:
    try:
        tensor.fill_(value)
    except RuntimeError:
        tensor.copy_(torch.tensor(value, device=tensor.device))


def _clear(tensor: torch.Tensor) -> None:
    try:
        tensor.zero_()
    except RuntimeError:
        tensor.copy_(torch.tensor(0, device=tensor.device))


def at_center(weight: torch.Tensor) -> torch.Tensor:
    """The (out, in) matrix at the center of a convolution's kernel, a view."""
    for size in weight.shape[2:]:
        weight = weight.select(2, size // 2)
    return weight


def as_float(function: str, code: int, value: Any) -> float:
    """Return `value` as a float that the dtype `code` of the core holds, up to rounding."""
    real: float = value if type(value) is float else _real(function, as_scalar(function, value))
    if abs(real) > LARGEST[code]:  # false for NaN, which every dtype has
        described = FLOATING[code]
        if abs(real) != math.inf or not described.has_infinity:
            raise _not_representable(function, described.dtype, real)
    return float(real)


def as_element(function: str, dtype: torch.dtype, value: Any) -> float | int | complex:
    """Return `value` as a float, int or complex number, whichever the dtype holds."""
    code = CODES.get(dtype)
    if code is not None:
        return as_float(function, code, value)
    if dtype not in _HAVE_NUMBERS:
        _check_has_numbers(function, dtype)
    scalar = as_scalar(function, value)
    if dtype.is_complex:
        try:
            # (torch 2.4 does not compile complex() of a complex number.)
            number = scalar if isinstance(scalar, complex) else complex(scalar)
        except OverflowError as error:
            raise _not_representable(function, dtype, scalar) from error
        largest = torch.finfo(dtype).max
        if any(largest < abs(part) != math.inf for part in (number.real, number.imag)):
            raise _not_representable(function, dtype, scalar)
        return number
    real = _real(function, scalar)
    if dtype.is_floating_point:
        if torch.finfo(dtype).max < abs(real) != math.inf:
            raise _not_representable(function, dtype, value)
        return float(real)
    return _as_integer(function, dtype, real)


def _check_has_numbers(function: str, dtype: torch.dtype) -> None:
    """Raise where torch cannot write a number in the dtype, as in packed ones."""
    if not _has_numbers(dtype):
        raise unfit(function, "the dtype of tensor", "one that torch fills", str(dtype))


@functools.cache
def _has_numbers(dtype: torch.dtype) -> bool:
    with without_dispatch_modes():
        try:
            _fill(torch.empty(1, dtype=dtype, device="cpu"), 1)
        except (NotImplementedError, RuntimeError):
            return False
    return True


def _is_unreadable(value: torch.Tensor) -> bool:
    """Whether the number in a tensor is not there yet, or is to stay a part of a program."""
    return value.dim() == 0 and not value.is_meta and is_watched()


def as_scalar(function: str, value: Any) -> Any:
    """Return a number of Python's: from a NumPy scalar or a tensor without dimensions, too."""
    scalar = value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        try:
            scalar = value.item()
        except NOT_NUMBERS as error:  # a tensor without a value
            raise wrong(function, "val", "a number", value, TypeError) from error
    if not isinstance(scalar, (int, float, complex)):
        raise wrong(function, "val", "a number", value, TypeError)
    return scalar


def _as_integer(function: str, dtype: torch.dtype, real: float) -> int:
    low, high = _INTEGERS.get(dtype) or _limits(dtype)
    if not low <= real <= high or real != int(real):  # NaN and infinity are not in between
        raise _not_representable(function, dtype, real)
    return int(real)


def _real(function: str, scalar: Any) -> float:
    """Return a float or an int, as it is."""
    if isinstance(scalar, complex):
        raise wrong(function, "val", "real for a real tensor", scalar, WrongTypeError)
    real: float = scalar
    return real


def _not_representable(function: str, dtype: torch.dtype, value: object) -> Exception:
    return wrong(function, "val", f"representable in {dtype}", value)
