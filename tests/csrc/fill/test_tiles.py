"""Boxes that are filled tile by tile: transposed, channels_last, permuted, and parts of them."""

from __future__ import annotations

import itertools

import pytest
import torch

from core import INSTRUCTION_SETS, box_of, draw, every_dtype, fill, name_of, same_bits

# One for each size of an element: nothing else of a dtype matters to a layout.
every_size = pytest.mark.parametrize(
    "dtype", [torch.float8_e5m2, torch.bfloat16, torch.float32, torch.float64], ids=name_of
)
every_isa = pytest.mark.parametrize("place", INSTRUCTION_SETS, ids=lambda place: place.name)

# Shapes in memory and the order of the dimensions in the tensor: more than one tile each way, whole
# tiles and not, short last dimensions, which lie in one stretch of the index.
LAYOUTS = [
    ((64, 128), (1, 0)),
    ((129, 257), (1, 0)),
    ((300, 130), (1, 0)),
    ((5, 400), (1, 0)),
    ((4000, 3), (1, 0)),
    ((2, 9, 300), (0, 2, 1)),
    ((3, 7, 5, 130), (0, 3, 1, 2)),
    ((6, 70, 11, 4), (3, 1, 0, 2)),
    ((70, 6, 150), (2, 0, 1)),
]


def sevens(*shape, dtype):
    return torch.full(shape, 7).to(dtype)  # torch 2.4 fills no float8_e5m2


def strided(memory_shape, order, dtype):
    return sevens(*memory_shape, dtype=dtype).permute(order)


@every_dtype
@pytest.mark.parametrize(("memory_shape", "order"), LAYOUTS)
def test_a_permuted_tensor_has_the_values_of_a_contiguous_one(memory_shape, order, dtype):
    for law, numbers in (("uniform", (0, 1)), ("normal", (0, 1)), ("trunc_normal", (0, 1, 1, 2))):
        view = strided(memory_shape, order, dtype)
        expected = fill(law, torch.empty(view.shape, dtype=dtype), *numbers)
        assert same_bits(fill(law, view, *numbers).contiguous(), expected)


@every_dtype
@pytest.mark.parametrize(("memory_shape", "order"), LAYOUTS[:5])
def test_a_part_of_a_matrix_leaves_the_rest(memory_shape, order, dtype):
    # A shard at an odd place of its matrix, in the middle of a larger memory.
    view = strided(memory_shape, order, dtype)
    rows, columns = view.shape
    part = view[1 : rows - 1, 1 : columns - 1]
    whole = fill("normal", torch.empty(2 * rows, 2 * columns + 1, dtype=dtype), 0, 1)
    at = (3, 2)
    fill("normal", part, 0, 1, box=box_of(part, whole.shape, at))
    expected = whole[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1]]
    assert same_bits(part.contiguous(), expected.contiguous())
    part.copy_(torch.tensor(7))
    assert (view.float() == 7).all()


def guarded(memory_shape, order, step, dtype):
    """A permuted tensor in every `step`-th column of a larger memory, and that memory."""
    *outer, last = memory_shape
    whole = sevens(*outer, step * last + 3, dtype=dtype)
    return whole, whole[..., 1 : 1 + step * last : step].permute(order)


def assert_alone_filled(whole, view, dtype, place):
    fill("uniform", view, 0, 1, place=place)
    assert same_bits(view.reshape(-1), draw("uniform", view.numel(), dtype, 0, 1))
    view.copy_(torch.tensor(7))
    assert (whole.float() == 7).all()


@every_isa
@every_size
def test_every_number_of_rows_and_columns(dtype, place):
    # The vectors of a column hold up to 64 rows, and 2 to 16 columns are transposed at once.
    sizes = [(rows, 3 + rows % 18) for rows in range(4, 68)]
    sizes += [(127, 4), (128, 66), (129, 61), (200, 131)]
    for rows, columns in sizes:
        whole, view = guarded((columns, rows), (1, 0), 1, dtype)
        assert_alone_filled(whole, view, dtype, place)


