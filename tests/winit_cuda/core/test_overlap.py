"""Whether elements share memory, against the addresses counted one by one."""

from __future__ import annotations

import itertools
import math
import random

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._core import overlap
from winit_cuda._core.overlap import overlaps

SEED = 20240
ENTANGLED = (
    (17, 18, 21, 3, 19, 17, 14, 4, 43),
    (
        361756417,
        380876691,
        80380395,
        2937213030,
        107637239,
        631882894,
        736412842,
        935412840,
        109109552,
    ),
)


def counted(sizes, strides):
    """Whether there are fewer addresses than elements."""
    addresses = {0}
    for size, stride in zip(sizes, strides, strict=True):
        addresses = {address + stride * x for address in addresses for x in range(size)}
    return len(addresses) < math.prod(sizes)


def test_small_tensors():
    for rank, top in ((0, 1), (1, 7), (2, 7), (3, 5)):
        for sizes in itertools.product(range(5), repeat=rank):
            for strides in itertools.product(range(top + 1), repeat=rank):
                assert overlaps(sizes, strides) is counted(sizes, strides), (sizes, strides)


def drawn(source):
    """Sizes of at most 2,000 elements, with strides that are small, large, or have factors."""
    sizes, left = [], 2000
    for _ in range(source.randint(1, 8)):
        sizes.append(source.randint(1, max(1, min(source.choice([2, 3, 5, 40]), left))))
        left //= sizes[-1]
    top, factor = source.choice([3, 10, 60, 1000, 10**5]), source.choice([1, 1, 2, 6, 12])
    strides = [source.randint(1, top) * source.choice([1, factor]) for _ in sizes]
    return tuple(sizes), tuple(strides)


def nearly_dense(source):
    """A dense tensor, permuted, whose strides were moved a little."""
    sizes = [source.randint(2, 5) for _ in range(source.randint(2, 5))]
    strides = [math.prod(sizes[at + 1 :]) for at in range(len(sizes))]
    strides = [stride * 2 + source.choice([0, 0, 0, 1, -1]) for stride in strides]
    order = source.sample(range(len(sizes)), len(sizes))
    return tuple(sizes[at] for at in order), tuple(strides[at] for at in order)


@pytest.mark.parametrize("draw", [drawn, nearly_dense])
@pytest.mark.parametrize("steps", [overlap.SEARCH_STEPS, 3])
def test_drawn_tensors(draw, steps, monkeypatch):
    """Where the search ends early, the addresses are marked, and the answer is the same."""
    print("seed", SEED)
    monkeypatch.setattr(overlap, "SEARCH_STEPS", steps)
    source, found = random.Random(SEED), {True: 0, False: 0}
    for _ in range(3000):
        sizes, strides = draw(source)
        expected = counted(sizes, strides)
        assert overlaps(sizes, strides) is expected, (sizes, strides)
        found[expected] += 1
    assert min(found.values()) > 500


# (sizes, strides, whether they overlap)
LARGE = {
    "dense": ((2**40, 2**40), (2**40, 1), False),
    "transposed": ((2**40, 2**40), (1, 2**40), False),
    "all in one place": ((2**40, 2**40), (1, 1), True),
    "stride 0": ((2**62,), (0,), True),
    "interleaved": ((2, 2**40), (3, 2), False),
    "interleaved once too often": ((3, 2**40), (3, 2), True),
    "two by two": ((2, 2, 2**40), (5, 2, 4), False),
    "coprime to the last": ((2**31 - 1, 2**31), (2**31, 2**31 - 1), False),
    "coprime and one more": ((2**31, 2**31 + 1), (2**31, 2**31 - 1), True),
    "interleaved rows of rows": ((1000, 2, 10**6), (4 * 10**6, 3, 2), False),
    "64 dimensions": ((1,) * 20 + (2,) * 44, (1,) * 20 + tuple(2**at for at in range(44)), False),
    "64 dimensions, one of them wider": (
        (2,) * 43 + (3,) + (1,) * 20,
        tuple(2**at for at in range(42, -1, -1)) + (2**43,) + (1,) * 20,
        False,
    ),
    "one that needs all others": (
        (2,) * 41,
        (*(2**at for at in range(40)), 2**40 - 1),
        True,
    ),
    "windows": ((10**6 - 2, 3), (1, 1), True),
    "bounds that close in slowly": ((10**6, 10**6, 5), (10**9, 10**9 + 7, 1), False),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_tensors_take_few_steps(name, monkeypatch):
    monkeypatch.setattr(overlap, "SEARCH_STEPS", 100)
    monkeypatch.setattr(overlap, "MARKED", 0)
    sizes, strides, expected = LARGE[name]
    assert overlaps(sizes, strides) is expected
    order = random.Random(SEED).sample(range(len(sizes)), len(sizes))
    assert overlaps(*(tuple(of[at] for at in order) for of in (sizes, strides))) is expected


def test_the_search_ends(monkeypatch):
    searches = []

    class Counted(overlap._Search):
        def __init__(self):
            super().__init__()
            searches.append(self)

    monkeypatch.setattr(overlap, "_Search", Counted)
    assert overlaps(*ENTANGLED) is None
    assert [search.steps for search in searches] == [overlap.SEARCH_STEPS + 1]


def test_what_cannot_be_told_is_refused(monkeypatch):
    monkeypatch.setattr(overlap, "SEARCH_STEPS", 0)
    monkeypatch.setattr(overlap, "MARKED", 0)
    tensor = torch.zeros(100).as_strided((3, 3, 3), (7, 5, 4))
    with pytest.raises(RuntimeError) as caught:
        winit.uniform_(tensor, 1, 2)
    assert str(caught.value) == (
        "uniform_: tensor must be without elements that share memory (clone it first), got shape"
        " (3, 3, 3) with strides (7, 5, 4), which are too entangled to tell"
    )
    assert not tensor.any()


@needs_core
def test_interleaved_tensors_are_filled():
    memory = torch.zeros(2_000)
    tensor = memory.as_strided((2, 900), (3, 2))
    assert torch.equal(
        winit.uniform_(tensor, 1, 2, key=winit.key(0)),
        winit.uniform_(torch.empty(2, 900), 1, 2, key=winit.key(0)),
    )
    assert memory.count_nonzero() == 1800
