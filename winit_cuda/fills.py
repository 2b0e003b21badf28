"""The fills: each knows what its numbers may be in a dtype, its call to the core, its ATen twin.

A fill has no state. Which key a call has, where it writes and which of the two implementations
runs is for `dispatch` to decide.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from . import backend, checks
from .checks import unfit, wrong
from .constants import as_float
from .dtypes import (
    FLOATING,
    LARGEST,
    LEAST_SPACING,
    RELATIVE_SPACING,
    largest_at_most,
    nearest_inside,
    smallest_at_least,
)
from .householder import write_orthogonal

if TYPE_CHECKING:
    from .generators import Words
    from .target import Place

Numbers = tuple[Any, ...]

# No 32-bit word has a normal quantile beyond 6.24: no value is further from the mean, in units of
# std. See csrc/maps.h.
LARGEST_QUANTILE = 6.4

# What comparing something else than numbers raises; the checks by name then say what it is.
_NOT_NUMBERS = (TypeError, ValueError, RuntimeError)

_REAL = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_COMPLEX = frozenset({torch.complex32, torch.complex64, torch.complex128})


class Fill:
    """What all fills have in common."""

    name: str
    """Its name, in the core and for `operators`."""
    number_count: int
    """How many numbers it takes, at most four."""
    arguments: tuple[str, ...] = ()
    """What the public functions call the numbers of a random fill."""
    is_random = True
    aten_dtypes: frozenset[torch.dtype] | None = None
    """The dtypes that torch's own function fills; None where that is for torch to say."""

    def __init__(self) -> None:
        self.native: Any = getattr(backend.loaded, self.name, None)
        self.quick: Any = getattr(backend.loaded, f"quick_{self.name}", None)

    def as_floats(self, function: str, numbers: Numbers) -> Numbers:
        """Return the numbers as floats, or raise: nothing may fail once a key is drawn."""
        named = zip(self.arguments, numbers, strict=True)
        return tuple(checks.number(function, name, value) for name, value in named)

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """Raise where a number is not one, or the dtype `code` cannot hold what it asks for.

        Return True where `quick` takes a key and the two numbers as they are, which is the short
        way for small tensors; otherwise `write` is to be called.
        """
        raise NotImplementedError

    def only_value(self, code: int, numbers: Numbers) -> float | None:  # noqa: ARG002
        """The value of every element in the dtype `code`, where there is nothing to choose from."""
        return None

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """Fill `tensor`, whose elements lie at `place`, by the core."""
        raise NotImplementedError

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init` does."""
        raise NotImplementedError


class ConstantFill(Fill):
    """One value; numbers: the value."""

    name = "constant"
    number_count = 1
    is_random = False

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The dtype has the value, up to rounding."""
        as_float(function, code, numbers[0])
        return False

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:  # noqa: ARG002
        """Write the value, rounded, to every element."""
        self.native(*place, *numbers)


class UniformFill(Fill):
    """Uniform on [a, b); numbers: a, b."""

    name = "uniform"
    number_count = 2
    arguments = ("a", "b")
    aten_dtypes = _REAL | _COMPLEX

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The bounds are in order and finite in the dtype, and a value lies between them."""
        a, b = numbers
        largest = LARGEST[code]
        try:
            fits = -largest <= a <= b <= largest
        except _NOT_NUMBERS:
            fits = False
        if not fits:
            a, b = checks.interval(function, a, b)
            raise _too_large(function, "a" if -a > b else "b", max(-a, b), code)
        if b - a > RELATIVE_SPACING[code] * (b if b > -a else -a) + LEAST_SPACING[code]:
            return True
        if a != b and smallest_at_least(a, code) >= b:
            raise _empty(function, f"[{a}, {b})", code)
        return bool(a != b)

    def only_value(self, code: int, numbers: Numbers) -> float | None:  # noqa: ARG002
        """The bounds, where they are equal."""
        a, b = numbers
        return a if a == b else None

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """One word an element, unless there is nothing to choose from."""
        value = self.only_value(place[1], numbers)
        if value is not None:
            CONSTANT.write(place, words, (value,), tensor)
        else:
            self.native(*place, *words, *numbers)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.uniform_` does."""
        a, b = numbers
        torch.nn.init.uniform_(tensor, a, b, generator=generator)


class NormalFill(Fill):
    """Normal; numbers: mean, std."""

    name = "normal"
    number_count = 2
    arguments = ("mean", "std")
    aten_dtypes = _REAL | _COMPLEX

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The numbers are finite, and so is, in the dtype, the furthest value a word gives."""
        mean, std = numbers
        try:
            fits = std >= 0.0 and abs(mean) + LARGEST_QUANTILE * std <= LARGEST[code]
        except _NOT_NUMBERS:
            fits = False
        if fits:
            return True
        mean = checks.finite(function, "mean", mean)
        std = checks.deviation(function, "std", std)
        reach = abs(mean) + LARGEST_QUANTILE * std
        raise _too_large(function, f"|mean| + {LARGEST_QUANTILE} std", reach, code)

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:  # noqa: ARG002
        """One word an element."""
        self.native(*place, *words, *numbers)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.normal_` does."""
        mean, std = numbers
        torch.nn.init.normal_(tensor, mean, std, generator=generator)


class TruncNormalFill(Fill):
    """Normal, given that it lies in [a, b]; numbers: mean, std, a, b."""

    name = "trunc_normal"
    number_count = 4
    arguments = ("mean", "std", "a", "b")
    aten_dtypes = _REAL

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The numbers are finite, so are the values in the dtype, and one lies in [a, b]."""
        mean, std, a, b = numbers
        mean = checks.finite(function, "mean", mean)
        std = checks.deviation(function, "std", std)
        a, b = checks.interval(function, a, b)
        largest = LARGEST[code]
        if abs(mean) > largest or std > largest:
            raise _too_large(function, "|mean| and std", max(abs(mean), std), code)
        spread = LARGEST_QUANTILE * std
        upper, lower = max(mean, a) + spread, min(mean, b) - spread
        if (b > largest and upper > largest) or (a < -largest and lower < -largest):
            values = f"the values around {mean} that lie in [{a}, {b}]"
            raise _too_large(function, values, max(upper, -lower), code)
        if a != b and smallest_at_least(a, code) > largest_at_most(b, code):
            raise _empty(function, f"[{a}, {b}]", code)
        return False

    def only_value(self, code: int, numbers: Numbers) -> float | None:
        """The mean or what is nearest to it in [a, b], where nothing is spread."""
        mean, std, a, b = numbers
        if std == 0.0 or a == b:
            return nearest_inside(min(max(mean, a), b), a, b, code)
        return None

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """One word an element, unless there is nothing to choose from."""
        value = self.only_value(place[1], numbers)
        if value is not None:
            CONSTANT.write(place, words, (value,), tensor)
        else:
            self.native(*place, *words, *numbers)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.trunc_normal_` does, but for the cases where it divides by 0."""
        mean, std, a, b = numbers
        if std == 0.0 or a == b:
            torch.nn.init.constant_(tensor, min(max(mean, a), b))
        else:
            torch.nn.init.trunc_normal_(tensor, mean, std, a, b, generator=generator)


class SparseFill(Fill):
    """Normal with zeros in every column of a matrix; numbers: sparsity, std."""

    name = "sparse"
    number_count = 2
    arguments = ("sparsity", "std")
    aten_dtypes = _REAL | _COMPLEX

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The sparsity is a fraction; std is as in a normal fill."""
        sparsity, std = numbers
        checks.fraction(function, "sparsity", sparsity)
        NORMAL.check(function, code, (0.0, std))
        return False

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """The zeros are the places of the smallest words of each column."""
        sparsity, std = numbers
        rows, columns = tensor.shape
        zeros = math.ceil(sparsity * rows)
        # A threshold of 16 bytes for each column.
        thresholds = torch.empty(columns, 2, dtype=torch.int64, device=tensor.device)
        self.native(*place, *words, rows, columns, zeros, std, thresholds.data_ptr())

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.sparse_` does."""
        sparsity, std = numbers
        torch.nn.init.sparse_(tensor, sparsity, std, generator=generator)


class OrthogonalFill(Fill):
    """Orthonormal rows or columns; numbers: gain."""

    name = "orthogonal"
    number_count = 1
    arguments = ("gain",)
    aten_dtypes = frozenset({torch.float32, torch.float64})

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """No element of the matrix is larger than the gain."""
        reach = abs(checks.finite(function, "gain", numbers[0]))
        if reach > LARGEST[code]:
            raise _too_large(function, "|gain|", reach, code)
        return False

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """A product of Householder reflectors: a small one by the core, a larger one by BLAS."""
        rows = tensor.shape[0]
        columns = tensor.numel() // rows
        if place[4] < 0:
            self.native(*place, *words, rows, columns, 0, rows, 0, columns, numbers[0])
        else:
            write_orthogonal(backend.loaded.reflectors, place, words, numbers[0], tensor)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.orthogonal_` does."""
        torch.nn.init.orthogonal_(tensor, numbers[0], generator=generator)


class DiracFill(Fill):
    """Ones that carry input channels to output channels; numbers: groups."""

    name = "dirac"
    number_count = 1
    is_random = False

    def check(self, function: str, code: int, numbers: Numbers) -> bool:  # noqa: ARG002
        """Every dtype has 0 and 1."""
        return False

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:  # noqa: ARG002
        """The place of a row's one is a function of the row."""
        outputs, inputs, *kernel = tensor.shape
        center = 0
        for size in kernel:
            center = center * size + size // 2
        taps = math.prod(kernel)
        rows_per_group = outputs // int(numbers[0])
        self.native(*place, inputs * taps, taps, center, rows_per_group, inputs)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:  # noqa: ARG002
        """Fill as `torch.nn.init.dirac_` does, or `eye_` for a matrix."""
        if tensor.dim() == 2:
            torch.nn.init.eye_(tensor)
        else:
            torch.nn.init.dirac_(tensor, int(numbers[0]))


CONSTANT = ConstantFill()
UNIFORM = UniformFill()
NORMAL = NormalFill()
TRUNC_NORMAL = TruncNormalFill()
SPARSE = SparseFill()
ORTHOGONAL = OrthogonalFill()
DIRAC = DiracFill()

FILLS: dict[str, Fill] = {
    fill.name: fill for fill in (UNIFORM, NORMAL, TRUNC_NORMAL, SPARSE, ORTHOGONAL, DIRAC)
}


def _too_large(function: str, what: str, reach: float, code: int) -> Exception:
    described = FLOATING[code]
    return wrong(function, what, f"at most {described.largest} for {described.name}", reach)


def _empty(function: str, interval: str, code: int) -> Exception:
    name = FLOATING[code].name
    requirement = f"an interval with a {name} value in it"
    return unfit(function, "a and b", requirement, interval, ValueError)
