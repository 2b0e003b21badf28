"""From a log to laws: which distribution each element of a tensor has, and of which draw.

A law is read backwards: from the last step that wrote all of the tensor, through copies and
scalings, to a draw or a constant. What is written in parts is pieces. Where this does not do,
`NoLawError` says why, and nothing is guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from .._initializers.elementwise import Constant, Normal, Ones, TruncNormal, Uniform, Zeros
from .._initializers.fans import KaimingNormal, KaimingUniform, XavierNormal, XavierUniform
from .._initializers.structured import Orthogonal, Sparse
from . import replay, truncation
from .draws import NoLawError, drawn
from .log import INITIALIZER, STAND_IN, Layout, Log, Outside, Step, View, box_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._initializers.base import Initializer

_EMPTY = ("empty", "new_empty", STAND_IN)
_ZEROS = frozenset({"zero_", "zeros", "zeros_like", "new_zeros"})
_ONES = frozenset({"ones", "ones_like", "new_ones"})
# Where among the arguments the value is.
_FULL = {"fill_": 1, "fill": 1, "full": 1, "full_like": 1, "new_full": 2, "scalar_tensor": 0}
_COPIES = frozenset({"copy_", "clone", "_to_copy", "lift_fresh", "lift_fresh_copy"})
_SCALINGS = frozenset({"mul", "div", "add", "sub", "rsub", "neg"})
_OF_TRUNCATIONS = frozenset({"erfinv", "clamp"})
_SCHEMES: dict[str, Callable[..., Initializer]] = {
    "kaiming_uniform_": KaimingUniform,
    "kaiming_normal_": KaimingNormal,
    "xavier_uniform_": XavierUniform,
    "xavier_normal_": XavierNormal,
}
# Larger constants from outside are not looked at, element by element.
_LARGEST_CONSTANT = 1 << 22
_DEEPEST = 50


@dataclass(frozen=True)
class Reading:
    """What was read of a tensor."""

    initializer: Initializer | None
    """Its law; None where nothing was written."""
    draw: int | None = None
    """The step that drew it."""
    region: Layout | None = None
    """Which elements of that draw it has, in its own order."""
    scheme: Initializer | None = None
    """The same law by the name that the constructor called it, which holds for the whole draw."""
    is_flipped: bool = False
    """Whether the signs are not those of the draw."""
    pieces: tuple[Part, ...] = ()
    """What was written in it later, in order."""


@dataclass(frozen=True)
class Part:
    """What was read of a box of a tensor."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    reading: Reading


