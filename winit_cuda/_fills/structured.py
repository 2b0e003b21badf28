"""Fills of matrices and convolutions, whole or the part in a shard."""

from __future__ import annotations

import math
from array import array
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from .._core import backend, checks, target, torch_init
from .._core.dtypes import LARGEST
from .._distributed.shard import Shard
from .._keys.generators import child_words, is_on_device, key_of
from .constants import at_center, write_value
from .elementwise import ELEMENTWISE, NORMAL
from .fill import COMPLEX, REAL, Fill, too_large
from .householder import Part, write_batch, write_orthogonal
from .matrices import Box, pieces, whole_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core.target import Place
    from .._keys.generators import Words
    from .fill import Numbers


# What the core reads for the key of a fill that draws nothing.
_NO_KEY = array("Q", (0, 0))

# On CUDA, matrices of more rows and columns than this are made one after the other, as they are
# alone; smaller ones at once.
_BATCHED = 256


def _whole(tensor: torch.Tensor) -> Box:
    shape = tuple(tensor.shape)
    return Box(shape, shape, (0,) * len(shape))


def _integers(shard: Shard | None) -> tuple[int, ...]:
    return () if shard is None else (*shard.global_shape, *shard.offsets)


def _shard(integers: tuple[int, ...]) -> Shard | None:
    rank = len(integers) // 2
    return Shard(integers[:rank], integers[rank:]) if integers else None


def _write_part(
    core: Any, place: Place, words: Words, gain: float, part: Part, tensor: torch.Tensor
) -> None:
    """Write a part of a matrix: on the CPU by the core, on CUDA by products of torch."""
    if place[4] < 0:
        core.orthogonal(*place, *words, *part, gain)
    else:
        write_orthogonal(core, place, words, gain, part, tensor)


def _zeros(place: Place) -> Callable[[], None]:
    """What writes zeros on the CPU: the core, whose threads go on with what comes next.

    After a fill of torch's its own threads look out for more, and take a core from the next step.
    """
    pointer, code, numel, box, device, _, threads = place
    zeros = backend.loaded.FillList(device, [("constant", pointer, code, numel, box, 0.0)])
    return partial(zeros.run, _NO_KEY.buffer_info()[0], False, 0, threads, 0)


class SparseFill(Fill):
    """Normal with zeros in every column of a matrix; numbers: sparsity, std."""

    name = "sparse"
    number_count = 2
    arguments = ("sparsity", "std")
    aten_dtypes = REAL | COMPLEX

    def __init__(self, shard: Shard | None = None) -> None:
        self.shard = shard
        self.structure = _integers(shard)

    def structured(self, structure: tuple[int, ...]) -> Fill:
        """The fill of the shard that the integers describe."""
        return SparseFill(_shard(structure)) if structure else self

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The sparsity is a fraction; std is as in a normal fill."""
        sparsity, std = numbers
        checks.fraction(function, "sparsity", sparsity)
        NORMAL.check(function, code, (0.0, std))
        return False

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """The zeros are the places of the smallest words of each column."""
        sparsity, std = numbers
        rows, columns = tensor.shape
        if self.shard is not None:
            rows, columns = self.shard.global_shape
            first_row, first_column = self.shard.offsets
            first = first_row * columns + first_column
            box = (tuple(tensor.shape), tensor.stride(), (columns, 1), first)
            place = (*place[:3], box, *place[4:])
        zeros = math.ceil(sparsity * rows)
        # A threshold of 16 bytes for each column that is written.
        thresholds = torch.empty(tensor.shape[1], 2, dtype=torch.int64, device=tensor.device)
        self.native(*place, *words, rows, columns, zeros, std, thresholds.data_ptr())

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill as `torch.nn.init.sparse_` does."""
        sparsity, std = numbers
        torch_init.sparse_(tensor, sparsity, std, generator=generator)


