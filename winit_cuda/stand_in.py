"""What the core does not do yet: a part of an orthogonal matrix, and a batch of them.

A part is cut out of the whole matrix, a batch is a loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from . import target
from .generators import child_words, key_of
from .householder import write_orthogonal

if TYPE_CHECKING:
    from .generators import Words
    from .target import Place

# Up to this many multiplications (rows * columns * the smaller of them) the core is done before
# BLAS has been called: 32 x 32.
_SMALL_ORTHOGONAL = 2**15


class Part(NamedTuple):
    """The box of a rows x columns matrix that a tensor holds, the tensor's elements row-major."""

    rows: int
    columns: int
    first_row: int
    row_count: int
    first_column: int
    column_count: int


def write_part(
    core: Any, place: Place, words: Words, gain: float, part: Part, tensor: torch.Tensor
) -> None:
    """Write the part of gain times the (semi-)orthogonal matrix of the key."""
    rows, columns, row, row_count, column, column_count = part
    if place[4] < 0:
        core.orthogonal(*place, *words, *part, gain)
        return
    if (row_count, column_count) != (rows, columns):
        whole = torch.empty(rows, columns, dtype=tensor.dtype, device=tensor.device)
        everything = Part(rows, columns, 0, rows, 0, columns)
        write_part(core, target.describe(whole), words, gain, everything, whole)
        inside = whole[row : row + row_count, column : column + column_count]
        with torch.no_grad():
            tensor.copy_(inside.reshape(tensor.shape))
    else:
        write_orthogonal(core.reflectors, place, words, gain, tensor)


def write_batch(
    core: Any,
    place: Place,  # noqa: ARG001  (the core's batch starts with it)
    words: Words,
    gain: float,
    count: int,
    rows: int,
    columns: int,
    tensor: torch.Tensor,
) -> None:
    """Write `count` matrices one behind the other, matrix j from the child key fold_in(key, j)."""
    if place[4] < 0:
        core.orthogonal_batch(*place, *words, count, rows, columns, gain, 0)
        return
    key = key_of(words)
    part = Part(rows, columns, 0, rows, 0, columns)
    matrices = torch.empty(count, rows, columns, dtype=tensor.dtype, device=tensor.device)
    for j, matrix in enumerate(matrices):
        write_part(core, target.describe(matrix), child_words(key, j), gain, part, matrix)
    with torch.no_grad():
        tensor.copy_(matrices.view(tensor.shape))
