"""How a window of a tensor is divided into the matrices that it meets."""

from __future__ import annotations

import math

import pytest
import torch

from winit_cuda._fills.householder import Part
from winit_cuda._fills.matrices import Piece, Window, pieces, whole_columns


def whole(*shape):
    return Window(shape, shape, (0,) * len(shape))


def test_one_matrix():
    assert list(pieces(whole(4, 2, 3), 0, 1)) == [Piece(0, (slice(0, 4),), Part(4, 6, 0, 4, 0, 6))]


def test_batches_and_chunks_are_numbered_together():
    found = list(pieces(whole(2, 2, 6, 5), 2, 3))
    assert [piece.number for piece in found] == list(range(12))
    assert found[7] == Piece(7, (1, 0, slice(2, 4)), Part(2, 5, 0, 2, 0, 5))


def test_a_box_across_chunks():
    window = Window((6, 2, 3), (9, 4, 3), (2, 1, 0))
    assert list(pieces(window, 0, 3)) == [
        Piece(0, (slice(0, 1),), Part(3, 12, 2, 1, 3, 6)),
        Piece(1, (slice(1, 4),), Part(3, 12, 0, 3, 3, 6)),
        Piece(2, (slice(4, 6),), Part(3, 12, 0, 2, 3, 6)),
    ]


@pytest.mark.parametrize(("offset", "rows"), [(0, 3), (3, 3), (3, 6), (8, 1), (2, 2), (1, 8)])
def test_no_piece_is_empty_and_all_rows_are_met(offset, rows):
    found = list(pieces(Window((rows, 4), (9, 4), (offset, 0)), 0, 3))
    assert all(piece.part.row_count > 0 for piece in found)
    met = [3 * piece.number + piece.part.first_row + i for piece in found
           for i in range(piece.part.row_count)]  # fmt: skip
    assert met == list(range(offset, offset + rows))


@pytest.mark.parametrize("batch_dims", [0, 1, 2])
def test_pieces_hold_every_element_once(batch_dims):
    window = Window((2, 3, 4, 2), (4, 5, 6, 2), (1, 2, 2, 0))
    if batch_dims < 2:
        window = whole_columns(window, batch_dims)
    count = torch.zeros(window.shape, dtype=torch.int)
    for piece in pieces(window, batch_dims, 1):
        part = piece.part
        assert count[piece.where].numel() == part.row_count * part.column_count
        count[piece.where] += 1
    assert (count == 1).all()
    assert math.prod(window.shape) == count.sum()


def test_whole_columns():
    window = Window((2, 3, 1, 2), (4, 5, 6, 7), (1, 2, 2, 0))
    assert whole_columns(window, 0) == Window((2, 3, 6, 7), (4, 5, 6, 7), (1, 2, 0, 0))
    assert whole_columns(window, 1) == Window((2, 3, 1, 7), (4, 5, 6, 7), (1, 2, 2, 0))
    assert whole_columns(window, 2) == window