class OrthogonalFill(Fill):
    """Orthonormal rows or columns, of one matrix or of each of several; numbers: gain."""

    name = "orthogonal"
    number_count = 1
    arguments = ("gain",)
    aten_dtypes = frozenset({torch.float32, torch.float64})
    aten_needs_memory = True

    def __init__(self, batch_dims: int = 0, chunks: int = 1, shard: Shard | None = None) -> None:
        self.batch_dims, self.chunks, self.shard = batch_dims, chunks, shard
        self.structure = (batch_dims, chunks, *_integers(shard))
        self._is_one = batch_dims == 0 and chunks == 1

    def structured(self, structure: tuple[int, ...]) -> Fill:
        """The fill of the batch, chunks and shard that the integers describe."""
        batch_dims, chunks, *rest = structure
        return OrthogonalFill(batch_dims, chunks, _shard(tuple(rest)))

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """No element of the matrix is larger than the gain."""
        reach = abs(checks.finite(function, "gain", numbers[0]))
        if reach > LARGEST[code]:
            raise too_large(function, "|gain|", reach, code)
        return False

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """One matrix of the key itself, or several, each of its own child key."""
        core, gain = backend.loaded, numbers[0]
        if self.shard is not None:
            box = Box(tuple(tensor.shape), self.shard.global_shape, self.shard.offsets)
            self._write_box(box, words, gain, tensor.detach())
            return
        shape = tensor.shape[self.batch_dims :]
        rows, columns = shape[0] // self.chunks, math.prod(shape[1:])
        if self._is_one:
            part = Part(rows, columns, 0, rows, 0, columns)
            _write_part(core, place, words, gain, part, tensor)
        elif place[4] < 0 or min(rows, columns) <= _BATCHED or is_on_device(words):
            count = tensor.numel() // (rows * columns)
            write_batch(core, place, words, gain, count, rows, columns, tensor)
        else:
            self._write_pieces(_whole(tensor), words, gain, tensor.detach())

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill each matrix, one after the other, as `torch.nn.init.orthogonal_` does."""
        for piece in pieces(_whole(tensor), self.batch_dims, self.chunks):
            matrix = tensor[piece.where]
            values = matrix.contiguous()  # torch's takes no other layout
            torch_init.orthogonal_(values, numbers[0], generator=generator)
            if values is not matrix:
                matrix.copy_(values)

    def _write_box(self, box: Box, words: Words, gain: float, tensor: torch.Tensor) -> None:
        whole = whole_columns(box, self.batch_dims)
        if whole.shape == box.shape:
            self._write_pieces(box, words, gain, tensor)
            return
        values = torch.empty(whole.shape, dtype=tensor.dtype, device=tensor.device)
        self._write_pieces(whole, words, gain, values)
        inside = tuple(
            slice(offset - begin, offset - begin + size)
            for offset, begin, size in zip(box.offsets, whole.offsets, box.shape, strict=True)
        )
        with torch.no_grad():
            tensor.copy_(values[inside])

    def _write_pieces(self, box: Box, words: Words, gain: float, tensor: torch.Tensor) -> None:
        """One matrix, or what the box holds of it, after the other."""
        if tensor.is_cpu:  # in one call, which has all memory before it draws
            items = [
                (
                    *target.describe(tensor[piece.where])[:4],
                    -1 if self._is_one else piece.number,
                    *piece.part,
                )
                for piece in pieces(box, self.batch_dims, self.chunks)
            ]
            backend.loaded.orthogonal_pieces(items, *words, gain, torch.get_num_threads())
            return
        key = None if self._is_one else key_of(words)
        # What fails at one of several leaves the tensor as it was: it gets them all at the end.
        values = tensor if self._is_one else torch.empty_like(tensor)
        for piece in pieces(box, self.batch_dims, self.chunks):
            matrix = values[piece.where]
            own = words if key is None else child_words(key, piece.number)
            _write_part(backend.loaded, target.describe(matrix), own, gain, piece.part, matrix)
        if values is not tensor:
            tensor.copy_(values)


class DeltaOrthogonalFill(Fill):
    """An orthogonal matrix at the center of a convolution's kernel; numbers: gain."""

    name = "delta_orthogonal"
    number_count = 1
    arguments = OrthogonalFill.arguments
    aten_dtypes = OrthogonalFill.aten_dtypes
    aten_needs_memory = True

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """As in an orthogonal fill."""
        return ORTHOGONAL.check(function, code, numbers)

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """Zeros, then the matrix."""
        matrix = at_center(tensor.detach())
        if place[4] >= 0:  # nothing is written before the matrix is there
            values = torch.empty(matrix.shape, dtype=tensor.dtype, device=tensor.device)
            ORTHOGONAL.write(target.describe(values), words, numbers, values)
            write_value(tensor, 0.0)
            matrix.copy_(values)
            return
        write_zeros = _zeros(place)

        def draw() -> tuple[int, int]:  # the core calls it when it has all it needs
            key: tuple[int, int] = backend.loaded.drawn(*words)
            write_zeros()
            return key

        ORTHOGONAL.write(target.describe(matrix), (draw, 0, 0), numbers, matrix)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Put the matrix of `torch.nn.init.orthogonal_` at the center."""
        matrix = torch.empty(tensor.shape[:2], dtype=tensor.dtype, device=tensor.device)
        torch_init.orthogonal_(matrix, numbers[0], generator=generator)
        with torch.no_grad():
            tensor.zero_()
            at_center(tensor).copy_(matrix)


SPARSE = SparseFill()
ORTHOGONAL = OrthogonalFill()
DELTA_ORTHOGONAL = DeltaOrthogonalFill()

FILLS: dict[str, Fill] = {
    fill.name: fill for fill in (*ELEMENTWISE, SPARSE, ORTHOGONAL, DELTA_ORTHOGONAL)
}
"""Every random fill, by the name that an operator gives."""
