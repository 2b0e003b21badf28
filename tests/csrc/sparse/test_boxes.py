"""Several boxes of a sparse matrix in one call: those in the same columns share a selection."""

from __future__ import annotations

import time

import pytest
import torch

from core import _C, CODES, CPU, box_of, every_dtype, everywhere, sparse, sparse_boxes

# Of a matrix of 91 x 150, whose rows begin anywhere in a block: (first column, columns, boxes).
# Boxes are (first row, rows, first column, columns).
PARTS = [
    (3, 40, [(0, 9, 3, 40), (30, 61, 3, 40), (17, 1, 3, 40)]),
    (50, 70, [(5, 20, 50, 30), (40, 7, 60, 60), (26, 3, 119, 1)]),
    (140, 10, [(0, 91, 140, 10)]),
]
# And of one of 91 x 152: each box is as wide as its part, and begins with a block.
ALIGNED = [
    (4, 68, [(0, 9, 4, 68), (30, 61, 4, 68), (17, 1, 4, 68)]),
    (128, 24, [(5, 20, 128, 24), (88, 3, 128, 24)]),
]


def written(parts, shape, zeros, dtype, place=CPU, threads=2, turned=False):
    """Each box as it was written, with its place in the matrix."""
    views, places, given = [], [], []
    for first, count, boxes in parts:
        own = []
        for row, rows, column, columns in boxes:
            own.append((len(views), row, column))
            view = torch.full((columns, rows) if turned else (rows, columns), 7.0).to(dtype)
            views.append(view.t() if turned else view)
            places.append((slice(row, row + rows), slice(column, column + columns)))
        given.append((first, count, own))
    sparse_boxes(views, given, zeros, shape, place=place, threads=threads)
    return zip(views, places, strict=True)


def agree(found, whole):
    return all(torch.equal(view.double(), whole[place].double()) for view, place in found)


@everywhere
@pytest.mark.parametrize("zeros", [0, 1, 37, 91])
@pytest.mark.parametrize(
    ("columns", "parts"), [(150, PARTS), (152, ALIGNED)], ids=["any", "aligned"]
)
def test_boxes_have_the_values_of_the_whole(columns, parts, zeros, place):
    whole = sparse(torch.empty(91, columns), zeros, 1.0)
    assert agree(written(parts, (91, columns), zeros, torch.float32, place), whole)
    assert agree(written(parts, (91, columns), zeros, torch.float32, place, turned=True), whole)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads(threads):
    """With so many parts each of them is one thread's work, with few it is shared."""
    shape = (3000, 128)
    whole = sparse(torch.empty(shape), 700, 1.0)
    for width in (8, 64):
        parts = [
            (column, width, [(1, 99, column, width), (2000, 50, column, width)])
            for column in range(0, 128, width)
        ]
        assert agree(written(parts, shape, 700, torch.float32, threads=threads), whole)


@every_dtype
def test_boxes_in_every_dtype(dtype):
    for columns, parts in ((150, PARTS), (152, ALIGNED)):
        whole = sparse(torch.empty(91, columns, dtype=dtype), 30, 1.0)
        assert agree(written(parts, (91, columns), 30, dtype, threads=3), whole)


def test_many_boxes_take_little_more_than_one():
    """Made each by itself, 64 of them take 20 times as long."""
    shape = (1024, 1024)
    times = {}
    for boxes in (1, 64):
        rows = [(1024 // boxes * i, 1, 0, 1024) for i in range(boxes)]
        rounds = []
        for _ in range(5):
            begin = time.process_time()
            written([(0, 1024, rows)], shape, 500, torch.float32, threads=1)
            rounds.append(time.process_time() - begin)
        times[boxes] = min(rounds)
    assert times[64] < 5 * times[1]


def test_parts_that_are_none():
    where = (CODES[torch.float32], -1, 0, 2, pytest.fail, 0, 0)
    law = (5, 4, 2, 1.0, 0)
    _C.sparse_boxes([], *where, *law)
    view = torch.ones(2, 3)
    box = (view.data_ptr(), 6, box_of(view, (5, 4), (1, 1)))
    empty = (view.data_ptr(), 0, ((0, 3), (3, 1), (4, 1), 0))
    for wrong, message in (
        ((1, 2), "a part is a tuple of 3"),
        ((1, 3, box), "in lists"),
        ((1, 3, [box[:2]]), "a box is a tuple of 3"),
        ((1, 3, [empty]), "boxes of a matrix that have elements"),
        ((1, 4, [box]), r"columns of the part must be in \[0, 4\)"),
        ((-1, 4, [box]), r"columns of the part must be in \[0, 4\)"),
        ((2, 2, [box]), "a box has other columns"),
        ((0, 3, [box]), "a box has other columns"),
    ):
        with pytest.raises(ValueError, match=message):
            _C.sparse_boxes([wrong], *where, *law)
    with pytest.raises(ValueError, match="zeros_per_column"):
        _C.sparse_boxes([(1, 3, [box])], *where, 5, 4, 6, 1.0, 0)
    assert (view == 1).all()
