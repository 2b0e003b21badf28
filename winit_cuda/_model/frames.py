"""What the stack tells of an operator: the user's line, and which of torch.nn.init called it."""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .._core.torch_init import CODES
from .log import Line

if TYPE_CHECKING:
    from types import FrameType

# Those that are made of many operators, some of which need values.
_WHOLE = ("trunc_normal_", "orthogonal_", "sparse_", "dirac_", "eye_")
_NUMBERS = ("mean", "std", "a", "b", "gain", "sparsity", "groups")
# Those that are one operator with numbers found from the shape.
_SCHEMES = {
    "kaiming_uniform_": ("a", "mode", "nonlinearity"),
    "kaiming_normal_": ("a", "mode", "nonlinearity"),
    "xavier_uniform_": ("gain",),
    "xavier_normal_": ("gain",),
}
_WHOLE_CODES = {CODES[name]: name for name in _WHOLE}
if "_no_grad_trunc_normal_" in CODES:  # which libraries call, too
    _WHOLE_CODES[CODES["_no_grad_trunc_normal_"]] = "trunc_normal_"
_SCHEME_CODES = {CODES[name]: name for name in _SCHEMES}
_LIBRARIES = (
    *(str(Path(file).parent) + "/" for file in (torch.__file__, str(Path(__file__).parent))),
    copy.__file__,
    contextlib.__file__,
    functools.__file__,
    str(Path(torch.__file__).parents[1] / "typing_extensions.py"),
)


def stack() -> tuple[Line | None, FrameType | None, FrameType | None]:
    """The user's line, and the function of torch.nn.init that is known as a whole, or a scheme.

    The line is the one that calls the function: code of the user's may lie within it, too, such as
    a mode, or what stands in the place of a method of torch's.
    """
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001
    whole = scheme = line = None
    while frame is not None:
        code = frame.f_code
        if code in _WHOLE_CODES:
            whole, line = frame, None
        elif code in _SCHEME_CODES:
            scheme, line = frame, None
        elif line is None and not _is_library(code.co_filename):
            line = Line(code.co_filename, frame.f_lineno, code.co_name)
        frame = frame.f_back
    return line, whole, scheme


@functools.cache
def _is_library(file: str) -> bool:
    return file.startswith(_LIBRARIES)


def whole_call(frame: FrameType) -> tuple[str, Any, dict[str, Any]]:
    """The name of a function that is known as a whole, its tensor and its numbers."""
    given = frame.f_locals
    numbers = {name: given[name] for name in _NUMBERS if name in given}
    return _WHOLE_CODES[frame.f_code], given["tensor"], numbers


def scheme_call(frame: FrameType | None) -> tuple[str, dict[str, Any]] | None:
    """The name of a scheme and its arguments."""
    if frame is None:
        return None
    name = _SCHEME_CODES[frame.f_code]
    return name, {argument: frame.f_locals[argument] for argument in _SCHEMES[name]}


def described(error: Exception) -> str:
    """An error, with the line of the user's code that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    where = own[-1] if own else frames[-1]
    return f"at {where.filename}:{where.lineno} in {where.name}: {type(error).__name__}: {error}"
