"""Checks of the numbers a caller passes, and the one way an error is worded.

An error says which function, which argument, what it must be and what was received. Every check
runs before the generator is drawn from and before the tensor is written, so that after an error
both are as they were.

`torch.nn.init` raises RuntimeError for most bad numbers and NotImplementedError for most bad
tensors. What is raised here is that, too, so that handlers written for torch still catch it.
"""

from __future__ import annotations

import inspect
import math
import operator
import warnings
from typing import Any, NoReturn

import torch

# Tuples of types, here and elsewhere: torch.compile 2.4 does not trace `int | float`.
_SHOWN_AS_THEY_ARE = (str, int, float, complex, list, tuple, dict)


# What computing with something else than numbers raises. Not every exception: a signal handler's is
# its own.
NOT_NUMBERS = (TypeError, ValueError, RuntimeError, ArithmeticError)


class WrongValueError(ValueError, RuntimeError):
    """A value that is not what it must be."""


class WrongTypeError(TypeError, NotImplementedError):
    """What is not of the right kind, a dtype or layout above all."""


def wrong(
    function: str,
    argument: str,
    requirement: str,
    received: object,
    error: type[Exception] = WrongValueError,
) -> Exception:
    """The error for an argument whose value is not what it must be."""
    return unfit(function, argument, requirement, _shown(received), error)


def unfit(
    function: str,
    argument: str,
    requirement: str,
    received: str,
    error: type[Exception] = WrongTypeError,
) -> Exception:
    """The same, where what was received is described in words; a tensor, if nothing is said."""
    return error(f"{function}: {argument} must be {requirement}, got {received}")


_FROM_BELOW = (RuntimeError, NotImplementedError, MemoryError, torch.cuda.OutOfMemoryError)


def _names(function: str, error: BaseException) -> bool:
    return str(error).startswith(f"{function}: ")


def is_from_below(function: str, error: BaseException) -> bool:
    """Whether an error is one of ours, of the core's or of torch's, and no signal handler's."""
    return type(error) in _FROM_BELOW or _names(function, error)


def reraise(function: str, error: BaseException) -> NoReturn:
    """Raise, in its handler, an error that may come from below and not name the function."""
    if type(error) not in _FROM_BELOW or _names(function, error):
        raise error
    is_of_cuda = isinstance(error, torch.cuda.OutOfMemoryError)
    named = torch.cuda.OutOfMemoryError if is_of_cuda else RuntimeError
    raise named(f"{function}: {str(error) or 'out of memory'}") from error


class told_as:  # noqa: N801  (a function to its callers)
    """Let the errors of functions that another one calls name that one."""

    __slots__ = ("_function", "_inner")

    def __init__(self, function: str, *inner: str) -> None:
        self._function, self._inner = function, inner

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, (TypeError, ValueError, RuntimeError)):
            name, _, rest = str(error).partition(": ")
            if name in self._inner:
                error.args = (f"{self._function}: {rest}",)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn where the package was called from."""
    if torch.compiler.is_dynamo_compiling():  # it has no frames to look at
        warnings.warn(message, category, stacklevel=3)
        return
    level, frame = 1, inspect.currentframe()
    package = __name__.partition(".")[0]
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _shown(value: object) -> str:
    try:
        if value is None or isinstance(value, _SHOWN_AS_THEY_ARE):
            text = repr(value)
            return text if len(text) <= 80 else f"{text[:77]}..."
        kind = type(value).__name__
        return f"{kind} {value}" if hasattr(value, "__float__") and not _is_array(value) else kind
    except NOT_NUMBERS:  # an integer of more digits than Python writes
        return f"{type(value).__name__} that cannot be written down"


def _is_array(value: Any) -> bool:
    return bool(getattr(value, "shape", ()))


def number(function: str, argument: str, value: Any) -> float:
    """Return `value` as a float: a number, a NumPy scalar or a tensor of one element."""
    if not isinstance(value, (int, float)) and (  # so is what dynamo has for a dynamic size
        isinstance(value, (str, bytes, complex)) or not hasattr(value, "__float__")
    ):
        raise wrong(function, argument, "a number", value, TypeError)
    try:
        return float(value)
    except OverflowError as error:
        raise wrong(function, argument, "a number that a float holds", value) from error
    except NOT_NUMBERS as error:  # an array of many, a complex or meta tensor
        raise wrong(function, argument, "a number", value, TypeError) from error


def finite(function: str, argument: str, value: Any) -> float:
    """Return `value` as a finite float."""
    checked = number(function, argument, value)
    if not -math.inf < checked < math.inf:  # isfinite() takes no symbol of a traced program
        raise wrong(function, argument, "finite", checked)
    return checked


def deviation(function: str, argument: str, value: Any) -> float:
    """Return `value` as a finite float that is not negative."""
    checked = number(function, argument, value)
    if not 0.0 <= checked < math.inf:
        raise wrong(function, argument, "finite and at least 0", checked)
    return checked


def interval(function: str, a: Any, b: Any) -> tuple[float, float]:
    """Return the bounds as finite floats with a <= b."""
    low, high = finite(function, "a", a), finite(function, "b", b)
    if low > high:
        raise wrong(function, "a", f"at most b = {high}", low)
    return low, high


def truncation(function: str, a: Any, b: Any) -> tuple[float, float]:
    """Return the bounds as floats with a <= b; either may be infinite, where it bounds nothing."""
    low, high = number(function, "a", a), number(function, "b", b)
    if not -math.inf <= low < math.inf:
        raise wrong(function, "a", "a number below infinity", low)
    if not -math.inf < high <= math.inf:
        raise wrong(function, "b", "a number above -infinity", high)
    if low > high:
        raise wrong(function, "a", f"at most b = {high}", low)
    return low, high


def fraction(function: str, argument: str, value: Any) -> float:
    """Return `value` as a float in [0, 1]."""
    checked = number(function, argument, value)
    if not 0.0 <= checked <= 1.0:
        raise wrong(function, argument, "in [0, 1]", checked)
    return checked


def is_bool(value: Any) -> bool:
    """Whether it is a truth value, of Python, NumPy or torch."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) in ("bool", "torch.bool")


def integer(function: str, argument: str, value: Any, kind: str = "an integer") -> int:
    """Return `value` as an int; a bool is not one, nor is a float that happens to be whole."""
    if isinstance(value, int) and not isinstance(value, bool):
        return operator.index(value)  # of a class of its own, too
    if is_bool(value):
        raise wrong(function, argument, kind, value, TypeError)
    try:
        return operator.index(value)
    except TypeError as error:  # a tensor has __index__ whatever it holds
        raise wrong(function, argument, kind, value, TypeError) from error


def count(function: str, argument: str, value: Any) -> int:
    """Return `value` as an integer that is at least 1."""
    checked = integer(function, argument, value)
    if checked < 1:
        raise wrong(function, argument, "at least 1", checked)
    return checked
