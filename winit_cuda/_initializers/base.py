"""What all initializers have in common: the call, and JSON.

An initializer is a frozen dataclass. Its fields are what the function of its name takes besides the
tensor, the key and the shard, and they are checked when it is made. From a shape it gives a `Law`,
what the core is asked for; the functions ask for the same.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, NamedTuple, get_args

from torch import Generator, Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function

from .._core.checks import wrong
from .._core.subnormals import SMALLEST, kept
from .._core.torch_internals import has_torch_function
from .._dispatch import fixed, single
from .._distributed.shard import Shard, Shards
from .._fills.constants import FixedFill
from .._fills.fill import Fill, Numbers
from .._keys.keys import Key
from .._schemes.shapes import whole_shape

_NAME = "initializer"
_NO_JSON = ("inf", "-inf", "nan")
_KINDS: dict[str, type] = {}


class Law(NamedTuple):
    """What a tensor of some shape is filled with."""

    fill: Fill
    numbers: Numbers
    is_negative: bool = False
    """Whether the signs are flipped afterwards."""


@dataclass(frozen=True, repr=False)
class Initializer:
    """An initializer as plain data: frozen, comparable, hashable, to and from JSON.

    Called with a tensor it fills it in place and returns it, with the values that the function of
    the same scheme gives: on any device, in any dtype and layout, a part of a tensor or a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> initializer = winit.Initializer.from_json('{"initializer": "Normal", "std": 0.02}')
        >>> initializer
        Normal(std=0.02)
        >>> k = winit.key(0)
        >>> w = initializer(torch.empty(3, 5), key=k)
        >>> torch.equal(w, winit.normal_(torch.empty(3, 5), std=0.02, key=k))
        True
    """

    def __init_subclass__(cls) -> None:
        cls.__module__ = "winit_cuda"
        if "law" in vars(cls):
            _KINDS[cls.__name__] = cls

    def __call__(
        self,
        tensor: Tensor,
        *,
        generator: Generator | None = None,
        key: Key | None = None,
        shard: Shard | Shards | None = None,
    ) -> Tensor:
        """Fill `tensor` and return it.

        Args:
            tensor: What the function of the scheme takes.
            generator: Where the key comes from; None is torch's default CPU generator.
            key: The key itself, instead of a generator; what draws nothing has no use for either.
            shard: The part of a larger tensor that `tensor` is.

        Raises:
            TypeError: As the function of the scheme does.
            ValueError: As the function of the scheme does.
            RuntimeError: As the function of the scheme does.
        """
        if has_torch_function(tensor):
            return handle_torch_function(
                type(self).__call__,
                (tensor,),
                self,
                tensor,
                generator=generator,
                key=key,
                shard=shard,
            )
        if not SMALLEST and not is_dynamo_compiling():
            with kept():
                return self(tensor, generator=generator, key=key, shard=shard)
        return self._fill(tensor, generator, key, shard)

    def _fill(
        self,
        tensor: Tensor,
        generator: Generator | None,
        key: Key | None,
        shard: Shard | Shards | None,
    ) -> Tensor:
        function = type(self).__name__
        law = self.law(whole_shape(function, tensor, shard))
        what = law.fill if shard is None else law.fill.part(shard)
        if isinstance(what, FixedFill):
            return fixed.fill(what, function, tensor, law.numbers)
        single.fill(what, function, tensor, law.numbers, generator, key)
        return single.negate(tensor) if law.is_negative else tensor

    def law(self, shape: Sequence[int]) -> Law:
        """What a whole tensor of this shape is filled with; raise where it cannot be."""
        raise wrong(
            type(self).__name__, "its law", "that of a class such as Normal", shape, TypeError
        )

    def __repr__(self) -> str:
        given = (
            f"{field.name}={_written(getattr(self, field.name))}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        )
        return f"{type(self).__name__}({', '.join(given)})"

    def as_dict(self) -> dict[str, Any]:
        """Return the name and all fields as what JSON has; "inf", "-inf" and "nan" are words."""
        values = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {_NAME: type(self).__name__, **values}

    def to_json(self) -> str:
        """Return the name and all fields as a JSON object."""
        return json.dumps(self.as_dict())

    @staticmethod
    def from_dict(described: Mapping[str, Any]) -> "Initializer":
        """Return the initializer of `as_dict`; fields that are not there have their defaults.

        Raises:
            TypeError: It is no mapping, or a field is of the wrong type.
            ValueError: There is no initializer of that name, no such field, or a wrong value.
        """
        function = "Initializer.from_dict"
        if not isinstance(described, Mapping):
            raise wrong(function, "described", "a mapping", described, TypeError)
        values = dict(described)
        name = values.pop(_NAME, None)
        kind = _KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise wrong(function, _NAME, f"one of {', '.join(sorted(_KINDS))}", name)
        known = [field.name for field in fields(kind)]
        for given, value in values.items():
            if given not in known:
                raise wrong(function, f"a field of {name}", f"one of {', '.join(known)}", given)
            values[given] = _unplain(value)
        for field in fields(kind):
            if field.default is MISSING and field.name not in values:
                raise wrong(function, f"{field.name} of {name}", "given", None)
            # Python counts with bools; in a file one is a slip, but where a constant is meant.
            if isinstance(values.get(field.name), bool) and bool not in get_args(field.type):
                requirement = "a number or a word"
                received = values[field.name]
                raise wrong(function, f"{field.name} of {name}", requirement, received, TypeError)
        made: Initializer = kind(**values)
        return made

    @staticmethod
    def from_json(text: str) -> "Initializer":
        """Return the initializer of `to_json`. Nothing but JSON is read, and no code runs.

        Raises:
            TypeError: A field is of the wrong type, or the text no string.
            ValueError: The text is not JSON, or not that of an initializer.
        """
        if not isinstance(text, str):
            raise wrong("Initializer.from_json", "text", "a string", text, TypeError)
        try:
            described = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise wrong("Initializer.from_json", "text", f"JSON ({error})", text) from error
        if not isinstance(described, dict):
            raise wrong("Initializer.from_json", "text", "a JSON object", text)
        return Initializer.from_dict(described)

    def _set(self, **values: object) -> None:
        """Replace fields by their checked values, while the object is made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _written(value: Any) -> str:
    """The value as Python reads it."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Initializer):
        return value.as_dict()
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _unplain(value: Any) -> Any:
    if isinstance(value, str) and value in _NO_JSON:
        return float(value)
    if isinstance(value, dict):
        return Initializer.from_dict(value)
    return tuple(_unplain(each) for each in value) if isinstance(value, list) else value
