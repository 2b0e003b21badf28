"""Fills of matrices and convolutions, whole or the part in a shard."""

from __future__ import annotations

import math
from array import array
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from .._core import backend, checks, target, torch_init
from .._core.dtypes import CODES, LARGEST
from .._keys.generators import (
    child_words,
    drawn,
    is_on_device,
    key_of,
    put_back_on_failure,
)
from .constants import CONSTANT, DIRAC, EYE, ZEROS, at_center, center_in, write_value
from .elementwise import ELEMENTWISE, NORMAL
from .fill import COMPLEX, REAL, Fill, too_large
from .householder import serves, write_batch, write_boxes, write_orthogonal
from .lines import Part, lines_of, merged
from .matrices import Window, pieces, whole_columns
from .parts import boxes, integers_of, shard_of, view

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._core.target import Place
    from .._keys.generators import Words
    from .fill import Numbers
    from .lines import Box, Lines
    from .parts import AnyShard


# What the core reads for the key of a fill that draws nothing.
_NO_KEY = array("Q", (0, 0))

_NO_ROOM = torch.empty(0)

# On CUDA, matrices of more rows and columns than this are made one after the other, as they are
# alone; smaller ones at once.
_BATCHED = 256


def _whole(tensor: torch.Tensor) -> Window:
    shape = tuple(tensor.shape)
    return Window(shape, shape, (0,) * len(shape))


def _windows(shard: AnyShard, tensor: torch.Tensor) -> list[tuple[torch.Tensor, Window]]:
    """Each box of the local tensor, a view, with where it lies in the whole."""
    return [
        (view(tensor, box), Window(box.sizes, shard.global_shape, box.offsets))
        for box in boxes(shard, tensor)
    ]


def _write_part(
    core: Any, place: Place, words: Words, gain: float, part: Part, tensor: torch.Tensor
) -> None:
    """Write a part of a matrix: by the core, on CUDA and where that is slow by torch's products."""
    if serves(core, place[4], part.rows, part.columns):
        write_orthogonal(core, place, words, gain, part, tensor)
    else:
        core.orthogonal(*place, *words, *part, gain)


def _zeros(place: Place) -> Callable[[], None]:
    """What writes zeros on the CPU: the core, whose threads go on with what comes next.

    After a fill of torch's its own threads look out for more, and take a core from the next step.
    """
    pointer, code, numel, box, device, _, threads = place
    zeros = backend.loaded.FillList(device, [("constant", pointer, code, numel, box, 0.0)])
    return partial(zeros.run, _NO_KEY.buffer_info()[0], False, 0, threads, 0)


def _thresholds(place: Place, columns: int) -> torch.Tensor:
    """Room for those of so many columns on a CUDA device; on the CPU the core has its own."""
    if place[4] < 0:
        return _NO_ROOM
    return torch.empty(columns, 2, dtype=torch.int64, device=torch.device("cuda", place[4]))


def _in_columns(
    parts: list[tuple[torch.Tensor, Window]],
) -> list[tuple[int, int, list[tuple[int, int, Any]]]]:
    """Boxes of a matrix by their columns, as the core takes them: those that share some together.

    (first column, columns, [(pointer, numel, box), ...]).
    """
    found = []
    for first, end in merged((w.offsets[1], w.offsets[1] + w.shape[1]) for _, w in parts):
        boxes = []
        for tensor, window in parts:
            if first <= window.offsets[1] < end:
                columns = window.global_shape[1]
                index = window.offsets[0] * columns + window.offsets[1]
                box = (window.shape, tensor.stride(), (columns, 1), index)
                boxes.append((tensor.data_ptr(), tensor.numel(), box))
        found.append((first, end - first, boxes))
    return found


