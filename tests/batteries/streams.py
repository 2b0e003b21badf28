"""Streams of 32-bit words for statistical batteries, made by the public functions.

Each stream is what somebody reads who initializes models: one long tensor, a matrix by its columns,
tensors of neighboring seeds or of children of a key one beside the other, values mapped back to the
probabilities they stand for, the entries that `sparse_` chooses. A float64 uniform on [0, 1) keeps
its 32-bit word in its upper bits, so that nothing of a word is hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import ndtr

import winit_cuda as winit
from winit_cuda import Key, Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Words = np.ndarray[Any, np.dtype[np.uint32]]

ROOT_KEY = winit.fold_in(winit.key(20261127), "batteries")
LONG = 1 << 22  # elements at a time of a stream that goes on
MEMBERS, EACH = 4096, 64  # tensors that are read across, and elements of each


def words_of(probabilities: np.ndarray[Any, Any]) -> Words:
    """The upper 32 bits of probabilities in [0, 1)."""
    words = np.minimum(probabilities * 2.0**32, 2.0**32 - 1)
    return words.astype(np.uint32)  # type: ignore[no-any-return]


def filled(fill: Callable[..., Any], shape: tuple[int, ...], key: Key, **arguments: Any) -> Any:
    """The float64 values of a fill."""
    return fill(torch.empty(shape, dtype=torch.float64), key=key, **arguments).numpy()


def parts_of_one(name: str, fill: Callable[..., Any], **arguments: float) -> Iterator[Any]:
    """The values of one tensor of 2**40 elements, part by part."""
    key = winit.fold_in(ROOT_KEY, name)
    for begin in range(0, 1 << 40, LONG):
        shard = Shard((1 << 40,), (begin,))
        yield filled(fill, (LONG,), key, shard=shard, **arguments)


def one_stream() -> Iterator[Words]:
    """One long tensor."""
    return (words_of(values) for values in parts_of_one("one stream", winit.uniform_))


def columns() -> Iterator[Words]:
    """Matrices of 16384x256, column by column."""
    for values in parts_of_one("columns", winit.uniform_):
        yield words_of(values.reshape(-1, 256).T).ravel()


def across(keys: Iterator[Key]) -> Iterator[Words]:
    """Tensors of these keys side by side: the first elements of all of them, the second ..."""
    rows = torch.empty(MEMBERS, EACH, dtype=torch.float64)
    members = list(rows)
    while True:
        for member in members:
            winit.uniform_(member, key=next(keys))
        yield words_of(rows.numpy().T).ravel()


def adjacent_seeds() -> Iterator[Words]:
    """key(0), key(1), key(2), ..."""
    return across(map(winit.key, range(1 << 60)))


def children_of_split() -> Iterator[Words]:
    """The children of `split`."""

    def keys() -> Iterator[Key]:
        for number in range(1 << 60):
            yield from winit.split(winit.fold_in(ROOT_KEY, number), 1 << 18)

    return across(keys())


def named_children() -> Iterator[Words]:
    """The children that the names of layers name."""
    kinds = ("attn.wq", "attn.wk", "attn.wv", "attn.wo", "mlp.up", "mlp.down", "norm.1", "norm.2")
    names = (f"layers.{i}.{kind}.weight" for i in range(1 << 60) for kind in kinds)
    return across(winit.fold_in(ROOT_KEY, name) for name in names)


def normals() -> Iterator[Words]:
    """Standard normals, by their distribution function."""
    return (words_of(ndtr(values)) for values in parts_of_one("normals", winit.normal_))


def truncated(name: str, a: float, b: float) -> Iterator[Words]:
    """Truncated normals, by theirs; in the upper tail, from above, where nothing cancels."""
    above = a > 0
    low, high = (ndtr(-b), ndtr(-a)) if above else (ndtr(a), ndtr(b))
    for values in parts_of_one(name, winit.trunc_normal_, a=a, b=b):
        inside = (ndtr(-values if above else values) - low) / (high - low)
        yield words_of(np.clip(inside, 0.0, 1.0))


def truncated_normals() -> Iterator[Words]:
    """Normals in [-2, 2]."""
    return truncated("truncated", -2.0, 2.0)


def tail_normals() -> Iterator[Words]:
    """Normals in [1, 4]."""
    return truncated("tail", 1.0, 4.0)


def choice_of_sparse() -> Iterator[Words]:
    """Which of two entries of a column is the zero, a bit for each column."""
    matrix = torch.empty(2, LONG)
    for number in range(1 << 60):
        winit.sparse_(matrix, 0.5, std=1.0, key=winit.fold_in(ROOT_KEY, number))
        bits = (matrix[0] == 0).numpy()
        yield np.packbits(bits).view(np.uint32)


STREAMS: dict[str, Callable[[], Iterator[Words]]] = {
    "one long stream": one_stream,
    "columns of matrices": columns,
    "adjacent seeds": adjacent_seeds,
    "children of split": children_of_split,
    "named children": named_children,
    "normals mapped back": normals,
    "truncated normals mapped back": truncated_normals,
    "one-sided truncated normals mapped back": tail_normals,
    "the choice of sparse_": choice_of_sparse,
}

MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], dtype=np.uint64)
WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(rounds: int, blocks: Any, key: Key) -> Words:
    """Philox4x32 of so many rounds, an implementation apart from the core's."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    shape = blocks.shape
    counter = [
        blocks & low,
        blocks >> half,
        np.full(shape, key.stream & 0xFFFFFFFF, dtype=np.uint64),
        np.full(shape, key.stream >> 32, dtype=np.uint64),
    ]
    first, second = key.seed & 0xFFFFFFFF, key.seed >> 32
    for _ in range(rounds):
        product0, product1 = counter[0] * MULTIPLIERS[0], counter[2] * MULTIPLIERS[1]
        counter = [
            (product1 >> half) ^ counter[1] ^ np.uint64(first),
            product1 & low,
            (product0 >> half) ^ counter[3] ^ np.uint64(second),
            product0 & low,
        ]
        first, second = (first + WEYL[0]) % 2**32, (second + WEYL[1]) % 2**32
    return np.stack(counter, axis=-1).astype(np.uint32).ravel()


def philox_stream(rounds: int) -> Callable[[], Iterator[Words]]:
    """One long stream of a Philox with another number of rounds."""

    def words() -> Iterator[Words]:
        for begin in range(0, 1 << 60, LONG // 16):
            blocks = np.arange(begin, begin + LONG // 16, dtype=np.uint64)
            yield philox(rounds, blocks, winit.key(0))

    return words
