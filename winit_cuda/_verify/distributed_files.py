"""Distributed checkpoints: a folder with metadata and, in its files, each chunk of each tensor.

One chunk is in memory at a time. Each is a file of `torch.save` inside of another file, and is
unpickled with `weights_only`.
"""

from __future__ import annotations

import io
import pickle
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from .files import damaged, refused
from .metadata import saved_tensors
from .stored import Part, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .metadata import Chunk


@contextmanager
def opened(path: Path) -> Iterator[dict[str, Stored]]:
    """The tensors of a folder by name.

    Raises:
        ValueError: It is damaged, or holds more than tensors.
    """
    reader = _Reader()
    cpu = torch.device("cpu")
    yield {
        name: Stored(
            saved.shape,
            saved.dtype,
            cpu,
            tuple(
                Part(chunk.box.offsets, chunk.box.sizes, partial(reader.read, chunk, saved.dtype))
                for chunk in saved.chunks
            ),
        )
        for name, saved in saved_tensors(path / ".metadata").items()
    }


class _Reader:
    """The chunk that was asked for last."""

    def __init__(self) -> None:
        self._chunk: Chunk | None = None
        self._values = torch.empty(0)

    def read(self, chunk: Chunk, dtype: torch.dtype, where: tuple[slice, ...]) -> torch.Tensor:
        """What a chunk has between these indices."""
        if chunk is not self._chunk:
            self._values = torch.empty(0)  # before there is another one
            self._values = _loaded(chunk, dtype)
            self._chunk = chunk
        return self._values[where]


def _loaded(chunk: Chunk, dtype: torch.dtype) -> torch.Tensor:
    try:
        with chunk.file.open("rb") as file:
            inner: Any = _Slice(file, chunk.offset, chunk.length)
            values = torch.load(inner, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise refused(chunk.file, error) from error
    except OSError:
        raise
    except Exception as error:  # there are as many as there are ways to damage a file
        raise damaged(chunk.file, f"no tensor at {chunk.offset} ({error!r})") from error
    if not isinstance(values, torch.Tensor):
        raise damaged(chunk.file, f"a {type(values).__name__} at {chunk.offset}, no tensor")
    if tuple(values.shape) != chunk.box.sizes or values.dtype is not dtype:
        reason = f"{tuple(values.shape)}, {values.dtype} at {chunk.offset}"
        raise damaged(chunk.file, f"{reason}, where the metadata has {chunk.box.sizes}, {dtype}")
    return values.detach()


class _Slice(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, file: Any, offset: int, length: int) -> None:
        self._file, self._offset = file, offset
        self._length = max(0, min(length, file.seek(0, io.SEEK_END) - offset))
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        start = (0, self._position, self._length)[whence]
        self._position = max(0, start + position)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, memory: Any) -> int:
        room = min(len(memory), max(0, self._length - self._position))
        self._file.seek(self._offset + self._position)
        count: int = self._file.readinto(memoryview(memory)[:room])
        self._position += count
        return count
