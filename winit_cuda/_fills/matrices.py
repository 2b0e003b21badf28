"""The matrices that a tensor is made of: a batch of them, chunks of rows, the part in a shard.

The leading `batch_dims` dimensions number matrices in row-major order. The next one is the rows,
cut into `chunks` matrices of as many rows each; all others are the columns, flattened. Each matrix
of several is by itself, with a key of its own.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

from .lines import Part

if TYPE_CHECKING:
    from collections.abc import Iterator


class Window(NamedTuple):
    """What a tensor of `shape` shows at `offsets` of one of `global_shape`."""

    shape: tuple[int, ...]
    global_shape: tuple[int, ...]
    offsets: tuple[int, ...]


class Piece(NamedTuple):
    """What a window shows of one matrix."""

    number: int
    """Of the matrix in the whole tensor, batch and chunk together."""
    where: tuple[int | slice, ...]
    """Where in the tensor."""
    part: Part


def pieces(window: Window, batch_dims: int, chunks: int) -> Iterator[Piece]:
    """Every matrix that the window, which has elements, meets, with the part of it inside.

    The window is whole in the dimensions that are flattened, beyond the first of the columns.
    """
    sizes, offsets = window.global_shape, window.offsets
    rows = sizes[batch_dims] // chunks
    columns = math.prod(sizes[batch_dims + 1 :])
    step = math.prod(sizes[batch_dims + 2 :])
    first_column = offsets[batch_dims + 1] * step
    column_count = window.shape[batch_dims + 1] * step
    begin = offsets[batch_dims]
    end = begin + window.shape[batch_dims]
    for index in itertools.product(*map(range, window.shape[:batch_dims])):
        number = 0
        for local, offset, size in zip(index, offsets, sizes, strict=False):
            number = number * size + offset + local
        for chunk in range(begin // rows, (end - 1) // rows + 1):
            first, last = max(begin, chunk * rows), min(end, (chunk + 1) * rows)
            part = Part(
                rows, columns, first - chunk * rows, last - first, first_column, column_count
            )
            where: tuple[int | slice, ...] = (*index, slice(first - begin, last - begin))
            yield Piece(number * chunks + chunk, where, part)


def whole_columns(window: Window, batch_dims: int) -> Window:
    """The window extended to all of the dimensions that are flattened, but for the first."""
    kept = batch_dims + 2
    return Window(
        window.shape[:kept] + window.global_shape[kept:],
        window.global_shape,
        window.offsets[:kept] + (0,) * (len(window.offsets) - kept),
    )
