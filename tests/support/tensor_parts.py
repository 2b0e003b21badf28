"""Parts of a tensor, as `shard=` takes them, and the initializers that are tried on them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import winit_cuda as winit
from initializers import ORTHOGONAL, Initializer
from winit_cuda._core.dtypes import FLOATING

KEY = winit.fold_in(winit.key(13), "a weight")
DTYPES = [described.dtype for described in FLOATING]

INITIALIZERS = [
    Initializer("uniform_", (12, 10), (-0.5, 2.0)),
    Initializer("uniform_", (12, 10), (0.5, 0.5)),
    Initializer("uniform_", (23,)),
    Initializer("normal_", (12, 10), (0.25, 0.5)),
    Initializer("normal_", (6, 4, 3, 2)),
    Initializer("trunc_normal_", (12, 10), (0.0, 0.5, -0.75, 1.0)),
    Initializer("trunc_normal_", (5, 3, 4), (0.0, 1.0, 0.0, float("inf"))),
    Initializer("trunc_normal_", (12, 10), (0.0, 0.0)),
    Initializer("xavier_uniform_", (12, 10), (-1.5,)),
    Initializer("xavier_normal_", (6, 4, 3)),
    Initializer("kaiming_uniform_", (12, 10), (0.0, "fan_out", "relu")),
    Initializer("kaiming_normal_", (6, 4, 3, 2)),
    Initializer("orthogonal_", (12, 10)),
    Initializer("orthogonal_", (6, 4, 3)),
    Initializer("delta_orthogonal_", (6, 5, 3)),
    Initializer("delta_orthogonal_", (7, 4, 4, 1)),
    Initializer("sparse_", (12, 10), (0.3, 1.0)),
    Initializer("sparse_", (12, 10), (0.0, 1.0)),
    Initializer("constant_", (12, 10), (0.25,), is_random=False),
    Initializer("ones_", (7,), is_random=False),
    Initializer("zeros_", (12, 10), is_random=False),
    Initializer("eye_", (12, 10), is_random=False),
    Initializer("eye_", (5, 14), is_random=False),
    Initializer("dirac_", (6, 5, 3), is_random=False),
    Initializer("dirac_", (12, 3, 2, 3), (4,), is_random=False),
    Initializer("dirac_", (8, 1, 3), (8,), is_random=False),
]
every = pytest.mark.parametrize(
    "initializer", INITIALIZERS, ids=lambda entry: f"{entry}{entry.shape}"
)

Interval = tuple[int, int]


class Part:
    """What intervals of each dimension, in this order, pick of a tensor."""

    def __init__(self, shape: tuple[int, ...], *intervals: list[Interval]) -> None:
        self.intervals = intervals
        picked = [list(itertools.chain(*(range(*pair) for pair in own))) for own in intervals]
        self.indices = [torch.tensor(own, dtype=torch.long) for own in picked]
        self.shape = tuple(map(len, picked))
        if all(len(own) == 1 for own in intervals):
            self.shard = winit.Shard(shape, tuple(own[0][0] for own in intervals))
            return
        starts = [itertools.accumulate((b - a for a, b in own), initial=0) for own in intervals]
        pairs = [
            list(zip(own, at, strict=False)) for own, at in zip(intervals, starts, strict=True)
        ]
        self.shard = winit.Shards(
            [
                winit.Box(
                    tuple(first for (first, _), _ in each),
                    tuple(last - first for (first, last), _ in each),
                    tuple(at for _, at in each),
                )
                for each in itertools.product(*pairs)
            ],
            shape,
        )

    def of(self, whole: torch.Tensor) -> torch.Tensor:
        for dimension, index in enumerate(self.indices):
            whole = whole.index_select(dimension, index)
        return whole

    def __repr__(self) -> str:
        return f"Part{self.intervals}"


def cuts(shape, seed, count=4):
    """Halves along each dimension, empty parts, and random boxes, one or several."""
    full = [[(0, size)] for size in shape]
    for dimension, size in enumerate(shape):
        for interval in ((0, size // 2), (size // 2, size), (size, size)):
            yield Part(shape, *full[:dimension], [interval], *full[dimension + 1 :])
    chance = np.random.default_rng(seed)
    for boxes, _ in itertools.product((1, 2, 3), range(count)):
        picked = []
        for size in shape:
            ends = np.sort(chance.integers(0, size + 1, 2 * boxes)).tolist()
            intervals = list(zip(ends[::2], ends[1::2], strict=True))
            chance.shuffle(intervals)
            picked.append([tuple(pair) for pair in intervals])
        yield Part(shape, *picked)


def views(shape, dtype=torch.float32):
    """A contiguous tensor of this shape and one whose dimensions lie in the other order."""
    yield torch.full(shape, 7.0).to(dtype)
    yield torch.full(shape[::-1], 7.0).to(dtype).permute(*range(len(shape))[::-1])


def same(initializer, found, expected):
    if initializer.name not in ORTHOGONAL:
        return found.dtype == expected.dtype and torch.equal(found.double(), expected.double())
    tolerance = 1e-14 if found.dtype == torch.float64 else max(1e-6, torch.finfo(found.dtype).eps)
    return torch.allclose(found.double(), expected.double(), rtol=0, atol=tolerance)


def keyed(initializer, **options):
    return {"key": KEY, **options} if initializer.is_random else options


SEVERAL = Part((12, 10), [(7, 9), (1, 4)], [(2, 9)])
ONE = Part((12, 10), [(3, 8)], [(2, 9)])
EMPTY = Part((12, 10), [(12, 12)], [(0, 10)])
