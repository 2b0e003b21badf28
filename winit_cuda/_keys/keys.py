"""Keys: which random values a fill writes.

A key is a pair of 64-bit words (seed, stream). A fill with the same key writes the same values,
on any device, in any layout, and a key is never used up: derive a new one for each tensor with
`fold_in` or `split`.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, SupportsIndex

import torch

from .._core import backend
from .._core.checks import WrongValueError, integer, unfit, wrong
from .._core.weak_reference import WeaklyReferenced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = 2**64 - 1
_PERSON = b"winit_cuda v1"


@dataclass(frozen=True, order=True, slots=True)
class Key(WeaklyReferenced):
    """The words (seed, stream) of a random stream, each in [0, 2**64).

    Make one with `key`, and others from it with `fold_in` and `split`.

    Raises:
        TypeError: A word is not an integer.
        ValueError: A word is not in [0, 2**64).
    """

    seed: int
    stream: int
    # The same bits as int64, which operators of torch take.
    signed_seed: int = field(init=False, repr=False, compare=False)
    signed_stream: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        seed, stream = _word("seed", self.seed), _word("stream", self.stream)
        store = object.__setattr__
        store(self, "seed", seed)
        store(self, "stream", stream)
        for name, word in (("signed_seed", seed), ("signed_stream", stream)):
            store(self, name, word - 2**64 if word >> 63 else word)

    def __reduce__(self) -> tuple[type[Key], tuple[int, int]]:
        return Key, (self.seed, self.stream)


# Files name the class by its public place.
Key.__module__ = "winit_cuda"
torch.serialization.add_safe_globals([Key])


def key(seed: SupportsIndex) -> Key:
    """Return the key (seed mod 2**64, 0).

    Args:
        seed: An integer in [-2**63, 2**64), as `torch.manual_seed` takes.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: `seed` is out of range.

    Example:
        >>> import winit_cuda as winit
        >>> winit.key(0)
        Key(seed=0, stream=0)
    """
    return Key(int64_or_uint64("key", "seed", seed) & MASK, 0)


def fold_in(key: Key, data: str | SupportsIndex) -> Key:
    """Return the child of `key` that `data`, a name or a number, names.

    stream' = the first 64 bits of BLAKE2b(seed, stream, kind of data, data); seed' = seed. A name
    and a number never name the same child, nor do two paths such as ("ab", "c") and ("a", "bc").

    Args:
        key: The parent.
        data: A string, or an integer in [-2**63, 2**64).

    Raises:
        TypeError: `key` is not a Key, or `data` is neither a string nor an integer.
        ValueError: `data` is an integer out of range, or a string with a lone surrogate.

    Example:
        >>> import winit_cuda as winit
        >>> k = winit.fold_in(winit.key(0), "layers.0.attn.wq")
        >>> k == winit.fold_in(winit.key(0), "layers.0.attn.wq")
        True
        >>> k == winit.fold_in(winit.key(0), "layers.0.attn.wk")
        False

    Paper:
        Saarinen & Aumasson, "The BLAKE2 Cryptographic Hash and Message Authentication Code
        (MAC)", RFC 7693, 2015.
    """
    if not isinstance(key, Key):
        raise wrong("fold_in", "key", "a winit_cuda.Key", key, TypeError)
    if isinstance(data, str):
        try:
            message = b"s" + data.encode()
        except UnicodeEncodeError as error:
            requirement = "text that UTF-8 can encode"
            raise unfit("fold_in", "data", requirement, ascii(data), WrongValueError) from error
    else:
        number = int64_or_uint64("fold_in", "data", data, "a string or an integer")
        message = b"i" + number.to_bytes(16, "little", signed=True)
    words = key.seed.to_bytes(8, "little") + key.stream.to_bytes(8, "little")
    digest = hashlib.blake2b(words + message, digest_size=8, person=_PERSON).digest()
    return Key(key.seed, int.from_bytes(digest, "little"))


def split(key: Key, n: SupportsIndex = 2) -> tuple[Key, ...]:
    """Return `n` children of `key`: child j is fold_in(key, j).

    Args:
        key: The parent.
        n: How many children, at least 0.

    Raises:
        TypeError: `key` is not a Key, or `n` is not an integer.
        ValueError: `n` is negative, or not below 2**63.
        RuntimeError: There is no memory for so many keys.

    Example:
        >>> import winit_cuda as winit
        >>> first, second = winit.split(winit.key(0), 2)
        >>> first == winit.fold_in(winit.key(0), 0)
        True
    """
    if not isinstance(key, Key):
        raise wrong("split", "key", "a winit_cuda.Key", key, TypeError)
    count = integer("split", "n", n)
    if count < 0:
        raise wrong("split", "n", "at least 0", count)
    if count >= 2**63:
        raise wrong("split", "n", "less than 2**63", count)
    try:
        words = array("Q", bytes(16 * count))
    except (MemoryError, OverflowError) as error:
        raise RuntimeError(f"split: out of memory: n = {count} keys of 16 bytes") from error
    if backend.loaded is None or not count:
        return tuple(fold_in(key, j) for j in range(count))
    backend.loaded.split_keys(words.buffer_info()[0], count, -1, 0, 0, key.seed, key.stream)
    return tuple(_children(key, words[1::2]))


def named_words(parent: Key, names: list[str]) -> array[int]:
    """Seed and stream of the child with each name in turn, as the core reads and finds them."""
    words = array("Q", bytes(16 * len(names)))
    backend.loaded.named_keys(words.buffer_info()[0], names, parent.seed, parent.stream)
    return words


def int64_or_uint64(function: str, argument: str, value: object, kind: str = "an integer") -> int:
    """Return a seed or a number to fold in as an int."""
    number = value if type(value) is int else integer(function, argument, value, kind)
    if not -(2**63) <= number <= MASK:
        raise wrong(function, argument, "in [-2**63, 2**64)", number)
    return number


def words_of_cuda_generator(seed: int, offset: int) -> tuple[int, int]:
    """The key (seed, stream) that a CUDA generator gives at an offset: BLAKE2b of the two."""
    message = (seed & MASK).to_bytes(8, "little") + offset.to_bytes(8, "little")
    digest = hashlib.blake2b(message, digest_size=16, person=_PERSON).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def _children(parent: Key, streams: Iterable[int]) -> Iterator[Key]:
    """The keys of a seed that is one and of streams that are 64 bits, without a look at them."""
    make, put = object.__new__, object.__setattr__
    seed, signed_seed = parent.seed, parent.signed_seed
    for stream in streams:
        child = make(Key)
        put(child, "seed", seed)
        put(child, "stream", stream)
        put(child, "signed_seed", signed_seed)
        put(child, "signed_stream", stream - 2**64 if stream >> 63 else stream)
        yield child


def _word(name: str, value: object) -> int:
    word = value if type(value) is int else integer("Key", name, value)
    if not 0 <= word <= MASK:
        raise wrong("Key", name, "in [0, 2**64)", word)
    return word
