"""The engine: published known answers, the counter's layout, carries, and separate domains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import float32, float64

import reference
from core import KEY, draw, everywhere, fill, words
from reference import Key
from winit_cuda import _C

LINES = (Path(__file__).parents[2] / "data" / "philox4x32_10.txt").read_text().splitlines()
KNOWN_ANSWERS = [
    tuple(int(word, 16) for word in line.split()) for line in LINES if not line.startswith("#")
]
each_known_answer = pytest.mark.parametrize("line", KNOWN_ANSWERS, ids=["zeros", "ones", "pi"])
# Where the block counter's low half, the domain's 61 bits and all 64 of them overflow.
CARRIES = [(0, 1 << 32), (0, 7 << 32), (1, 1 << 32), (0, 1 << 61), (3, 1 << 61), (7, 1 << 61)]


@each_known_answer
def test_known_answers(line):
    counter, key, answer = line[:4], line[4:6], line[6:]
    assert _C.philox4x32_10(counter, key) == answer
    assert tuple(reference.philox(counter, key).tolist()) == answer
    assert tuple(reference.philox_inverse(answer, key).tolist()) == counter


@everywhere
@each_known_answer
def test_known_answers_are_words_of_a_stream(line, place):
    counter, (seed_low, seed_high), answer = line[:4], line[4:6], line[6:]
    block = counter[0] | counter[1] << 32
    key = Key(seed_low | seed_high << 32, counter[2] | counter[3] << 32)
    domain, index = block >> 61, 4 * (block % (1 << 61))
    assert tuple(words(4, domain, index, key, place).tolist()) == answer


def test_random_blocks():
    random = np.random.default_rng(1)
    numbers = random.integers(1 << 32, size=(200, 6), dtype=np.uint64)
    expected = reference.philox(numbers[:, :4], numbers[:, 4:]).tolist()
    for (*counter, first, second), answer in zip(numbers.tolist(), expected, strict=True):
        assert _C.philox4x32_10(tuple(counter), (first, second)) == tuple(answer)


@everywhere
@pytest.mark.parametrize("index", [0, 1, 2, 3, 4, 61, 1 << 33, (1 << 62) + 5])
def test_words_of_any_start_and_count(index, place):
    expected = reference.words(KEY, 2, index, 200)
    for count in [*range(1, 18), 63, 64, 65, 127, 128, 129, 200]:
        assert np.array_equal(words(count, 2, index, place=place), expected[:count])


@everywhere
@pytest.mark.parametrize("seed", [0, 1, 0xFFFFFFFF, 1 << 32, (1 << 64) - 1])
def test_words_take_all_bits_of_the_key(seed, place):
    for key in (Key(seed, 0), Key(0, seed), Key(seed, (1 << 64) - 1)):
        assert np.array_equal(words(70, key=key, place=place), reference.words(key, 0, 0, 70))


@everywhere
@pytest.mark.parametrize(("domain", "block"), CARRIES)
@pytest.mark.parametrize("stream", [0, 0xFFFFFFFF, (1 << 64) - 1])
def test_carries_stay_inside_the_block_counter(domain, block, stream, place):
    # Past the last block of all, 2^64 - 1, comes block 0 of the same stream.
    key = Key(KEY.seed, stream)
    # Chunks of words are made several at once: the carry falls between them, and into each.
    for before in (280, 212, 148, 128, 84, 70, 64, 20, 5, 1, 0):
        start = 4 * block - before
        assert np.array_equal(
            words(290, domain, start, key, place), reference.words(key, domain, start, 290)
        )


@everywhere
@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize("block", [1 << 32, 3 << 32, (1 << 61) - 40])
def test_elements_across_a_carry(block, dtype, place):
    index, count = 4 * block - 67, 150
    word = reference.words(KEY, 0, index, count)
    if dtype == float64:
        word = reference.word_pairs(KEY, index, count)
    expected = reference.normal(word, 0.0, 1.0)
    drawn = draw("normal", count, dtype, 0, 1, index=index, place=place)
    assert np.array_equal(drawn.numpy(), expected)


@everywhere
@pytest.mark.parametrize("block", [1 << 32, 1 << 60], ids=["2^34", "2^62"])
def test_a_carry_in_every_lane(block, place):
    """Wherever in a vector, a chunk or a pair of chunks the counter's low half overflows."""
    most, behind = 4 * 2 * 16 + 4, 150  # two chunks of 16 blocks, begun at any word
    start = 4 * block - most
    expected = reference.words(KEY, 0, start, most + behind)
    singles = reference.normal(expected, 0.0, 1.0)
    doubles = reference.normal(reference.word_pairs(KEY, start, most + behind), 0.0, 1.0)
    for before in range(most + 1):
        part, index, count = slice(most - before, None), 4 * block - before, before + behind
        assert np.array_equal(words(count, 0, index, place=place), expected[part])
        for dtype, values in ((float32, singles), (float64, doubles)):
            drawn = draw("normal", count, dtype, 0, 1, index=index, place=place)
            assert np.array_equal(drawn.numpy(), values[part])


@everywhere
@pytest.mark.parametrize("block", [1 << 32, 1 << 60], ids=["2^34", "2^62"])
def test_a_carry_within_tiles_and_rows(block, place):
    """Transposed and padded matrices, whose rows begin at other lanes than their vectors."""
    shape = (36, 41)
    for before in (1, 5, 30, 41 * 8 + 3, 41 * 17 + 18, 41 * 35 + 40):
        index = 4 * block - before
        values = reference.normal(reference.words(KEY, 0, index, 36 * 41), 0.0, 1.0)
        for view in (
            torch.empty(41, 36).t(),
            torch.empty(36, 50)[:, 3:44],
            torch.empty(36, 82)[:, ::2],
        ):
            fill("normal", view, 0, 1, box=(shape, view.stride(), (41, 1), index), place=place)
            assert np.array_equal(view.numpy(), values.reshape(shape))


def test_domains_never_meet():
    # The last element index that fits 63 bits is the last word of its domain.
    last = (1 << 63) - 1
    for domain in range(7):
        assert words(2, domain, last)[1] == words(1, domain + 1, 0)[0]
    starts = {tuple(words(4, domain, 0)) for domain in range(8)}
    assert len(starts) == 8


@everywhere
def test_key_in_memory_replaces_the_key(place):
    for count in (1, 40, 70_000):
        plain = draw("uniform", count, float32, 0, 1, place=place)
        read = fill("uniform", plain.new_empty(count), 0, 1, key_in_memory=True, place=place)
        assert np.array_equal(read.numpy(), plain.numpy())


def test_domain_must_exist():
    with pytest.raises(ValueError, match="domain"):
        words(4, domain=8)