class SparseFill(Fill):
    """Normal with zeros in every column of a matrix; numbers: sparsity, std."""

    name = "sparse"
    number_count = 2
    arguments = ("sparsity", "std")
    aten_dtypes = REAL | COMPLEX

    def __init__(self, shard: AnyShard | None = None) -> None:
        self.shard = shard
        self.structure = integers_of(shard)

    def part(self, shard: AnyShard) -> Fill:
        """The same fill of a part of a larger matrix."""
        return SparseFill(shard)

    def structured(self, structure: tuple[int, ...]) -> Fill:
        """The fill of the part that the integers describe."""
        return SparseFill(shard_of(structure)) if structure else self

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """The sparsity is a fraction; std is as in a normal fill."""
        sparsity, std = numbers
        checks.fraction(function, "sparsity", sparsity)
        NORMAL.check(function, code, (0.0, std))
        return False

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """The zeros are the places of the smallest words of each column."""
        sparsity, std = numbers
        rows, columns = tensor.shape if self.shard is None else self.shard.global_shape
        law = rows, columns, math.ceil(sparsity * rows), std
        if self.shard is None:
            thresholds = _thresholds(place, columns)
            self.native(*place, *words, *law, thresholds.data_ptr())
            return
        parts = _windows(self.shard, tensor.detach())
        made = parts
        if place[4] >= 0 and len(parts) > 1:
            # One launch of several may fail: the tensor gets the values of all at the end.
            made = [(torch.empty_like(local), window) for local, window in parts]
        found = _in_columns(made)
        thresholds = _thresholds(place, sum(count for _, count, _ in found))
        where = place[1], *place[4:]
        backend.loaded.sparse_boxes(found, *where, *words, *law, thresholds.data_ptr())
        if made is not parts:
            for (values, _), (local, _) in zip(made, parts, strict=True):
                local.copy_(values)

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

    def __init__(self, batch_dims: int = 0, chunks: int = 1, shard: AnyShard | None = None) -> None:
        self.batch_dims, self.chunks, self.shard = batch_dims, chunks, shard
        self.structure = (batch_dims, chunks, *integers_of(shard))
        self._is_one = batch_dims == 0 and chunks == 1

    def part(self, shard: AnyShard) -> Fill:
        """The same fill of a part of a larger tensor."""
        return OrthogonalFill(self.batch_dims, self.chunks, shard)

    def structured(self, structure: tuple[int, ...]) -> Fill:
        """The fill of the batch, chunks and shard that the integers describe."""
        batch_dims, chunks, *rest = structure
        return OrthogonalFill(batch_dims, chunks, shard_of(tuple(rest)))

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """No element of the matrix is larger than the gain."""
        reach = abs(checks.finite(function, "gain", numbers[0]))
        if reach > LARGEST[code]:
            raise too_large(function, "|gain|", reach, code)
        return False

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """One matrix of the key itself, or several, each of its own child key."""
        shape = tensor.shape if self.shard is None else self.shard.global_shape
        if place[4] < 0 and self.by_products(place[4], shape):
            with put_back_on_failure(words) as kept:
                self._write(place, kept, numbers[0], tensor)
        else:
            self._write(place, words, numbers[0], tensor)

    def by_products(self, device: int, shape: Sequence[int]) -> bool:
        """Whether the matrices of a tensor are made by torch's products, not by the core."""
        return serves(backend.loaded, device, *self._sides(shape))

    def _sides(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of each matrix."""
        first, *others = shape[self.batch_dims :]
        return first // self.chunks, math.prod(others)

    def _write(self, place: Place, words: Words, gain: float, tensor: torch.Tensor) -> None:
        core = backend.loaded
        if self.shard is not None:
            self.write_windows(_windows(self.shard, tensor.detach()), words, gain)
            return
        rows, columns = self._sides(tensor.shape)
        if self._is_one:
            part = Part(rows, columns, 0, rows, 0, columns)
            _write_part(core, place, words, gain, part, tensor)
        elif place[4] < 0 or min(rows, columns) <= _BATCHED or is_on_device(words):
            count = tensor.numel() // (rows * columns)
            write_batch(core, place, words, gain, count, rows, columns, tensor)
        else:
            self.write_windows([(tensor.detach(), _whole(tensor))], words, gain)

    def aten(self, tensor: torch.Tensor, numbers: Numbers, generator: Any) -> None:
        """Fill each matrix, one after the other, as `torch.nn.init.orthogonal_` does."""
        for piece in pieces(_whole(tensor), self.batch_dims, self.chunks):
            matrix = tensor[piece.where]
            values = matrix.contiguous()  # torch's takes no other layout
            torch_init.orthogonal_(values, numbers[0], generator=generator)
            if values is not matrix:
                matrix.copy_(values)

    def write_windows(
        self, parts: list[tuple[torch.Tensor, Window]], words: Words, gain: float
    ) -> None:
        """Write what tensors show of the whole, one matrix of it after the other.

        By the core in one call, which has all memory before it draws.
        """
        tensor, window = parts[0]
        by_products = self.by_products(-1 if tensor.is_cpu else 0, window.global_shape)
        # What fails at one matrix of several leaves the tensors as they were.
        is_apart = by_products and not (self._is_one and len(parts) == 1)
        made = []
        for tensor, window in parts:
            whole = whole_columns(window, self.batch_dims)
            values = tensor
            if is_apart or whole.shape != window.shape:
                values = torch.empty(whole.shape, dtype=tensor.dtype, device=tensor.device)
            made.append((values, whole))
        found: dict[int, list[Box]] = {}
        for values, whole in made:
            for piece in pieces(whole, self.batch_dims, self.chunks):
                boxes = found.setdefault(-1 if self._is_one else piece.number, [])
                boxes.append((piece.part, values[piece.where]))
        if by_products:
            key = None if self._is_one else key_of(words)
            for number, own in found.items():
                child = words if key is None else child_words(key, number)
                place = target.describe(own[0][1])
                write_boxes(backend.loaded, place, child, gain, own)
        else:
            items = [
                _described(number, lines)
                for number, own in found.items()
                for lines in lines_of(own)
            ]
            code, threads = CODES[tensor.dtype], torch.get_num_threads()
            backend.loaded.orthogonal_boxes(items, code, *words, gain, threads)
        for (tensor, window), (values, whole) in zip(parts, made, strict=True):
            if values is not tensor:
                tensor.copy_(values[_inside(window, whole)])


def _described(number: int, lines: Lines) -> tuple[Any, ...]:
    """Boxes of a matrix as the core takes them, of child `number` of the key."""
    part = lines.boxes[0][0]
    ranges = [(first, end - first) for first, end in lines.ranges]
    boxes = [
        (*target.describe(tensor)[:1], *target.describe(tensor)[2:4], *part[2:])
        for part, tensor in lines.boxes
    ]
    return (number, part.rows, part.columns, lines.are_columns, ranges, boxes)


def _inside(window: Window, whole: Window) -> tuple[slice, ...]:
    """Where a window is in one around it."""
    return tuple(
        slice(offset - begin, offset - begin + size)
        for offset, begin, size in zip(window.offsets, whole.offsets, window.shape, strict=True)
    )


class DeltaOrthogonalFill(Fill):
    """An orthogonal matrix at the center of a convolution's kernel; numbers: gain."""

    name = "delta_orthogonal"
    number_count = 1
    arguments = OrthogonalFill.arguments
    aten_dtypes = OrthogonalFill.aten_dtypes
    aten_needs_memory = True

    def __init__(self, shard: AnyShard | None = None) -> None:
        self.shard = shard
        self.structure = integers_of(shard)

    def part(self, shard: AnyShard) -> Fill:
        """The same fill of a part of a larger weight."""
        return DeltaOrthogonalFill(shard)

    def structured(self, structure: tuple[int, ...]) -> Fill:
        """The fill of the part that the integers describe."""
        return DeltaOrthogonalFill(shard_of(structure)) if structure else self

    def check(self, function: str, code: int, numbers: Numbers) -> bool:
        """As in an orthogonal fill."""
        return ORTHOGONAL.check(function, code, numbers)

    def write(self, place: Place, words: Words, numbers: Numbers, tensor: torch.Tensor) -> None:
        """Zeros, then the matrix."""
        parts = self._matrices(tensor.detach())
        if not parts:
            drawn(words)
            write_value(tensor, 0.0)
            return
        if ORTHOGONAL.by_products(place[4], parts[0][1].global_shape):
            # Nothing is written before the matrix is there.
            made = [(torch.empty_like(matrix), window) for matrix, window in parts]
            with put_back_on_failure(words) as kept:
                ORTHOGONAL.write_windows(made, kept, numbers[0])
            write_value(tensor, 0.0)
            for (values, _), (matrix, _) in zip(made, parts, strict=True):
                matrix.copy_(values)
            return
        write_zeros = _zeros(place)

        def draw() -> tuple[int, int]:  # the core calls it when it has all it needs
            key: tuple[int, int] = backend.loaded.drawn(*words)
            write_zeros()
            return key

        ORTHOGONAL.write_windows(parts, (draw, 0, 0), numbers[0])

    def _matrices(self, tensor: torch.Tensor) -> list[tuple[torch.Tensor, Window]]:
        """What the tensor holds of the matrix at the center, views; each box its own."""
        if self.shard is None:
            matrix = at_center(tensor)
            return [(matrix, _whole(matrix))]
        shape = self.shard.global_shape
        found = ((center_in(tensor, box, shape), box) for box in boxes(self.shard, tensor))
        return [
            (matrix, Window(box.sizes[:2], shape[:2], box.offsets[:2]))
            for matrix, box in found
            if matrix is not None
        ]

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
    fill.name: fill
    for fill in (
        *ELEMENTWISE,
        SPARSE,
        ORTHOGONAL,
        DELTA_ORTHOGONAL,
        CONSTANT,
        ZEROS,
        EYE,
        DIRAC,
    )
}
"""Every fill, by the name that an operator gives."""
