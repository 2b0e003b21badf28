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


def signed_halves(word: Array) -> tuple[Array, Array]:
    """The element's 32-bit word and its mirror t = v + 2^31 (mod 2^32), as signed integers."""
    high = (word >> np.uint64(32)).astype(np.uint32) if bits(word) == 64 else word
    return high.view(np.int32), (high ^ np.uint32(1 << 31)).view(np.int32)


def toward_zero(integer: Array) -> Array:
    """The nearest float32 that is not further from zero."""
    exact = integer.astype(np.float64)
    nearest = exact.astype(np.float32)
    return np.where(np.abs(nearest) > np.abs(exact), np.nextafter(nearest, np.float32(0)), nearest)


def distances(word: Array) -> tuple[Array, Array]:
    """The signed distances x from the middle and t from the nearer end, in words.

    A 64-bit word's low half counts less within 2^24 words of the end: never more than 2^-24 of the
    distance, and nothing in the last word.
    """
    v, end = signed_halves(word)
    if bits(word) == 32:
        return v.astype(np.float32), toward_zero(end)
    low = (word & np.uint64(0xFFFFFFFF)).astype(np.float64)
    beyond_last = np.maximum(np.abs(end.astype(np.float64)) - 1, 0)
    share = np.minimum(beyond_last / 2.0**24, 1.0) / 2.0**32
    return fma(low, share, v.astype(np.float64)), fma(low, share, end.astype(np.float64))


def read_table(name: str) -> Array:
    header = (Path(__file__).parents[2] / "csrc" / "values" / "quantile_table.h").read_text()
    match = re.search(rf"{name}\[.*?= {{(.*?)\n}};", header, re.DOTALL)
    assert match, f"quantile_table.h has no {name}"
    rows = re.findall(r"{  // (?:centers|u\^\d+)\n(.*?)}", match.group(1), re.DOTALL)
    numbers = [[float.fromhex(x) for x in re.findall(r"-?0x[0-9a-f.]+p[-+]\d+", r)] for r in rows]
    return np.array(numbers)


TABLES = {
    np.float32: read_table("kQuantileFloat").astype(np.float32),
    np.float64: read_table("kQuantileDouble"),
}


def quantile(c: Array, f: Array, scale: Any, base: Any) -> Array:
    """Base + scale c Q(|f| / 2^32), fused so that Q itself is never rounded."""
    real = f.dtype.type
    centers, *rows = TABLES[real]
    mantissa, exponent = np.frexp(np.where(f == 0, real(2), np.abs(f)))  # mantissa in [1/2, 1)
    quarter = ((mantissa - real(0.5)) * real(8)).astype(np.int64)
    segment = 4 * ((exponent.astype(np.int64) - 2) % 32) + quarter
    u = real(2) * mantissa - quarter.astype(real) / real(4) - centers[segment]
    if real == np.float32:
        rows = [row * scale for row in rows]
    rest = rows[-1][segment]
    for row in rows[-2:0:-1]:
        rest = fma(rest, u, row[segment])
    if real == np.float32:
        return fma(c, rows[0][segment], fma(c * u, rest, base))
    return fma(fma(c, rows[0][segment], (c * u) * rest), scale, base)


def uniform(word: Array, low: float, high: float, bounds: tuple[float, float]) -> Array:
    """Middle + x (high - low) / 2^32, kept inside the bounds."""
    real = real_of(word)
    x, _ = distances(word)
    if bits(word) == 64:  # the low half counts in full
        v, _ = signed_halves(word)
        low_half = (word & np.uint64(0xFFFFFFFF)).astype(np.float64)
        x = fma(low_half, 2.0**-32, v.astype(np.float64))
    middle, step = real(0.5 * low + 0.5 * high), real((high - low) / 2.0**32)
    return np.clip(fma(x, step, middle), *map(real, bounds))


def normal(word: Array, mean: float, std: float) -> Array:
    """Mean + std c Q(p), c = x and p = |t| in words; a tiny float32 std on another scale."""
    real = real_of(word)
    scale = 2.0**90 if bits(word) == 32 and std < 2.0**-90 and abs(mean) < 2.0**30 else 1.0
    return quantile(*distances(word), real(std * scale), real(mean * scale)) * real(1 / scale)


def trunc_normal(
    word: Array, mean: float, std: float, a: float, b: float, bounds: tuple[float, float]
) -> Array:
    """Mean + std c Q(p) with p the normal law's own tail, where the mean lies inside (a, b)."""
    assert a < mean < b
    real = real_of(word)
    with mp.workdps(40):
        alpha, beta = (mpf(a) - mpf(mean)) / mpf(std), (mpf(b) - mpf(mean)) / mpf(std)
        below, above = mp.ncdf(alpha), mp.ncdf(-beta)
        slope = real(float(1 - below - above))
        center = real(float(mp.ldexp(below - above, 31)))  # 2^32 ((Phi(a) + Phi(b)) / 2 - 1/2)
        starts = [real(float(mp.ldexp(tail, 32))) for tail in (below, above)]
    x, t = distances(word)
    v, _ = signed_halves(word)
    if b - mean == mean - a and slope >= 2.0**-10 and starts[0] >= 1:
        tail_slope = slope
        while fma(real(2.0**31), tail_slope, starts[0]) >= 2.0**31:
            tail_slope = np.nextafter(tail_slope, real(0))
        p = fma(np.abs(t), tail_slope, starts[0])
    else:
        p = fma(np.abs(t), slope, np.where(v < 0, *starts))
        p = np.minimum(p, np.nextafter(real(2.0**32), real(0)) - p)
    p = np.maximum(p, real(1))
    value = quantile(fma(x, slope, center), p, real(std), real(mean))
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

    Mirrored: with a word comes its negative.
    """
    distances = {0, 1, 2, 3, (1 << 31) - 2, (1 << 31) - 1, 1 << 31}
    for octave in range(2, 31):
        distances |= {(1 << octave) + d for d in (-1, 0, 1)}
        distances |= {(1 << octave) + (1 << octave - 2) * quarter for quarter in (1, 2, 3)}
    found = {word for d in distances for word in (d, (1 << 31) - d)}
    found |= {-word % (1 << 32) for word in found}
    return np.array(sorted(found), dtype=np.uint32)
