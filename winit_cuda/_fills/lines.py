"""Boxes of a matrix that are made together, as columns or rows of it.

A column or row of an orthogonal matrix costs a pass over its reflectors, whatever part of it is
wanted. So boxes that share columns, or rows, are made as these, and all of them meet the reflectors
at once. Where a mesh gives a rank some rows of some columns, the fewer are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch


class Part(NamedTuple):
    """Rows [first_row, first_row + row_count) and such columns of a rows x columns matrix."""

    rows: int
    columns: int
    first_row: int
    row_count: int
    first_column: int
    column_count: int

    @classmethod
    def whole(cls, rows: int, columns: int) -> Part:
        """All of the matrix."""
        return cls(rows, columns, 0, rows, 0, columns)

    def transposed(self) -> Part:
        """The same entries of the transposed matrix."""
        rows, columns, first_row, row_count, first_column, column_count = self
        return Part(columns, rows, first_column, column_count, first_row, row_count)

    @property
    def reflector_count(self) -> int:
        """How many reflectors decide a part of a tall matrix: column c takes the first c + 1."""
        return self.first_column + self.column_count

    def lines(self, are_columns: bool) -> tuple[int, int]:
        """Its columns or rows, the first and the one behind the last."""
        if are_columns:
            return self.first_column, self.first_column + self.column_count
        return self.first_row, self.first_row + self.row_count

    def cut(self, are_columns: bool, first: int, end: int) -> Part:
        """What it has of the columns or rows [first, end)."""
        if are_columns:
            return self._replace(first_column=first, column_count=end - first)
        return self._replace(first_row=first, row_count=end - first)


Box = tuple[Part, "torch.Tensor"]
"""A part of a matrix, and the tensor that it is written to."""


class Lines(NamedTuple):
    """Boxes of one matrix, and the lines that are made for them."""

    are_columns: bool
    ranges: Sequence[tuple[int, int]]
    """Of lines, (first, end), in ascending order; the lines of each box are in one of them."""
    boxes: Sequence[Box]

    @property
    def total(self) -> int:
        """How many lines there are."""
        return sum(end - first for first, end in self.ranges)

    def numbered(self) -> Iterator[tuple[int, int, int]]:
        """Each range, with the number of its first line among all of them: (number, first, end)."""
        number = 0
        for first, end in self.ranges:
            yield number, first, end
            number += end - first

    def number(self, line: int) -> int:
        """The number of a line, or of the next one that is there."""
        return sum(min(end, line) - first for first, end in self.ranges if first < line)

    def transposed(self) -> Lines:
        """The same boxes of the transposed matrix, their tensors turned."""
        turned = [(part.transposed(), tensor.t()) for part, tensor in self.boxes]
        return Lines(not self.are_columns, self.ranges, turned)

    def stretches(self, most: int) -> Iterator[Lines]:
        """At most so many lines at a time, with what the boxes have of them."""
        if self.total <= most:
            yield self
            return
        taken: list[tuple[int, int]] = []
        room = most
        for first, end in self.ranges:
            begin = first
            while begin < end:
                until = min(begin + room, end)
                taken.append((begin, until))
                room -= until - begin
                begin = until
                if not room:
                    yield Lines(self.are_columns, taken, list(self._within(taken)))
                    taken, room = [], most
        if taken:
            yield Lines(self.are_columns, taken, list(self._within(taken)))

    def _within(self, ranges: list[tuple[int, int]]) -> Iterator[Box]:
        for part, tensor in self.boxes:
            own, behind = part.lines(self.are_columns)
            for begin, until in ranges:
                first, end = max(own, begin), min(behind, until)
                if first < end:
                    cut = tensor.narrow(int(self.are_columns), first - own, end - first)
                    yield part.cut(self.are_columns, first, end), cut


def merged(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The intervals of (first, end), none empty, in order, with those that overlap made one.

    Each of them lies in one of the result.
    """
    found: list[tuple[int, int]] = []
    for first, end in sorted(intervals):
        if found and first < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return found


def lines_of(boxes: Sequence[Box]) -> list[Lines]:
    """The boxes of one matrix, none empty, made of as few lines as can be.

    All as columns or all as rows, or each as what it has fewer of.
    """
    prefers_columns = boxes[0][0].rows >= boxes[0][0].columns
    ways = [[_lines(boxes, prefers_columns)], [_lines(boxes, not prefers_columns)]]
    split: tuple[list[Box], list[Box]] = [], []
    for box in boxes:
        rows, columns = box[0].row_count, box[0].column_count
        split[rows < columns or (rows == columns and not prefers_columns)].append(box)
    if all(split):
        ways.append([_lines(split[0], True), _lines(split[1], False)])
    return min(ways, key=lambda way: sum(lines.total for lines in way))


def _lines(boxes: Sequence[Box], are_columns: bool) -> Lines:
    return Lines(are_columns, merged(part.lines(are_columns) for part, _ in boxes), boxes)
