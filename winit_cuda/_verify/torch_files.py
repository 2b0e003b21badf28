"""Files of `torch.save`: mapped into memory, and unpickled with `weights_only` alone."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from .files import damaged, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def opened(path: Path) -> Iterator[Mapping[str, Any]]:
    """The tensors of a file by name.

    Raises:
        ValueError: It is no such file, or holds more than tensors and plain data.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise refused(path, error) from error
    except Exception as error:  # there are as many as there are ways to damage a file
        reason = "no file of torch.save in its format since torch 1.6"
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise damaged(path, f"{reason} ({first_line})") from error
    if not isinstance(loaded, Mapping):
        raise damaged(path, f"holds a {type(loaded).__name__}, not a state dict")
    yield loaded
