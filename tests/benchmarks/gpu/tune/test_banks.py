"""Bank conflicts: single loads, and the layouts that were simulated by hand before."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu.tune import banks, build
from benchmarks.gpu.tune.variants import FILLS

LANES = range(32)


@pytest.mark.parametrize(
    ("words", "first_words", "clocks"),
    [
        (1, [0] * 32, 1),  # the same word: once for all
        (1, list(LANES), 1),
        (1, [2 * lane for lane in LANES], 2),
        (1, [32 * lane for lane in LANES], 32),
        (2, [2 * lane for lane in LANES], 2),  # half a warp at a time
        (2, [32 * lane for lane in LANES], 32),
        (4, [4 * lane for lane in LANES], 4),
        (4, [8 * lane for lane in LANES], 8),
        (4, [12 * lane for lane in LANES], 4),  # padded
    ],
)
def test_clocks_of_one_load(words, first_words, clocks):
    assert banks.clocks_of_load(words, first_words) == clocks


@pytest.mark.parametrize(
    ("word", "segment"),
    [(1 << 31, 4 * 30), (1, 4 * 31), (0, 4 * 31), ((1 << 32) - 1, 4 * 31), (3, 2), (7, 4 + 3)],
)
def test_segments_are_those_of_the_quantile(word, segment):
    assert banks.segment_of(word) == segment


@pytest.mark.parametrize(
    ("layout", "clocks"),
    [("Rows", 6.6), ("Pairs", 9.1), ("FourAndTwo", 10.1), ("SegmentsOf8", 16.7)],
)
def test_the_clocks_of_the_notes(layout, clocks):
    """benchmarks/gpu/sass_notes.md has them from a simulation of its own."""
    assert banks.predicted_clocks(layout, warps=400) == pytest.approx(clocks, abs=0.25)


def test_every_layout_that_is_tried_is_predicted():
    tried = {value for each in FILLS for name, value in each.defines if name == "TUNE_LAYOUT"}
    assert tried | {"Rows"} == set(banks.LAYOUTS)
    header = Path(build.HERE, "layouts.h").read_text()
    assert all(f"{name} " in header for name in banks.LAYOUTS)
