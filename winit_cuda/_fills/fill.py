"""What all fills have in common: numbers, their checks, the call to the core, the ATen twin.

A fill has no state. Which key a call has, where it writes and which of the two implementations
runs is for `_dispatch` to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .._core import backend, checks
from .._core.checks import unfit, wrong
from .._core.dtypes import CODES, COMPONENTS, FLOATING
from .._core.target import quick

if TYPE_CHECKING:
    from .._core.target import Place
    from .._distributed.shard import Shard, Shards
    from .._keys.generators import Words

Numbers = tuple[Any, ...]

REAL = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
COMPLEX = frozenset({torch.complex32, torch.complex64, torch.complex128})

_SYMBOLS = (torch.SymInt, torch.SymFloat)


class Fill:
    """What all fills have in common."""

    name: str = ""
    """Its name, in the core and for `operators`."""
    number_count: int
    """How many numbers it takes, at most four."""
    arguments: tuple[str, ...] = ()
    """What the public functions call the numbers of a random fill."""
    is_random = True
    aten_dtypes: frozenset[torch.dtype] | None = None
    """The dtypes that torch's own function fills; None where that is for torch to say."""

    aten_needs_memory = False
    """Whether torch's own function needs memory once it has drawn: it gets a copy."""

    shard: Shard | Shards | None = None
    """The part of a larger tensor that it fills."""
    structure: tuple[int, ...] = ()
    """What it is told besides numbers, in the integers that `structured` takes."""

    native: Any
    quick: Any
    """Its functions in the core, any tensor's and ordinary ones'; None where it has none."""

    def __init_subclass__(cls) -> None:
        cls.native = getattr(backend.loaded, cls.name, None) if cls.name else None
        cls.quick = quick(cls.name)

    @property
    def is_empty_part(self) -> bool:
        """Whether a local tensor without elements is a part of a tensor that has some.

        Without a key it draws as the others draw: so all generators stay alike.
        """
        return self.shard is not None and 0 not in self.shard.global_shape

    def part(self, shard: Shard | Shards) -> Fill:
        """The same fill of a part of a larger tensor."""
        raise NotImplementedError

    def structured(self, structure: tuple[int, ...]) -> Fill:  # noqa: ARG002
        """The fill of the same name that has this structure."""
        return self

    def as_floats(self, function: str, numbers: Numbers) -> Numbers:
        """Return the numbers as floats, or raise: nothing may fail once a key is drawn.

        The symbols of a traced program stay what they are.
        """
        named = zip(self.arguments, numbers, strict=True)
        return tuple(
            value if isinstance(value, _SYMBOLS) else checks.number(function, name, value)
            for name, value in named
        )

    def prepared(self, function: str, dtype: torch.dtype, numbers: Numbers) -> Numbers:
        """Return the numbers as the core takes them in a tensor of this dtype, or raise."""
        for number in numbers:
            if type(number) is not float:
                numbers = self.as_floats(function, numbers)
                break
        self.check(function, random_code(function, dtype), numbers)
        return numbers

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """Raise where a number is not one, or the dtype `code` cannot hold what it asks for.

        Return True where the core takes the two numbers as they are, in a list.
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


def random_code(function: str, dtype: torch.dtype) -> int:
    """The code of the dtype that random numbers are rounded to."""
    code = CODES.get(dtype)
    if code is None:
        code = CODES.get(COMPONENTS.get(dtype, dtype))
    if code is None:
        names = ", ".join(described.name for described in FLOATING)
        requirement = f"one of {names} or complex for random values"
        raise unfit(function, "the dtype of tensor", requirement, str(dtype))
    return code


def too_large(function: str, what: str, reach: float, code: int) -> Exception:
    """The error for numbers that ask for more than the dtype `code` can hold."""
    described = FLOATING[code]
    return wrong(function, what, f"at most {described.largest} for {described.name}", reach)