@every_isa
@every_size
@pytest.mark.parametrize("step", [1, 2])
def test_every_order_of_short_dimensions(step, dtype, place):
    for shape in ((3, 5, 6, 9), (9, 2, 16, 4), (4, 33, 7)):
        for order in itertools.permutations(range(len(shape))):
            whole, view = guarded(shape, order, step, dtype)
            assert_alone_filled(whole, view, dtype, place)


@every_isa
@every_size
def test_what_lies_next_in_memory_is_in_the_same_tile(dtype, place):
    # Few rows or short runs of which the next ones are made apart; groups that no tile divides.
    for shape, order in (
        ((70, 3, 53, 6), (3, 2, 1, 0)),
        ((100, 5, 23, 8), (2, 1, 0, 3)),
        ((90, 49, 3), (0, 2, 1)),
    ):
        whole, view = guarded(shape, order, 1, dtype)
        assert_alone_filled(whole, view, dtype, place)
        assert_alone_filled(whole, view[1:, :-1], dtype, place)


@every_isa
@every_size
def test_short_runs_that_follow_in_the_index(dtype, place):
    for columns in (1, 2, 3, 7, 16, 31, 40, 127, 511, 512):
        whole = sevens(9000 // columns % 500 + 4, columns + 1, dtype=dtype)
        assert_alone_filled(whole, whole[:, 1:], dtype, place)
        assert_alone_filled(whole, whole[::3, 1:], dtype, place)


@every_isa
@every_size
@pytest.mark.parametrize("step", [2, 3])
def test_what_lies_between_the_elements_stays(step, dtype, place):
    # Masks write half a cache line of every second place: whole lines, parts of one, long columns.
    for rows, columns in ((5, 70), (64, 64), (37, 131), (1200, 9)):
        whole = sevens(columns, step * rows + 5, dtype=dtype)
        assert_alone_filled(whole, whole[:, 2 : 2 + step * rows : step].t(), dtype, place)
        whole = sevens(rows, step * columns + 5, dtype=dtype)
        assert_alone_filled(whole, whole[:, 2 : 2 + step * columns : step], dtype, place)


@every_isa
@every_size
def test_few_channels_of_many_pixels(dtype, place):
    # Written over each other, but for the last pixel of an image: what lies behind it stays.
    for channels in (1, 2, 3, 4, 5):
        for pixels in (1, 4, 15, 17, 49, 65, 130):
            whole = sevens(3, pixels * channels + 2, dtype=dtype)
            images = whole[:, : pixels * channels].view(3, pixels, channels)
            assert_alone_filled(whole, images.permute(0, 2, 1), dtype, place)


@every_isa
@every_size
def test_rows_of_a_tile_begin_anywhere_in_a_block_of_words(dtype, place):
    # Two are made at once where each is one chunk of words.
    for rows, columns in ((7, 61), (8, 62), (9, 63), (10, 64), (33, 50)):
        whole = draw("uniform", rows * 203, dtype, 0, 1).view(rows, 203)
        for first in range(4):
            view = sevens(columns, rows, dtype=dtype).t()
            fill("uniform", view, 0, 1, box=box_of(view, whole.shape, (0, first)), place=place)
            assert same_bits(view.contiguous(), whole[:, first : first + columns].contiguous())


@every_isa
@every_size
def test_a_large_matrix_is_written_around_the_caches(dtype, place):
    # Columns that begin at whole cache lines, and columns that do not.
    columns = (8 << 20) // dtype.itemsize // 1024
    expected = draw("uniform", 1024 * columns, dtype, 0, 1).view(1024, columns)
    memory = torch.empty(columns * 1024 + 64, dtype=dtype)
    misaligned = memory.data_ptr() % 64 // dtype.itemsize
    for offset in (-misaligned % (64 // dtype.itemsize), 1):
        view = memory[offset:].as_strided((1024, columns), (1, 1024))
        assert same_bits(fill("uniform", view, 0, 1, place=place).contiguous(), expected)
