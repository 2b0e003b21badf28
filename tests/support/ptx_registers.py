"""Where the registers of one lane of a PTX kernel lie, constants among them."""

from __future__ import annotations

import re

NO_REGISTER = 0xFFFFFFFF
_FLOATS = {"0f": (8, 4), "0d": (16, 8)}


class UnknownPtxError(Exception):
    """PTX that the emulated device does not run."""


def bytes_of(kind: str) -> int:
    """The size of a register of this type; a predicate is kept as a word."""
    return 4 if kind == "pred" else int(re.sub(r"\D", "", kind)) // 8


class Registers:
    """Registers by name, each placed when it is first named."""

    def __init__(self) -> None:
        self.symbols: dict[str, int] = {}
        """The addresses of parameters, tables and shared memory."""
        self.lane_bytes = 0
        self._placed: dict[str, tuple[int, int]] = {}  # name to place and bytes
        self._classes: dict[str, int] = {}  # "%rd" to bytes
        self._constants: dict[tuple[int, int], int] = {}  # value and bytes to place

    @property
    def constants(self) -> list[tuple[int, int, int]]:
        """Place, bytes and value of each."""
        return [(at, size, value) for (value, size), at in self._constants.items()]

    @property
    def names(self) -> set[str]:
        """Those that have a place."""
        return set(self._placed)

    def forget(self, names: set[str]) -> None:
        """Let names that a scope has declared mean others, but not those of the classes."""
        for name in names:
            if not re.fullmatch(r"%[a-z]+\d+", name):
                del self._placed[name]

    def new(self, size: int) -> int:
        """A place without a name."""
        # In one lane; times the lanes it is aligned in every lane.
        at = -(-self.lane_bytes // size) * size
        self.lane_bytes = at + size
        return at

    def declare(self, name: str, size: int) -> int:
        """Give one register a place."""
        at = self.new(size)
        self._placed[name] = at, size
        return at

    def declare_class(self, name: str, size: int) -> None:
        """Say what size the registers have whose names are this and a number."""
        self._classes[name] = size

    def size_of(self, name: str) -> int:
        if name in self._placed:
            return self._placed[name][1]
        return self._classes[name.rstrip("0123456789")]

    def named(self, name: str, size: int) -> int:
        """The place of a register that an instruction takes for one of this size."""
        if self.size_of(name) != size:
            raise UnknownPtxError(f"{name} has not {size} bytes")
        return self._placed[name][0] if name in self._placed else self.declare(name, size)

    def result(self, operand: str, size: int) -> int:
        """The place that an instruction writes."""
        return NO_REGISTER if operand == "_" else self.named(operand, size)

    def operand(self, operand: str, size: int) -> int:
        """The place that an instruction reads: of a register, a symbol or a number."""
        if operand.startswith("%"):
            return self.named(operand, size)
        if operand in self.symbols:
            value = self.symbols[operand]
        elif operand[:2].lower() in _FLOATS:
            digits, held = _FLOATS[operand[:2].lower()]
            if held != size or len(operand) != 2 + digits:
                raise UnknownPtxError(operand)
            value = int(operand[2:], 16)
        else:
            value = int(operand.rstrip("U"), 0)
        key = value % (1 << 8 * size), size
        if key not in self._constants:
            self._constants[key] = self.new(size)
        return self._constants[key]