class Reader:
    """Reads the laws of tensors off a log."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._depth = 0

    def read(self, view: View, before: int | None = None) -> Reading:
        """The law of a tensor, as the steps before this one left it.

        Raises:
            NoLawError: It has none that is known here.
        """
        if self._depth > _DEEPEST:
            raise NoLawError("through too many steps")
        self._depth += 1
        try:
            return self._read(view, len(self._log.steps) if before is None else before)
        finally:
            self._depth -= 1

    def _read(self, view: View, before: int) -> Reading:
        base, later = self._log.writes_of(view, before)
        for step in later if base is None else (base, *later):
            if any(each.meets(view) and each.dtype != view.dtype for each in step.writes):
                raise NoLawError(f"by {step.name} in another dtype")
        reading = Reading(None) if base is None else self._written(base, view)
        for step in later:
            written = [each for each in step.writes if each.meets(view)]
            if len(written) > 1:
                raise NoLawError(f"by {step.name}")
            if written[0].covers(view):
                reading = self._scaled(step, reading, view)
            elif step.name.startswith(_EMPTY):
                continue
            elif step.overwrites and view.covers(written[0]):
                box = box_of(view, written[0])
                if box is None:
                    raise NoLawError("by a write that is no box")
                part = Part(*box, self._written(step, written[0]))
                reading = replace(reading, pieces=(*_others(reading.pieces, part), part))
            else:
                raise NoLawError(f"by {step.name} of a part")
        return reading

    def _written(self, step: Step, view: View) -> Reading:
        """What a step wrote, that wrote all of a tensor anew."""
        name = step.name
        if name.startswith(_EMPTY):
            return Reading(None)
        value = self._constant(step)
        if value is not None:
            return Reading(_constant(value, view.dtype))
        if name in _COPIES:
            return self._copied(step, view)
        if name in _SCALINGS | _OF_TRUNCATIONS:
            source, _ = _factors(step)
            reading = self.read(_same_part(step.results[0], source, view), step.index)
            return self._scaled(step, reading, view)
        if not view.dtype.is_floating_point:
            raise NoLawError(f"by {name} in {view.dtype}")
        if not view.layout.is_injective:
            raise NoLawError(f"by {name}, expanded")
        law = drawn(step, view)
        return Reading(law, step.index, view.layout, _named(step, view, law))

    def _constant(self, step: Step) -> float | complex | None:
        """The value of a step that writes one everywhere."""
        if step.name == INITIALIZER:
            return constant_value(step.kwargs[INITIALIZER])
        if step.name in _ZEROS:
            return 0.0
        if step.name in _ONES:
            return 1.0
        if step.name in _FULL:
            value = step.kwargs.get("value", step.kwargs.get("fill_value"))
            return self._number(step.args[_FULL[step.name]] if value is None else value, step)
        return None

    def _copied(self, step: Step, view: View) -> Reading:
        source = step.args[1 if step.name == "copy_" else 0]
        if isinstance(source, Outside):
            return Reading(_constant(_only_value(source.tensor), view.dtype))
        written = step.writes[0]
        if math.prod(source.layout.shape) != written.numel:
            return Reading(_constant(self._number(source, step), view.dtype))
        reading = self.read(_same_part(written, source, view), step.index)
        return _cast(reading, view.dtype)

    def _scaled(self, step: Step, reading: Reading, view: View) -> Reading:
        """What was read, times a factor, plus a summand."""
        name = step.name.rstrip("_")
        if name in _OF_TRUNCATIONS:
            return self._truncated(step, reading)
        if name not in _SCALINGS or step.operator is None:
            raise NoLawError(f"by {step.name}")
        factor, summand = -1.0, -0.0  # 0.0 as a summand would turn -0.0 into 0.0
        if name != "neg":
            one, other = _factors(step)
            if "out" in step.kwargs and one != step.writes[0]:
                raise NoLawError(f"by {step.name} of a part of what it writes")
            value = self._number(other, step)
            if step.kwargs.get("rounding_mode") is not None:
                raise NoLawError("by a division that rounds")
            alpha = float(_alpha(step))
            if name == "div" and value == 0:
                raise NoLawError("by a division by 0")
            factor, summand = {
                "mul": (value, -0.0),
                "div": (1 / value if value else math.inf, -0.0),
                "add": (1.0, alpha * value),
                "sub": (1.0, -alpha * value),
                "rsub": (-alpha, value),
            }[name]
        return _scaled_reading(reading, factor, summand, view.dtype)

    def _truncated(self, step: Step, reading: Reading) -> Reading:
        """What was read, by a step of a truncated normal that is written by hand."""
        if reading.pieces or "out" in step.kwargs:
            raise NoLawError(f"by {step.name}")
        try:
            if step.name.startswith("erfinv"):
                law = truncation.through_erfinv(reading.initializer)
            else:
                given = dict(zip(("min", "max"), step.args[1:], strict=False)) | step.kwargs
                low, high = given.get("min"), given.get("max")
                law = truncation.clamped(
                    reading.initializer,
                    -math.inf if low is None else self._number(low, step),
                    math.inf if high is None else self._number(high, step),
                )
        except NoLawError as error:
            raise NoLawError(f"by {step.name}") from error
        return replace(reading, initializer=law, scheme=None)

    def _number(self, value: Any, step: Step) -> float:
        """A number that a step takes, be it in a tensor."""
        if isinstance(value, (int, float)):
            return value
        if isinstance(value, Outside):
            return _only_value(value.tensor)
        if not isinstance(value, View) or value.numel != 1:
            raise NoLawError(f"by {step.name} with a tensor")
        steps = self._log.needed(value, step.index)
        if any(each.is_random for each in steps) or not steps:
            raise NoLawError(f"by {step.name} with a random number")
        number: float = replay.values(self._log, steps, value).item()
        return number


def _named(step: Step, view: View, law: Initializer) -> Initializer | None:
    """The law under the name of the scheme that called for it, where that gives the same."""
    if step.scheme is None or step.writes[0].layout != view.layout:
        return None
    name, arguments = step.scheme
    try:
        named = _SCHEMES[name](**arguments)
        shape = view.layout.shape
        return named if named.law(shape) == law.law(shape) else None
    except (TypeError, ValueError):
        return None


def _alpha(step: Step) -> Any:
    """The factor of what is added; operators with a number take it by position, too."""
    return step.kwargs.get("alpha", step.args[2] if len(step.args) > 2 else 1)


def _factors(step: Step) -> tuple[View, Any]:
    """The tensor and the number that a step joins."""
    one, two = (*step.args, None)[:2]
    if isinstance(one, View) and (step.name.endswith("_") or one.numel == step.results[0].numel):
        return one, two
    commutes = step.name in ("mul", "add") and _alpha(step) == 1
    if commutes and isinstance(two, View) and two.numel == step.results[0].numel:
        return two, one
    raise NoLawError(f"by {step.name} with tensors")


def _scaled_reading(reading: Reading, factor: float, summand: float, dtype: torch.dtype) -> Reading:
    if not math.isfinite(factor) or not math.isfinite(summand):
        raise NoLawError("by a number that is not finite")
    pieces = tuple(
        replace(part, reading=_scaled_reading(part.reading, factor, summand, dtype))
        for part in reading.pieces
    )
    if reading.initializer is None:
        return replace(reading, pieces=pieces)
    law = _scaled_law(reading.initializer, factor, summand, dtype)
    if isinstance(law, (Constant, Zeros, Ones)):
        return Reading(law, pieces=pieces)
    is_flipped = reading.is_flipped != (factor < 0)
    scheme = reading.scheme if law is reading.initializer else None
    return replace(reading, initializer=law, scheme=scheme, is_flipped=is_flipped, pieces=pieces)


def _scaled_law(
    initializer: Initializer, factor: float, summand: float, dtype: torch.dtype
) -> Initializer:
    """The law of factor * x + summand."""
    value = constant_value(initializer)
    if value is not None:
        return _constant(value * factor + summand, dtype)
    summand += 0.0  # the laws of draws have 0.0, as they are written
    if factor == 0.0:
        return _constant(summand, dtype)
    if (factor, summand) == (1.0, 0.0):
        return initializer

    def moved(number: float) -> float:
        return number * factor + summand

    if isinstance(initializer, Normal):
        return Normal(moved(initializer.mean), initializer.std * abs(factor))
    if isinstance(initializer, Uniform):
        return Uniform(*sorted((moved(initializer.a), moved(initializer.b))))
    if isinstance(initializer, TruncNormal):
        a, b = sorted((moved(initializer.a), moved(initializer.b)))
        return TruncNormal(moved(initializer.mean), initializer.std * abs(factor), a, b)
    if isinstance(initializer, Orthogonal) and summand == 0.0:
        return replace(initializer, gain=initializer.gain * factor)
    if isinstance(initializer, Sparse) and summand == 0.0:
        return replace(initializer, std=initializer.std * abs(factor))
    raise NoLawError(f"by a scaling of {initializer}")


def constant_value(initializer: Initializer | None) -> float | None:
    """The value of every element, where there is one."""
    if isinstance(initializer, Zeros):
        return 0.0
    if isinstance(initializer, Ones):
        return 1.0
    return initializer.val if isinstance(initializer, Constant) else None


def _constant(value: Any, dtype: torch.dtype) -> Initializer:
    """The law of one value, as the dtype holds it."""
    if isinstance(value, complex) or dtype.is_complex:
        raise NoLawError("by a complex constant")
    held = _held(value, dtype)
    if held == 0 and math.copysign(1.0, held) > 0:
        return Zeros()
    return Ones() if held == 1 else Constant(held)


def _held(value: Any, dtype: torch.dtype) -> Any:
    """The value as a tensor of the dtype has it."""
    if isinstance(value, int) and not dtype.is_floating_point:
        return bool(value) if dtype is torch.bool else value
    if not dtype.is_floating_point:
        return torch.tensor(value, dtype=torch.float64, device="cpu").to(dtype).item()
    if dtype is torch.float64:
        return float(value)
    return torch.tensor(float(value), dtype=torch.float32, device="cpu").to(dtype).item()


def _only_value(tensor: torch.Tensor) -> float:
    """The one value of a tensor from outside."""
    if 0 < tensor.numel() <= _LARGEST_CONSTANT and not tensor.is_meta:
        flat = tensor.detach().flatten()
        if not tensor.is_complex() and bool((flat == flat[0]).all()):
            number: float = flat[0].item()
            signs = flat.float().signbit() if number == 0 else flat[:1]  # -0.0 is equal to 0.0
            if bool((signs == signs[0]).all()):
                return number
    raise NoLawError("from data of the constructor")


def _cast(reading: Reading, dtype: torch.dtype) -> Reading:
    """What was read, converted to a dtype."""
    pieces = tuple(replace(one, reading=_cast(one.reading, dtype)) for one in reading.pieces)
    value = constant_value(reading.initializer)
    if value is not None:
        return Reading(_constant(value, dtype), pieces=pieces)
    if reading.initializer is not None and not dtype.is_floating_point:
        raise NoLawError(f"by a conversion to {dtype}")
    return replace(reading, pieces=pieces)


def _same_part(written: View, source: View, view: View) -> View:
    """The elements of `source` that became those of `view`, a part of `written`."""
    if view.layout == written.layout:
        return source
    if written.layout[1:] != source.layout[1:]:
        raise NoLawError("by a copy in another order")
    offset = source.layout.offset + view.layout.offset - written.layout.offset
    return replace(source, layout=view.layout._replace(offset=offset))


def _others(pieces: tuple[Part, ...], new: Part) -> tuple[Part, ...]:
    """The earlier pieces that a new one leaves."""
    kept = []
    for piece in pieces:
        dims = zip(piece.offsets, piece.sizes, new.offsets, new.sizes, strict=True)
        spans = [(a, a + n, b, b + m) for a, n, b, m in dims]
        if all(b <= a and a_end <= b_end for a, a_end, b, b_end in spans):
            continue
        if all(a < b_end and b < a_end for a, a_end, b, b_end in spans):
            raise NoLawError("by writes that overlap")
        kept.append(piece)
    return tuple(kept)
