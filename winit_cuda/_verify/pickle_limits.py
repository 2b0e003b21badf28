"""Limits of what an untrusted pickle may ask for, checked before any of it is read.

A few bytes can ask for gigabytes (a place far out in the memo) or for centuries (nested tuples
that share their parts, which are hashed as often as they are reached), and deep nesting ends in a
crash. So the operations are first gone through without making an object.
"""

from __future__ import annotations

import pickletools
from pickle import UnpicklingError

_DEEPEST = 200
# Of an object in bytes of the file, with what it shares counted at every place.
_MOST_TIMES_SHARED = 100
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_NUMBERED = (_PUTS | _GETS) - {"MEMOIZE"}
_REFUSED = {"DUP", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4"}


class _Object:
    """How many objects one is made of, and how deep they are nested."""

    def __init__(self) -> None:
        self.size = self.depth = 1

    def take(self, parts: list[_Object]) -> None:
        """Count what becomes a part of it."""
        for part in parts:
            self.size += part.size
            self.depth = max(self.depth, part.depth + 1)


def check(data: bytes) -> None:
    """Raise where a pickle nests deeper, or shares more, than data that somebody saved does.

    Raises:
        UnpicklingError: It does, or it has operations that such data does not need.
        ValueError: It is no pickle, or ends too soon.
    """
    most = _MOST_TIMES_SHARED * len(data)
    stack: list[_Object] = []
    marks: list[int] = []
    memo: dict[int, _Object] = {}
    for operation, argument, _ in pickletools.genops(data):
        name = operation.name
        place = int(argument or 0) if name in _NUMBERED else len(memo)
        if name in _REFUSED:
            raise UnpicklingError(f"refused, as it has the operation {name}")
        if name in _PUTS:
            if place > len(data) or not stack:
                raise UnpicklingError("refused, as it keeps objects far out")
            memo[place] = stack[-1]
        elif name in _GETS:
            if place not in memo:
                raise UnpicklingError("refused, as it takes an object that is not kept")
            stack.append(memo[place])
        elif name == "MARK":
            marks.append(len(stack))
        else:
            _do(operation, stack, marks)
        if stack and (stack[-1].size > most or stack[-1].depth > _DEEPEST):
            raise UnpicklingError("refused, as its objects are nested too deeply")


def _do(operation: pickletools.OpcodeInfo, stack: list[_Object], marks: list[int]) -> None:
    """Replace the objects that an operation takes by those that it leaves."""
    before = operation.stack_before
    parts: list[_Object] = []
    if pickletools.markobject in before:
        begin = marks.pop() if marks else -1
        if begin < 0:
            raise UnpicklingError("refused, as a mark is missing")
        parts = stack[begin:]
        del stack[begin:]
        before = before[: before.index(pickletools.markobject)]
    if len(before) > len(stack):
        raise UnpicklingError("refused, as it takes what is not there")
    taken = stack[len(stack) - len(before) :]
    del stack[len(stack) - len(before) :]
    if not operation.stack_after:
        return
    # Lists, dicts and sets that get more stay the objects that the memo knows.
    grows = operation.name in {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}
    left = taken.pop(0) if grows else _Object()
    left.take([*taken, *parts])
    stack.append(left)
