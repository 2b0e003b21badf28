"""What the layouts of the quantile table cost in bank conflicts, predicted: no GPU is needed.

Shared memory has 32 banks of 4 bytes. A load of 4 bytes a lane serves a warp at once, one of 8
bytes half a warp at a time, one of 16 bytes a quarter. Lanes that read the same word share one
access; different words in one bank take a clock each. The segments of the lanes follow the law of
the words: each octave of the tail is half as likely as the one before it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_OCTAVES, _QUARTERS, _ENTRIES = 32, 4, 6
_SEGMENTS = _OCTAVES * _QUARTERS
_LANES, _BANKS = 32, 32

# The loads of a layout: (words of a load, words from one segment to the next, where segment 0 is).
# The names are those of layouts.h.
LAYOUTS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "Rows": tuple((1, 1, row * _SEGMENTS) for row in range(_ENTRIES)),
    "Pairs": tuple((2, 2, row * 2 * _SEGMENTS) for row in range(_ENTRIES // 2)),
    "FourAndTwo": ((4, 4, 0), (2, 2, 4 * _SEGMENTS)),
    "SegmentsOf6": tuple((2, 6, 2 * row) for row in range(_ENTRIES // 2)),
    "SegmentsOf8": ((4, 8, 0), (2, 8, 4)),
    "SegmentsOf12": ((4, 12, 0), (2, 12, 4)),
}


def segment_of(word: int) -> int:
    """The segment that values/quantile.h reads for a word."""
    distance = max(1, min(word, (1 << 32) - word))
    octave = distance.bit_length() - 1
    quarter = (distance << 2 >> octave) & 3
    return 4 * ((octave + 31) % _OCTAVES) + quarter


def clocks_of_load(words: int, first_words: Sequence[int]) -> int:
    """The clocks that one load of a warp takes, from the first word that each lane reads."""
    lanes_at_once = _LANES // words
    clocks = 0
    for begin in range(0, _LANES, lanes_at_once):
        touched = {
            first + word
            for first in first_words[begin : begin + lanes_at_once]
            for word in range(words)
        }
        in_bank = [0] * _BANKS
        for word in touched:
            in_bank[word % _BANKS] += 1
        clocks += max(in_bank)
    return clocks


def predicted_clocks(layout: str, warps: int = 2000) -> float:
    """Clocks of shared memory for the 32 values of a warp, the mean over so many warps."""
    chance = random.Random(0)
    total = 0
    for _ in range(warps):
        segments = [segment_of(chance.getrandbits(32)) for _ in range(_LANES)]
        for words, step, base in LAYOUTS[layout]:
            total += clocks_of_load(words, [step * segment + base for segment in segments])
    return total / warps
