"""The engine and the maps a second time, in NumPy: what the native core must equal bit for bit.

Nothing here is shared with csrc but the coefficients of the normal quantile, which are read from
quantile_table.h. float32 and float64 fused multiply-adds are put together from exact sums.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf
from numpy.typing import NDArray

Array = NDArray[Any]
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
DOMAIN_SHIFT = 61
ELEMENT, ELEMENT_LOW, ORTHOGONAL, ORTHOGONAL_LOW, SPARSE = range(5)


class Key(NamedTuple):
    seed: int
    stream: int


def halves(value: Any) -> tuple[Any, Any]:
    """The low and the high 32 bits, each in 64."""
    value = np.asarray(value, dtype=np.uint64)
    return value & np.uint64(0xFFFFFFFF), value >> np.uint64(32)


def philox(counter: Any, key: Any) -> Array:
    """Ten rounds on counters (..., 4) with keys (..., 2)."""
    counter, key = np.asarray(counter, dtype=np.uint64), np.asarray(key, dtype=np.uint64)
    a, b, c, d = np.moveaxis(counter, -1, 0)
    k0, k1 = np.moveaxis(key, -1, 0)
    for _ in range(10):
        low0, high0 = halves(a * np.uint64(MULTIPLIERS[0]))
        low1, high1 = halves(c * np.uint64(MULTIPLIERS[1]))
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = halves(k0 + np.uint64(WEYL[0]))[0], halves(k1 + np.uint64(WEYL[1]))[0]
    return np.stack([a, b, c, d], axis=-1).astype(np.uint32)


def philox_inverse(words: Any, key: Any) -> Array:
    """The counters (..., 4) whose blocks are these words."""
    words, key = np.asarray(words, dtype=np.uint64), np.asarray(key, dtype=np.uint64)
    a, b, c, d = np.moveaxis(words, -1, 0)
    inverse0, inverse1 = (np.uint64(pow(m, -1, 1 << 32)) for m in MULTIPLIERS)
    for turn in reversed(range(10)):
        k0, k1 = (
            halves(k + np.uint64(turn * w % (1 << 32)))[0]
            for k, w in zip(np.moveaxis(key, -1, 0), WEYL, strict=True)
        )
        first, third = halves(d * inverse0)[0], halves(b * inverse1)[0]
        _, high0 = halves(first * np.uint64(MULTIPLIERS[0]))
        _, high1 = halves(third * np.uint64(MULTIPLIERS[1]))
        a, b, c, d = first, a ^ high1 ^ k0, third, c ^ high0 ^ k1
    return np.stack([a, b, c, d], axis=-1)


def words(key: Key, domain: int, index: int, count: int) -> Array:
    """The words index, index + 1, ... of a domain of a key."""
    first, skipped = divmod(index, 4)
    blocks = (count + skipped + 3) // 4
    block = [((domain << DOMAIN_SHIFT) + first + i) % (1 << 64) for i in range(blocks)]
    low, high = halves(np.array(block, dtype=np.uint64))
    stream = [np.full_like(low, half) for half in halves(key.stream)]
    seed = np.stack([np.full_like(low, half) for half in halves(key.seed)], axis=-1)
    counter = np.stack([low, high, *stream], axis=-1)
    return philox(counter, seed).ravel()[skipped : skipped + count]


def word_pairs(key: Key, index: int, count: int) -> Array:
    """The 64-bit words of float64 elements."""
    high, low = (words(key, d, index, count) for d in (ELEMENT, ELEMENT_LOW))
    return (high.astype(np.uint64) << np.uint64(32)) | low


def blocks_with(chosen: Any) -> list[tuple[Key, int]]:
    """For each four words a key and an element index where the stream holds just these.

    The last four are filled up with zeros. Philox is a bijection of its counter: for any seed there
    is a counter that gives the words. It belongs to the element stream if its block's top bits, the
    domain, are zero; one seed in eight has that.
    """
    return _blocks_with(tuple(np.asarray(chosen).tolist()))


@cache
def _blocks_with(words: tuple[int, ...]) -> list[tuple[Key, int]]:
    chosen = np.array(words + (0,) * (-len(words) % 4), dtype=np.uint64).reshape(-1, 4)
    places: list[tuple[Key, int] | None] = [None] * len(chosen)
    for seed in range(1000):
        left = [i for i, place in enumerate(places) if place is None]
        if not left:
            break
        counters = philox_inverse(chosen[left], np.broadcast_to(halves(seed), (len(left), 2)))
        for i, counter in zip(left, counters.tolist(), strict=True):
            block = counter[0] | counter[1] << 32
            if block >> DOMAIN_SHIFT == ELEMENT:
                places[i] = Key(seed, counter[2] | counter[3] << 32), 4 * block
    return [place for place in places if place is not None]


# Exact arithmetic.


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its error."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded product of float64 and its error, by Dekker's splitting."""

    def split(x: Array) -> tuple[Array, Array]:
        scaled = x * 134217729.0  # 2^27 + 1
        high = scaled - (scaled - x)
        return high, x - high

    product = a * b
    (a_high, a_low), (b_high, b_low) = split(a), split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def odd_sum(a: Array, b: Array) -> Array:
    """a + b in float64, rounded to the neighbor with an odd last bit where it is not exact.

    Rounded once more, to fewer bits or by a further addition, it gives what the exact sum does.
    """
    total, error = two_sum(a, b)
    even = (total.view(np.uint64) & np.uint64(1)) == 0
    toward = np.where(error > 0, np.inf, -np.inf)
    return np.where(even & (error != 0), np.nextafter(total, toward), total)


