"""Keys: their words, derivation, and golden values that never change."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import weakref

import numpy as np
import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from winit_cuda import Key
from winit_cuda._core import backend
from winit_cuda._keys.keys import named_words, words_of_cuda_generator

SHARD = winit.Shard((4, 6), (0, 3))
FROZEN = [(0x7347C33D6A68715B, 0xBC067D7D12007E71), (0x247E718E3E9B0D46, 0x22C2FE8204241539)]
# fold_in is part of the stream contract, version 1: these values are frozen.
GOLDEN = [
    (Key(0, 0), "layers.0.attn.wq", 0x1AA3317E399802CD),
    (Key(0, 0), "", 0x067D5792232808E8),
    (Key(0, 0), 0, 0x1BCD26C098312CC2),
    (Key(0, 0), -1, 0xF54E010A70A5E12C),
    (Key(2**64 - 1, 0), 2**64 - 1, 0xC7F4C4A96C83703D),
    (Key(7, 0), "\N{GREEK SMALL LETTER PI}", 0x2122AAFD6E611378),
    (Key(1, 2), "a", 0xAD8F0217C8D5CB04),
]


@pytest.mark.parametrize(("key", "data", "stream"), GOLDEN)
def test_fold_in_is_frozen(key, data, stream):
    assert winit.fold_in(key, data) == Key(key.seed, stream)


def test_key_takes_what_manual_seed_takes():
    assert winit.key(5) == Key(5, 0)
    assert winit.key(-1) == Key(2**64 - 1, 0)
    assert winit.key(-(2**63)) == Key(2**63, 0)
    assert winit.key(2**64 - 1) == Key(2**64 - 1, 0)
    assert winit.key(np.int32(5)) == winit.key(torch.tensor(5)) == Key(5, 0)


def test_key_is_plain_data():
    key = Key(3, 4)
    assert repr(key) == "Key(seed=3, stream=4)"
    assert key == Key(3, 4)
    assert key != Key(4, 3)
    assert len({key, Key(3, 4), Key(3, 5)}) == 2
    assert sorted([Key(1, 0), Key(0, 9), Key(0, 1)]) == [Key(0, 1), Key(0, 9), Key(1, 0)]
    assert pickle.loads(pickle.dumps(key)) == copy.deepcopy(key) == key
    with pytest.raises(dataclasses.FrozenInstanceError):
        key.seed = 1
    with pytest.raises((AttributeError, TypeError)):
        key.other = 1
    assert weakref.ref(key)() is key  # by which torch 2.4 guards what it compiles


def test_words_are_python_integers():
    key = Key(np.int64(3), np.uint64(2**64 - 1))
    assert (type(key.seed), type(key.stream)) == (int, int)


@pytest.mark.parametrize("word", [-1, 2**64])
def test_words_have_64_bits(word):
    with pytest.raises(ValueError, match=r"Key: stream must be in \[0, 2\*\*64\), got "):
        Key(0, word)
    with pytest.raises(ValueError, match="seed"):
        Key(word, 0)


@pytest.mark.parametrize("word", [True, torch.tensor(True), 1.0, "1", None, torch.tensor(1.5)])
def test_words_are_integers(word):
    for make in (winit.key, lambda seed: Key(0, seed)):
        with pytest.raises(TypeError, match="must be an integer"):
            make(word)


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**64])
def test_key_range(seed):
    with pytest.raises(ValueError, match=r"key: seed must be in \[-2\*\*63, 2\*\*64\)"):
        winit.key(seed)


def test_children_differ():
    key = winit.key(0)
    data = [*range(-300, 300), 2**63, 2**64 - 1, *map(str, range(300)), "", "ab", "c", "a", "bc"]
    children = [winit.fold_in(key, value) for value in data]
    assert len({child.stream for child in children}) == len(data)
    assert {child.seed for child in children} == {0}


def test_paths_are_unambiguous():
    key = winit.key(0)
    first = winit.fold_in(winit.fold_in(key, "ab"), "c")
    second = winit.fold_in(winit.fold_in(key, "a"), "bc")
    assert first != second
    assert winit.fold_in(key, "1") != winit.fold_in(key, 1)


@pytest.mark.parametrize("data", [True, 1.0, None, b"a", ("a",)])
def test_fold_in_takes_names_and_integers(data):
    with pytest.raises(TypeError, match="fold_in: data must be a string or an integer"):
        winit.fold_in(winit.key(0), data)


@pytest.mark.parametrize("data", [-(2**63) - 1, 2**64])
def test_fold_in_range(data):
    with pytest.raises(ValueError, match="fold_in: data"):
        winit.fold_in(winit.key(0), data)


def test_fold_in_and_split_take_keys():
    with pytest.raises(TypeError, match=r"fold_in: key must be a winit_cuda\.Key, got 0"):
        winit.fold_in(0, "a")
    with pytest.raises(TypeError, match="split: key"):
        winit.split((0, 0), 2)


def test_children_of_split_are_whole_keys():
    """They are made without a Key's own checks, the signed words included."""
    for parent in (Key(0, 0), Key(2**64 - 1, 5)):
        children = winit.split(parent, 32)
        assert len({child.stream >> 62 for child in children}) == 4  # every sign, early and late
        for number, child in enumerate(children):
            made = winit.fold_in(parent, number)
            for word in ("seed", "stream", "signed_seed", "signed_stream"):
                assert getattr(child, word) == getattr(made, word)


