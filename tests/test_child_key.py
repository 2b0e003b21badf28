"""The keys of numbered children as the core derives them, against hashlib and fold_in."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import winit_cuda as winit
from core import _C
from winit_cuda import Key, backend

WORDS = [0, 1, 255, 256, 2**32, 2**56 - 1, 2**56, 2**63 - 1, 2**63, 2**64 - 1, 0x0123456789ABCDEF]


def hashed(seed, stream, j):
    """Written out from RFC 7693's parameters."""
    message = seed.to_bytes(8, "little") + stream.to_bytes(8, "little")
    message += b"i" + j.to_bytes(16, "little")
    digest = hashlib.blake2b(message, digest_size=8, person=b"winit_cuda v1").digest()
    return int.from_bytes(digest, "little")


@pytest.mark.parametrize("j", WORDS)
def test_any_number_of_any_key(j):
    for seed in WORDS:
        for stream in WORDS:
            found = _C.child_stream(seed, stream, j)
            assert found == hashed(seed, stream, j)
    assert winit.fold_in(Key(5, 6), j) == Key(5, _C.child_stream(5, 6, j))


def test_every_bit_counts():
    seed, stream, j = 0x0123456789ABCDEF, 0xFEDCBA9876543210, 0x0F1E2D3C4B5A6978
    for bit in range(64):
        flip = 1 << bit
        for numbers in (
            (seed ^ flip, stream, j),
            (seed, stream ^ flip, j),
            (seed, stream, j ^ flip),
        ):
            assert _C.child_stream(*numbers) == hashed(*numbers)


@pytest.mark.parametrize("parent", [Key(0, 0), Key(2**64 - 1, 2**63), Key(2**63, 7)], ids=str)
def test_split(parent, monkeypatch):
    children = winit.split(parent, 70)
    assert children == tuple(winit.fold_in(parent, j) for j in range(70))
    for child in children:  # they are keys like others
        same = Key(child.seed, child.stream)
        assert (child.signed_seed, child.signed_stream) == (same.signed_seed, same.signed_stream)
        assert hash(child) == hash(same)
        assert type(child.stream) is int
    monkeypatch.setattr(backend, "loaded", None)
    assert winit.split(parent, 70) == children


def test_nothing_else_is_written():
    memory = np.full(12, 7, dtype=np.uint64)
    _C.split_keys(memory[2:].ctypes.data, 4, 1, 2)
    assert memory[[0, 1, 10, 11]].tolist() == [7] * 4
    assert memory[2:10:2].tolist() == [1] * 4
    assert memory[3:10:2].tolist() == [hashed(1, 2, j) for j in range(4)]
    _C.split_keys(0, 0, 1, 2)
