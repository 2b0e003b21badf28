"""What a plan knows of one parameter."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from .._initializers.base import Initializer, Law
from .._initializers.composite import Composite
from .program import Program, from_described

# The note of a tensor that a constructor leaves as it was allocated.
NEVER_WRITTEN = "never written"
# That of a lazy one, which has no shape.
LAZY = "lazy: the factory is to call the model once"


# What the objects of a file may have.
_MEMBERS = frozenset(
    ("name", "shape", "dtype", "law", "aliases", "key", "pieces", "buffer", "note", "program")
)
_PIECE_MEMBERS = frozenset(("offsets", "sizes", "law", "key"))


@dataclass(frozen=True)
class Piece:
    """A box of a parameter that has a law of its own."""

    offsets: tuple[int, ...]
    """Where it begins in each dimension."""
    sizes: tuple[int, ...]
    initializer: Initializer
    """Its law, as that of a tensor with its sizes."""
    key_name: str
    """What names its key."""


@dataclass(frozen=True)
class Entry:
    """One parameter or buffer of a model."""

    name: str
    """Its name, without those of wrappers, which names its key, too, where `key_name` is empty."""
    shape: tuple[int, ...]
    """The shape of the whole."""
    dtype: str
    """The dtype it has in the model that was planned; an instance may have another."""
    initializer: Initializer | None
    """Its law; None where none is known."""
    aliases: tuple[str, ...] = ()
    """Other names of the same parameter, where it is tied."""
    key_name: str = ""
    """What names its key: of a copy, the name of the parameter that it has its values from."""
    pieces: tuple[Piece, ...] = ()
    """Boxes with laws of their own, disjoint; what is in none has the law of `initializer`."""
    is_buffer: bool = False
    """Whether it is a buffer, no parameter."""
    note: str = ""
    """What computes it, and where, or why nothing fills it."""
    program: Program | None = None
    """How it is computed, where it has no law."""

    @property
    def kind(self) -> str:
        """What fills it: "law", "pieces", "copy", "computed", "data" or "unset"."""
        if not self.is_planned:
            return "unset"
        if self.program is not None:
            return "data" if self.program.is_data else "computed"
        if self.key_name:
            return "copy"
        return "pieces" if self.pieces else "law"

    @functools.cached_property
    def law(self) -> Law | None:
        """What a tensor of the shape is filled with by the initializer; raise where it cannot be.

        Found once: runs ask each time.
        """
        return None if self.initializer is None else self.initializer.law(self.shape)

    @functools.cached_property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: a copy's law is to be made of the same fills."""
        return {own.name: getattr(self, own.name) for own in fields(self)}

    @property
    def keys(self) -> set[str]:
        """What names the keys that it has values from."""
        own = set() if self.initializer is None else {self.key_name or self.name}
        pieces = {piece.key_name for piece in self.pieces}
        return own | pieces | set(self.program.keys if self.program else ())

    @property
    def no_text(self) -> str | None:
        """A name that gives no key, because UTF-8 has nothing for a half of a character in it."""
        has_others = self.pieces or self.program is not None
        is_ascii = self.name.isascii() and self.key_name.isascii()
        return None if is_ascii and not has_others else self._no_text

    @functools.cached_property
    def _no_text(self) -> str | None:
        return next((name for name in (self.name, *self.keys) if not _is_text(name)), None)

    @property
    def is_planned(self) -> bool:
        """Whether a run can fill it: all its elements have a law, or are computed."""
        if self.initializer is not None or self.program is not None or not self.pieces:
            return self.initializer is not None or self.program is not None
        return sum(math.prod(piece.sizes) for piece in self.pieces) == math.prod(self.shape)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def entry_of(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    initializer: Initializer | None,
    aliases: tuple[str, ...] = (),
) -> Entry:
    """The entry of a parameter that is to have an initializer, with its pieces.

    Raises:
        ValueError: The initializer does not take the shape.
    """
    if initializer is None:
        return Entry(name, shape, dtype, None, aliases)
    if not isinstance(initializer, Composite):
        entry = Entry(name, shape, dtype, initializer, aliases)
        _ = entry.law
        return entry
    pieces = tuple(
        Piece(
            one.offsets, one.sizes, one.initializer, f"{name}#{one.draw}" if one.draw > 0 else name
        )
        for one in initializer.blocks(shape)[1:]
        if math.prod(one.sizes)
    )
    return Entry(name, shape, dtype, initializer.base, aliases, pieces=pieces)


