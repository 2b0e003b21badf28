"""The keys of numbered children as the core derives them, against hashlib and fold_in."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

import winit_cuda as winit
from core import _C, CPU, DEVICES, memory_of, name_of, stream_of
from winit_cuda import Key
from winit_cuda._core import backend

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


@pytest.mark.parametrize("place", [CPU, *DEVICES], ids=name_of)
@pytest.mark.parametrize("key_in_memory", [False, True])
@pytest.mark.parametrize("count", [1, 4, 300])
def test_keys_are_written(count, key_in_memory, place):
    parent = 2**64 - 3, 2**63 + 5
    memory = torch.full((2 * count + 4,), 7, dtype=torch.int64)
    cell = torch.tensor([-3, 5 - 2**63])
    with memory_of(memory, place) as m, memory_of(cell, place) as c:
        words = (c, 8, 9) if key_in_memory else (0, *parent)
        place.core.split_keys(m + 16, count, place.device, stream_of(place), *words)
    found = memory.numpy().view(np.uint64).tolist()
    assert found[:2] == found[-2:] == [7, 7]
    assert found[2:-2:2] == [parent[0]] * count
    assert found[3:-2:2] == [hashed(*parent, j) for j in range(count)]


def test_no_children():
    _C.split_keys(0, 0, -1, 0, 0, 1, 2)
    with pytest.raises(ValueError, match="count"):
        _C.split_keys(0, -1, -1, 0, 0, 1, 2)