def fma(a: Any, b: Any, c: Any) -> Array:
    """a * b + c rounded once, in the dtype of `a` (Boldo and Melquiond, 2008, for float64)."""
    dtype = np.asarray(a).dtype
    if dtype == np.float32:
        product = np.asarray(a, np.float64) * np.asarray(b, np.float64)  # exact
        return odd_sum(*np.broadcast_arrays(product, np.asarray(c, np.float64))).astype(np.float32)
    high, low = two_product(np.asarray(a), np.asarray(b, np.float64))
    sum_high, sum_low = two_sum(np.asarray(c, np.float64), low)
    total, rest = two_sum(high, sum_high)
    return total + odd_sum(sum_low, rest)


# The maps. A word is uint32 for float32 and uint64 for float64.


def bits(word: Array) -> int:
    return 8 * word.dtype.itemsize


def real_of(word: Array) -> Any:
    """The float type that words of this width make."""
    return np.float32 if bits(word) == 32 else np.float64


def from_middle(word: Array) -> Array:
    """The distance n of the signed word from the middle."""
    ones = word.dtype.type((1 << bits(word)) - 1)
    negative = (word >> word.dtype.type(bits(word) - 1)).astype(bool)
    return np.where(negative, word ^ ones, word)


def from_end(word: Array) -> Array:
    """The distance m from the nearer end; of a 64-bit word with fewer low bits in the tail.

    The low half d counts from its own middle and is scaled by 2^-z, where z is the number of zeros
    in front of the distance's high half as a 24-bit number.
    """
    top = (1 << (bits(word) - 1)) - 1
    distance = from_middle(word) ^ word.dtype.type(top)
    if bits(word) == 32:
        return distance
    result = []
    for m in distance.tolist():
        high, low = m >> 32, m & 0xFFFFFFFF
        zeros = max(0, 24 - high.bit_length())
        result.append((high << 32) + 2**31 + ((low - 2**31) >> zeros))
    return np.array(result, dtype=np.uint64)


def signed(word: Array, size: Array) -> Array:
    negative = (word >> word.dtype.type(bits(word) - 1)).astype(bool)
    return np.where(negative, -size, size)


def to_real(word: Array, magnitude: Array) -> Array:
    integer = np.int32 if bits(word) == 32 else np.int64
    return magnitude.astype(integer).astype(real_of(word))


def read_table(name: str) -> Array:
    header = (Path(__file__).parents[1] / "csrc" / "quantile_table.h").read_text()
    match = re.search(rf"{name}\[.*?= {{(.*?)\n}};", header, re.DOTALL)
    assert match, f"quantile_table.h has no {name}"
    rows = re.findall(r"{  // u\^\d+\n(.*?)}", match.group(1), re.DOTALL)
    numbers = [[float.fromhex(x) for x in re.findall(r"-?0x[0-9a-f.]+p[-+]\d+", r)] for r in rows]
    return np.array(numbers)


TABLES = {
    np.float32: read_table("kQuantileFloat").astype(np.float32),
    np.float64: read_table("kQuantileDouble"),
}


