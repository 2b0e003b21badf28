"""The indices of a list's kernel where a tensor has more elements than 32 bits count.

Nothing is written: the core says which groups of elements a thread would make.
"""

from __future__ import annotations

import pytest

from core import CODES, every_dtype
from winit_cuda import _C

LIST_THREADS = 256
WARP = 32
SPAN = 1 << 32  # elements whose blocks of words differ in the lowest word of the counter alone
GIB = 1 << 30


def expected(dtype, count, tiles, tile, thread):
    """The same by integers without an end: span after span, `depth` groups in a go."""
    group_size = {1: 16, 2: 8}.get(dtype.itemsize, 4)
    depth = 16 // group_size // (2 if dtype.itemsize == 8 else 1)
    place = tile * LIST_THREADS + thread
    spans = []
    for begin in range(0, count, SPAN):
        groups = -(-min(SPAN, count - begin) // group_size)
        first = place // WARP * WARP * depth + place % WARP
        goes = range(first, groups, tiles * LIST_THREADS * depth)
        reached = [go + WARP * j for go in goes for j in range(depth)]
        spans.append([group for group in reached if group < groups])
    return spans


@every_dtype
@pytest.mark.parametrize(
    "size", [1 << 20, 17 * GIB - 8, 128 * GIB - 8, 128 * GIB, 128 * GIB + 8, 300 * GIB, 1 << 41]
)
def test_a_tensor_of_any_size(dtype, size):
    count = size // dtype.itemsize
    tiles, _ = _C.listed_groups(CODES[dtype], count, 0, 0, 1000)
    per_span = SPAN // (LIST_THREADS * 16)  # tiles with work for all their threads, about
    chosen = {0, 1, tiles // 2, tiles - 2, tiles - 1, per_span - 1, per_span, 2 * per_span}
    for tile in sorted(tile for tile in chosen if tile < tiles):
        for thread in (0, 31, 32, 255):
            found = _C.listed_groups(CODES[dtype], count, tile, thread, 1000)
            assert found == (tiles, expected(dtype, count, tiles, tile, thread))