def with_own_keys(entries: list[Entry], changed: set[str]) -> list[Entry]:
    """The entries, but none with the key of a parameter whose law was changed.

    Copies of such a parameter stay copies of each other, under the name of the first.
    """
    heirs: dict[str, str] = {}
    own = []
    for entry in entries:

        def name(key_name: str, entry: Entry = entry) -> str:
            if entry.name in changed or key_name.partition("#")[0] not in changed:
                return key_name
            return heirs.setdefault(key_name, f"{entry.name}#of {key_name}")

        pieces = tuple(replace(one, key_name=name(one.key_name)) for one in entry.pieces)
        program = entry.program and entry.program.renamed(name)
        own.append(replace(entry, key_name=name(entry.key_name), pieces=pieces, program=program))
    return own


def as_dict(entry: Entry) -> dict[str, Any]:
    """The entry as what JSON has; what is empty is left out."""
    law = entry.initializer
    described: dict[str, Any] = {
        "name": entry.name,
        "shape": list(entry.shape),
        "dtype": entry.dtype,
        "law": None if law is None else law.as_dict(),
        "aliases": list(entry.aliases),
    }
    if entry.key_name:
        described["key"] = entry.key_name
    if entry.pieces:
        described["pieces"] = [
            {
                "offsets": list(piece.offsets),
                "sizes": list(piece.sizes),
                "law": piece.initializer.as_dict(),
                "key": piece.key_name,
            }
            for piece in entry.pieces
        ]
    if entry.is_buffer:
        described["buffer"] = True
    if entry.note:
        described["note"] = entry.note
    if entry.program is not None:
        described["program"] = json.loads(entry.program.text)
    return described


def from_dict(described: dict[str, Any]) -> Entry:
    """The entry of `as_dict`."""
    _check_members(described, _MEMBERS)
    law, dtype = described["law"], described["dtype"]
    if not isinstance(dtype, str) or not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise TypeError(f"no dtype: {dtype!r}")
    name, shape, aliases = described["name"], _integers(described["shape"]), described["aliases"]
    if not isinstance(aliases, list) or not all(isinstance(one, str) for one in (name, *aliases)):
        raise TypeError(f"no names: {name!r}, {aliases!r}")
    entry = Entry(
        name,
        shape,
        dtype,
        None if law is None else Initializer.from_dict(law),
        tuple(aliases),
        _member(described, "key", ""),
        tuple(_piece(piece, shape) for piece in _member(described, "pieces", [])),
        _member(described, "buffer", False),
        _member(described, "note", ""),
        from_described(described["program"]) if "program" in described else None,
    )
    _ = entry.law
    return entry


def _piece(described: dict[str, Any], shape: tuple[int, ...]) -> Piece:
    _check_members(described, _PIECE_MEMBERS)
    offsets, sizes = _integers(described["offsets"]), _integers(described["sizes"])
    initializer = Initializer.from_dict(described["law"])
    ends = [a + b for a, b in zip(offsets, sizes, strict=False)]
    if not len(offsets) == len(sizes) == len(shape) or any(
        offset < 0 or size < 1 or end > whole
        for offset, size, end, whole in zip(offsets, sizes, ends, shape, strict=True)
    ):
        raise TypeError(f"a piece at {offsets} of sizes {sizes} in a tensor of shape {shape}")
    initializer.law(sizes)
    return Piece(offsets, sizes, initializer, _member(described, "key", ""))


def _check_members(described: dict[str, Any], known: frozenset[str]) -> None:
    """Raise where an object has another member, which would be lost without a word."""
    unknown = sorted(described.keys() - known)
    if unknown:
        raise ValueError(f"no member of a plan: {', '.join(map(repr, unknown))}")


def _member(described: dict[str, Any], name: str, default: Any) -> Any:
    """A member that may be missing, of the type of its default."""
    value = described.get(name, default)
    if type(value) is not type(default):
        raise TypeError(f"{name} must be a {type(default).__name__}, got {value!r}")
    return value


def _integers(values: Any) -> tuple[int, ...]:
    are_sizes = isinstance(values, list) and all(type(value) is int for value in values)
    if not are_sizes or min(values, default=0) < 0:
        raise TypeError(f"no sizes: {values!r}")
    return tuple(values)