def quantile(c: Array, p: Array) -> Array:
    """c Q(p), fused so that Q itself is never rounded."""
    real = p.dtype.type
    table = TABLES[real]
    mantissa, exponent = np.frexp(p)  # p = mantissa * 2^exponent, mantissa in [1/2, 1)
    quarter = ((mantissa - real(0.5)) * real(8)).astype(np.int64)
    segment = 4 * (exponent.astype(np.int64) - 1 + 33) + quarter
    u = real(2) * mantissa - (real(1.125) + quarter.astype(real) / real(4))
    rest = table[-1][segment]
    for row in table[-2:0:-1]:
        rest = fma(rest, u, row[segment])
    return fma(c, table[0][segment], (c * u) * rest)


def uniform(word: Array, low: float, high: float, bounds: tuple[float, float]) -> Array:
    """Middle + half width times (v + 1/2) / 2^(bits - 1), kept inside the bounds."""
    real = real_of(word)
    unit = real(2.0 ** -bits(word))
    size = fma(to_real(word, from_middle(word)), 2 * unit, unit)
    middle, half_width = real(0.5 * low + 0.5 * high), real(0.5 * high - 0.5 * low)
    return np.clip(fma(signed(word, size), half_width, middle), *map(real, bounds))


def normal(word: Array, mean: float, std: float) -> Array:
    """Mean + std c Q(p), c = 1/2 - p signed like the word."""
    real = real_of(word)
    unit = real(2.0 ** -bits(word))
    below_one = np.nextafter(real(1), real(0))
    m = from_end(word)
    n = m ^ word.dtype.type((1 << (bits(word) - 1)) - 1)
    p = fma(to_real(word, m), below_one * unit, unit / 2)
    p = np.maximum(p, real(2.0**-33))
    c = signed(word, fma(to_real(word, n), unit, unit / 2))
    return fma(quantile(c, p), real(std), real(mean))


def trunc_normal(
    word: Array, mean: float, std: float, a: float, b: float, bounds: tuple[float, float]
) -> Array:
    """Mean + std c Q(p) with p the normal law's own tail, where the mean lies inside (a, b)."""
    assert a < mean < b
    real = real_of(word)
    with mp.workdps(40):
        alpha, beta = (mpf(a) - mpf(mean)) / mpf(std), (mpf(b) - mpf(mean)) / mpf(std)
        below, above = mp.ncdf(alpha), mp.ncdf(-beta)
        width = mp.ldexp(1 - below - above, -bits(word))
        center = (below - above) / 2  # (Phi(beta) + Phi(alpha) - 1) / 2
        numbers = [
            (side * width, center + side * width / 2, tail + width / 2)
            for side, tail in ((-1, below), (1, above))
        ]
        step = real(float(width))
    negative = (word >> word.dtype.type(bits(word) - 1)).astype(bool)
    slope, start, tail = (
        np.where(negative, *(real(float(half[i])) for half in numbers)) for i in range(3)
    )
    m = from_end(word)
    n = to_real(word, m ^ word.dtype.type((1 << (bits(word) - 1)) - 1))
    g = fma(to_real(word, m), step, tail)
    p = np.minimum(g, real(1) - g)
    p = np.clip(p, real(2.0**-33), np.nextafter(real(0.5), real(0)))
    value = fma(quantile(fma(n, slope, start), p), real(std), real(mean))
    return np.clip(value, *map(real, bounds))


def householder_product(vectors: Any, signs: Any) -> Array:
    """Q = H_0 H_1 ... applied to the first columns of the identity, times diag(sigma)."""
    vectors, signs = np.asarray(vectors, np.float64), np.asarray(signs, np.float64)
    q = np.broadcast_to(np.eye(*vectors.shape[-2:]), vectors.shape).copy()
    for i in reversed(range(vectors.shape[-1])):
        v = vectors[..., i]
        q -= v[..., :, None] * np.einsum("...m,...mn->...n", v, q)[..., None, :]
    return q * signs[..., None, :]


def edge_words() -> Array:
    """uint32 words where something begins or ends: the ends, the middle, every octave of both.

    Mirrored: with a word comes its complement.
    """
    distances = {0, 1, 2, 3, (1 << 31) - 2, (1 << 31) - 1}
    for octave in range(2, 31):
        distances |= {(1 << octave) + d for d in (-1, 0, 1)}
        distances |= {(1 << octave) + (1 << octave - 2) * quarter for quarter in (1, 2, 3)}
    found = {word for d in distances for word in (d, (1 << 31) - 1 - d)}
    found |= {word ^ 0xFFFFFFFF for word in found}
    return np.array(sorted(found), dtype=np.uint32)
