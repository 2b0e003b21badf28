"""Several boxes of an orthogonal matrix in one call: they meet the reflectors once."""

from __future__ import annotations

import time

import pytest
import torch

from core import _C, CODES, KEY, box_of, every_dtype, orthogonal, same_bits
from reference import Key
from winit_cuda._keys.keys import Key as PublicKey
from winit_cuda._keys.keys import fold_in

# Boxes are (first row, rows, first column, columns), of matrices of 131 x 90. Strips hold 32
# columns of float32: ranges end within them, and some are within one.
COLUMNS = (
    [(3, 5), (8, 60), (80, 10)],
    [(0, 131, 3, 5), (5, 9, 8, 60), (60, 71, 9, 30), (130, 1, 80, 10), (2, 3, 81, 2)],
)
ROWS = (
    [(0, 1), (30, 70), (120, 11)],
    [(0, 1, 0, 90), (30, 70, 5, 40), (31, 1, 60, 2), (95, 5, 88, 2), (120, 11, 33, 3)],
)


def write(shape, ways, dtype=torch.float32, gain=1.5, child=-1, threads=2, turned=False):
    """Each box as it was written, with its place in the matrix."""
    views, matrices = [], []
    for are_columns, (ranges, boxes) in ways:
        own = []
        for row, rows, column, columns in boxes:
            memory = torch.full((columns, rows) if turned else (rows, columns), 7.0).to(dtype)
            view = memory.t() if turned else memory
            views.append((view, (slice(row, row + rows), slice(column, column + columns))))
            box = (view.data_ptr(), view.numel(), box_of(view))
            own.append((*box, row, rows, column, columns))
        matrices.append((child, *shape, are_columns, ranges, own))
    _C.orthogonal_boxes(matrices, CODES[dtype], 0, *KEY, gain, threads)
    return views


def turned_about(ways):
    """The same of the transposed matrix."""
    return [
        (not are_columns, (ranges, [(*box[2:], *box[:2]) for box in boxes]))
        for are_columns, (ranges, boxes) in ways
    ]


BOTH = [(True, COLUMNS), (False, ROWS)]


@every_dtype
def test_boxes_have_the_values_of_the_whole(dtype):
    whole = orthogonal(torch.empty(131, 90, dtype=dtype), 1.5)
    tolerance = {torch.float64: 1e-14}.get(dtype, max(1e-6, torch.finfo(dtype).eps))
    for turned in (False, True):
        for view, place in write((131, 90), BOTH, dtype, turned=turned):
            found, expected = view.double(), whole[place].double()
            assert torch.allclose(found, expected, rtol=0, atol=tolerance)


def test_boxes_of_a_wide_matrix():
    whole = orthogonal(torch.empty(90, 131, dtype=torch.float64), 1.5)
    for view, place in write((90, 131), turned_about(BOTH), torch.float64):
        assert torch.allclose(view, whole[place], rtol=0, atol=1e-14)


def test_boxes_of_a_small_matrix():
    whole = orthogonal(torch.empty(9, 7), 1.5)
    boxes = [(0, 9, 2, 1), (4, 2, 1, 2), (7, 2, 5, 2)]
    for view, place in write((9, 7), [(True, ([(1, 2), (5, 2)], boxes))]):
        assert same_bits(view, whole[place])


@pytest.mark.parametrize("ways", [BOTH, turned_about(BOTH)], ids=["tall", "wide"])
def test_any_number_of_threads(ways):
    shape = (131, 90) if ways is BOTH else (90, 131)
    expected = write(shape, ways, threads=1)
    for threads in (2, 5):
        found = write(shape, ways, threads=threads)
        assert all(same_bits(a, b) for (a, _), (b, _) in zip(found, expected, strict=True))


def test_boxes_of_a_child():
    child = fold_in(PublicKey(*KEY), 5)
    whole = orthogonal(torch.empty(131, 90), 1.5, key=Key(child.seed, child.stream))
    for view, place in write((131, 90), BOTH, child=5):
        assert torch.allclose(view, whole[place], rtol=0, atol=1e-6)


def test_where_not_all_panels_have_room():
    """Few columns of a long matrix: panels come one after the other."""
    shape = (3000, 700)
    columns = ([(0, 2), (300, 3), (690, 4)], [(5, 9, 0, 2), (100, 2000, 300, 3), (7, 1, 691, 3)])
    rows = ([(1, 2), (1500, 3), (2999, 1)], [(1, 2, 0, 700), (1500, 3, 10, 600), (2999, 1, 3, 5)])
    whole = orthogonal(torch.empty(shape), 1.5)
    for view, place in write(shape, [(True, columns), (False, rows)]):
        assert torch.allclose(view, whole[place], rtol=0, atol=1e-6)


def test_many_boxes_take_little_more_than_one():
    """Made each by itself, 32 of them take 20 times as long."""
    times = {}
    for boxes in (1, 32):
        ranges = [(32 // boxes * i * 8, 32 // boxes) for i in range(boxes)]
        ways = [(False, (ranges, [(row, rows, 0, 512) for row, rows in ranges]))]
        rounds = []
        for _ in range(5):
            begin = time.process_time()
            write((512, 512), ways, threads=1)
            rounds.append(time.process_time() - begin)
        times[boxes] = min(rounds)
    assert times[32] < 5 * times[1]


def test_boxes_that_are_none():
    where = (CODES[torch.float32], pytest.fail, 0, 0, 1.0, 2)
    _C.orthogonal_boxes([], *where)
    _C.orthogonal_boxes([(-1, 5, 4, True, [(0, 4)], [])], *where)
    view = torch.ones(2, 3)
    box = (view.data_ptr(), 6, None, 1, 2, 1, 3)
    for wrong, message in (
        ((), "a matrix is a tuple of 6"),
        ((-1, 5, 4, True, [(0, 4)], box), "in lists"),
        ((-1, 5, 4, True, [(0, 4)], [box[:5]]), "a box is a tuple of 7"),
        ((-1, 5, 4, True, [(0, 4, 1)], [box]), "a range is a tuple of 2"),
        ((-2, 5, 4, True, [(0, 4)], [box]), "child must be at least -1"),
        ((-1, 5, 4, True, [(0, 5)], [box]), r"lines of the part must be in \[0, 4\)"),
        ((-1, 5, 4, True, [(1, 3), (0, 1)], [box]), "must ascend"),
        ((-1, 5, 4, True, [(0, 4), (4, 0)], [box]), "none of them empty"),
        ((-1, 5, 4, True, [(0, 3)], [box]), "must lie in a range"),
        ((-1, 5, 4, False, [(0, 2), (3, 2)], [box]), "must lie in a range"),
        ((-1, 5, 4, True, [(0, 4)], [(*box[:3], 4, 2, 1, 3)]), "rows of the part"),
        ((-1, 5, 4, True, [(0, 4)], [(*box[:3], 1, 1, 1, 3)]), "as many elements"),
        ((-1, 5, 4, True, [(0, 4)], [(box[0], 0, None, 1, 0, 1, 3)]), "must have elements"),
    ):
        with pytest.raises(ValueError, match=message):
            _C.orthogonal_boxes([wrong], *where)
    assert (view == 1).all()
