"""Which columns or rows of a matrix are made for several boxes of it."""

from __future__ import annotations

import itertools

import pytest
import torch

from winit_cuda._fills.lines import Lines, Part, lines_of, merged


def boxes(shape, *places):
    """Boxes (first row, rows, first column, columns), with tensors that tell their place."""
    whole = torch.arange(shape[0] * shape[1]).view(shape)
    return [
        (Part(*shape, *place), whole[place[0] :][: place[1], place[2] :][:, : place[3]])
        for place in places
    ]


def test_merged():
    assert merged([]) == []
    assert merged([(5, 7), (0, 2), (1, 4), (4, 5), (2, 3)]) == [(0, 4), (4, 5), (5, 7)]
    assert merged([(0, 9), (2, 3), (8, 10)]) == [(0, 10)]


def of_mesh(shape, rows, columns):
    return boxes(shape, *((*row, *column) for row, column in itertools.product(rows, columns)))


@pytest.mark.parametrize("turned", [False, True])
def test_boxes_of_a_mesh_are_made_as_the_fewer_lines(turned):
    shape, rows, columns = (100, 80), [(0, 10), (50, 10)], [(0, 5), (20, 5), (60, 5)]
    given = of_mesh(shape, rows, columns)
    if turned:
        shape = shape[::-1]
        given = [(part.transposed(), tensor.t()) for part, tensor in given]
    (lines,) = lines_of(given)
    assert lines.are_columns is not turned
    assert lines.ranges == [(0, 5), (20, 25), (60, 65)]
    assert lines.boxes == given
    assert lines.total == 15


def test_many_short_boxes_of_few_columns():
    """Each box alone has fewer rows than columns, all together have not."""
    (lines,) = lines_of(of_mesh((100, 80), [(i, 2) for i in range(0, 100, 4)], [(3, 12)]))
    assert (lines.are_columns, lines.total) == (True, 12)


def test_a_column_and_a_row():
    """Together they would be the whole matrix."""
    column, row = boxes((100, 80), (0, 100, 7, 1), (50, 1, 0, 80))
    first, second = lines_of([column, row])
    assert (first.are_columns, first.ranges, first.boxes) == (True, [(7, 8)], [column])
    assert (second.are_columns, second.ranges, second.boxes) == (False, [(50, 51)], [row])


def test_squares_are_columns_of_the_longer_side():
    assert lines_of(boxes((9, 8), (0, 4, 0, 4)))[0].are_columns
    assert not lines_of(boxes((8, 9), (0, 4, 0, 4)))[0].are_columns


def test_numbers():
    lines = Lines(True, [(2, 5), (7, 8), (8, 20)], ())
    assert list(lines.numbered()) == [(0, 2, 5), (3, 7, 8), (4, 8, 20)]
    assert [lines.number(line) for line in (0, 2, 4, 5, 6, 7, 8, 19, 20)] == [
        *(0, 0, 2, 3, 3, 3, 4, 15, 16)
    ]


@pytest.mark.parametrize("most", [1, 3, 4, 7, 100])
@pytest.mark.parametrize("are_columns", [True, False])
def test_stretches_hold_every_element_once(most, are_columns):
    given = boxes((30, 20), (0, 9, 3, 2), (5, 20, 7, 6), (3, 1, 8, 3), (20, 2, 1, 19))
    lines = Lines(are_columns, merged(part.lines(are_columns) for part, _ in given), given)
    stretches = list(lines.stretches(most))
    *full, rest = [stretch.total for stretch in stretches]
    assert full == [most] * len(full)
    assert 0 < rest <= most
    found = []
    for stretch in stretches:
        for part, tensor in stretch.boxes:
            assert torch.equal(tensor, boxes((30, 20), part[2:])[0][1])
            first, end = part.lines(are_columns)
            assert any(a <= first < end <= b for a, b in stretch.ranges)
            found += tensor.flatten().tolist()
    assert sorted(found) == sorted(i for _, tensor in given for i in tensor.flatten().tolist())