def test_split():
    key = Key(1, 2)
    assert winit.split(key, 0) == ()
    assert winit.split(key) == winit.split(key, 2)
    assert winit.split(key, 3) == tuple(winit.fold_in(key, j) for j in range(3))
    for count in (True, torch.tensor(True), 2.0):
        with pytest.raises(TypeError, match="split: n must be an integer, got "):
            winit.split(key, count)
    with pytest.raises(ValueError, match="split: n must be at least 0, got -1"):
        winit.split(key, -1)
    with pytest.raises(TypeError, match="split: n"):
        winit.split(key, 1.0)


@pytest.mark.parametrize("value", [winit.key(3), winit.fold_in(winit.key(-1), "w"), SHARD], ids=str)
def test_torch_loads_what_was_saved(value):
    """By torch.load's defaults (from torch 2.6), which run no code of the file; by public names."""
    file = io.BytesIO()
    torch.save({"it": [value]}, file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["it"] == [value]
    text = pickle.dumps(value, protocol=0)
    assert b"winit_cuda\n" in text
    assert b"_keys" not in text
    assert pickle.loads(text) == value


def test_strings_that_cannot_be_encoded():
    with pytest.raises(
        ValueError, match="fold_in: data must be text that UTF-8 can encode"
    ) as told:
        winit.fold_in(winit.key(0), "é\ud800")
    assert str(told.value).endswith(r"got '\xe9\ud800'")


@pytest.mark.parametrize("count", [2**44, 2**60, 2**63 - 1])
@pytest.mark.parametrize("loaded", [True, False])
def test_more_keys_than_memory(monkeypatch, count, loaded):
    if not loaded:
        monkeypatch.setattr(backend, "loaded", None)
    with pytest.raises(RuntimeError, match=f"split: out of memory: n = {count} keys"):
        winit.split(winit.key(0), count)


def test_more_keys_than_there_are():
    for count in (2**63, 10**5000):
        with pytest.raises(ValueError, match=r"split: n must be less than 2\*\*63"):
            winit.split(winit.key(0), count)


def test_the_key_of_a_cuda_generator_is_frozen():
    """BLAKE2b of its seed and offset: none of its words are those of torch's own kernels."""
    assert words_of_cuda_generator(0, 0) == FROZEN[0]
    assert words_of_cuda_generator(2**63 + 5, 4) == FROZEN[1]
    seen = {words_of_cuda_generator(seed, offset) for seed in range(50) for offset in range(50)}
    assert len({seed for seed, _ in seen}) == len({stream for _, stream in seen}) == 2500


@needs_core
def test_many_names_at_once():
    """Of every length around the blocks of the hash: 128 bytes, with the key before the name."""
    parent = winit.Key(2**64 - 1, 0x0123456789ABCDEF)
    names = [
        "",
        "layers.0.attn.wq.weight",
        "größe",
        "名",
        "\0",
        *("n" * size for size in range(300)),
    ]
    expected = [winit.fold_in(parent, name) for name in names]
    words = named_words(parent, names)
    assert list(map(Key, words[::2], words[1::2])) == expected
    assert not named_words(parent, [])
    with pytest.raises(UnicodeEncodeError):
        named_words(parent, ["\ud800"])
