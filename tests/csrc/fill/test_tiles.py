"""Boxes that are filled tile by tile: transposed, channels_last, permuted, and parts of them."""

from __future__ import annotations

import pytest
import torch

from core import box_of, every_dtype, fill, same_bits

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


def strided(memory_shape, order, dtype):
    return torch.full(memory_shape, 7, dtype=dtype).permute(order)


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
    part.fill_(7)
    assert (view.float() == 7).all()
