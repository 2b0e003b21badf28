"""What is measured on a GPU, and what has to be reached on an H200."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ..cases import (
    DTYPES,
    INITIALIZERS,
    Case,
    Fill,
)
from ..goals import Goal
from ..many import SmallTensors
from ..matrices import OrthogonalBatch
from ..plans import Plan
from ..plot import CHARTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LARGE_BYTES = 256 << 20
_LARGE = {
    ("uniform_", "float32"): Goal(2.5, 0.95),
    ("xavier_uniform_", "float32"): Goal(2.5, 0.95),
    ("normal_", "float32"): Goal(3, 0.90),
    ("kaiming_normal_", "float32"): Goal(3, 0.90),
    ("trunc_normal_", "float32"): Goal(15, 0.80),
    ("uniform_", "bfloat16"): Goal(3, 0.75),
    ("normal_", "bfloat16"): Goal(4, 0.50),
    ("uniform_", "float64"): Goal(1.5),
    ("normal_", "float64"): Goal(2),
}
_MATRICES = {
    ("sparse_", 24): Goal(1000, 0.3),
    ("orthogonal_", 22): Goal(8),
    ("orthogonal_", 24): Goal(8),
}


@dataclass(frozen=True, kw_only=True)
class GpuFill(Fill):
    """A fill with what it has to reach on an H200."""

    @property
    def goal(self) -> Goal | None:
        if self.exponent == 4:
            return Goal(1)
        if self.bytes >= _LARGE_BYTES:
            return _LARGE.get((self.name, self.dtype))
        return _MATRICES.get((self.name, self.exponent))


@dataclass(frozen=True, kw_only=True)
class GpuSmallTensors(SmallTensors):
    """A model's small tensors, with what they have to reach on an H200."""

    goal = Goal(20)


@dataclass(frozen=True, kw_only=True)
class GpuOrthogonalBatch(OrthogonalBatch):
    """Many small matrices, with what they have to reach on an H200."""

    goal = Goal(100)


def gpu_plan(dry_run: bool) -> Plan:
    """The cases on CUDA, or a few small ones on the CPU."""
    threads = torch.get_num_threads()
    if dry_run:
        small = _cases("cpu", threads, (10, 12), (10,), orthogonal=(8,), sparse=8, batch=(4, 16))
        # One law in the other dtypes: each program of torch.compile takes a fifth of a second.
        few = (each for each in small if each.dtype == "float32" or each.name == CHARTED[0])
        return Plan(tuple(few), rounds=2, seconds_per_round=1e-4, budget=0.2, reruns=0)
    sizes = range(10, 29, 2)
    others = (16, 22, 28)
    cases = tuple(
        _cases("cuda", threads, sizes, others, orthogonal=(20, 22, 24), sparse=24, batch=(1000, 64))
    )
    return Plan(cases, rounds=7, seconds_per_round=0.008, budget=0.5, reruns=0, least_rounds=3)


def _cases(
    device: str,
    threads: int,
    sizes: Sequence[int],
    sizes_of_other_dtypes: Sequence[int],
    orthogonal: Sequence[int],
    sparse: int,
    batch: tuple[int, int],
) -> Iterator[Case]:
    """The most wanted first: a run that is stopped keeps what it has."""

    def case(name: str, exponent: int, dtype: str = "float32") -> GpuFill:
        return GpuFill(
            initializer=INITIALIZERS[name],
            exponent=exponent,
            dtype=dtype,
            threads=threads,
            device=device,
        )

    count, side = batch
    floats = (*CHARTED, "xavier_uniform_", "kaiming_normal_")
    largest, other_dtypes = (
        max(sizes_of_other_dtypes),
        [name for name in DTYPES if name != "float32"],
    )
    # Where goals are.
    yield from (case(name, max(sizes)) for name in floats)
    yield from (case(name, largest, dtype) for dtype in other_dtypes for name in CHARTED)
    yield case("sparse_", sparse)
    yield from (case("orthogonal_", exponent) for exponent in orthogonal)
    common: Any = {"dtype": "float32", "threads": threads, "device": device}
    yield GpuOrthogonalBatch(count=count, side=side, **common)
    yield GpuSmallTensors(**common)
    yield from (case(name, 4) for name in INITIALIZERS)  # the call alone
    # Over sizes.
    for name in (*floats, "constant_"):
        skipped = 0 if name == "constant_" else max(sizes)
        yield from (case(name, exponent) for exponent in sizes if exponent != skipped)
    for dtype in other_dtypes:
        for name in CHARTED:
            rest = (each for each in sizes_of_other_dtypes if each != largest)
            yield from (case(name, exponent, dtype) for exponent in rest)
