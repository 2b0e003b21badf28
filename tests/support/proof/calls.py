"""The call of a case: the same for the whole tensor and for what a rank has of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

import winit_cuda as winit

if TYPE_CHECKING:
    from .cases import Case

BEFORE = 7.0
"""What a tensor has before it is filled."""

Error = tuple[str, str]
"""The type and the message."""


class Whole(NamedTuple):
    """What one process has."""

    tensor: torch.Tensor
    error: Error | None
    state: bytes
    """That of the generator, afterwards."""


def fill_whole(case: Case) -> Whole:
    """Fill the whole tensor of a case, in this process."""
    options, generator = source(case)
    tensor = blank(case.shape, case.dtype)
    error = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tensors without elements
        try:
            fill(case, tensor, **options)
        except Exception as raised:
            error = described(raised)
    return Whole(tensor, error, bytes_of(generator.get_state()))


def fill(case: Case, tensor: torch.Tensor, **options: Any) -> torch.Tensor:
    """Call the initializer of a case."""
    initializer = getattr(winit, case.initializer)
    if case.is_function:
        return initializer(tensor, **case.arguments, **options)
    return initializer(**case.arguments)(tensor, **options)


def source(case: Case) -> tuple[dict[str, Any], torch.Generator]:
    """What the initializer gets to draw from, and the generator to look at afterwards."""
    torch.manual_seed(case.seed + case.number)
    if case.source == "manual_seed" or not case.is_random:
        return {}, torch.default_generator
    if case.source == "key":
        key = winit.fold_in(winit.key(case.seed), case.number)
        return {"key": key}, torch.default_generator
    generator = torch.Generator().manual_seed(case.number)
    return {"generator": generator}, generator


def described(error: Exception) -> Error:
    return type(error).__name__, str(error)


def blank(shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    """A tensor to fill; float8 cannot be made at once."""
    return torch.full(shape, BEFORE).to(getattr(torch, dtype))


def bytes_of(tensor: torch.Tensor) -> bytes:
    """The elements in row-major order."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()
