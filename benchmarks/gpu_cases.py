"""What is measured on a GPU, and what has to be reached on an H200."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .cases import DTYPES, INITIALIZERS, Case, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The initializers of the chart and of every dtype.
PLAIN = ("uniform_", "normal_", "trunc_normal_")


def gpu_plan(dry_run: bool) -> Plan:
    """The cases on CUDA, or a few small ones on the CPU."""
    threads = torch.get_num_threads()
    if dry_run:
        small = _cases("cpu", threads, (10, 12), (10,), orthogonal=(8,), sparse=8)
        # One law in the other dtypes: each program of torch.compile takes a fifth of a second.
        few = (
            each for each in small if each.dtype == "float32" or each.initializer.name == PLAIN[0]
        )
        return Plan(tuple(few), rounds=2, seconds_per_round=1e-4, budget=0.2)
    sizes = range(10, 29, 2)
    others = (16, 22, 28)
    cases = tuple(_cases("cuda", threads, sizes, others, orthogonal=(20, 22, 24), sparse=24))
    return Plan(cases, rounds=7, seconds_per_round=0.008, budget=0.5)


def _cases(
    device: str,
    threads: int,
    sizes: Sequence[int],
    sizes_of_other_dtypes: Sequence[int],
    orthogonal: Sequence[int],
    sparse: int,
) -> Iterator[Case]:
    """The most wanted first: a run that is stopped keeps what it has."""

    def case(name: str, exponent: int, dtype: str = "float32") -> Case:
        return Case(INITIALIZERS[name], exponent, dtype, threads, device)

    for name in (*PLAIN, "xavier_uniform_", "kaiming_normal_", "constant_"):
        yield from (case(name, exponent) for exponent in sizes)
    yield from (case(name, 4) for name in INITIALIZERS)  # the call alone
    yield case("sparse_", sparse)
    yield from (case("orthogonal_", exponent) for exponent in orthogonal)
    for dtype in DTYPES:
        if dtype != "float32":
            for name in PLAIN:
                yield from (case(name, exponent, dtype) for exponent in sizes_of_other_dtypes)


@dataclass(frozen=True)
class Goal:
    """How many times as fast as torch.nn.init, and as what part of the speed of ``fill_``."""

    ratio: float
    of_fill: float | None = None


_LARGE_BYTES = 256 << 20
_LARGE = {
    ("uniform_", "float32"): Goal(2.5, 0.95),
    ("xavier_uniform_", "float32"): Goal(2.5, 0.95),
    ("normal_", "float32"): Goal(3, 0.90),
    ("kaiming_normal_", "float32"): Goal(3, 0.90),
    ("trunc_normal_", "float32"): Goal(15, 0.85),
    ("uniform_", "bfloat16"): Goal(3, 0.85),
    ("normal_", "bfloat16"): Goal(4, 0.70),
    ("uniform_", "float64"): Goal(1.5),
    ("normal_", "float64"): Goal(2),
}
_MATRICES = {
    ("sparse_", 24): Goal(1000, 0.3),
    ("orthogonal_", 22): Goal(8),
    ("orthogonal_", 24): Goal(8),
}


def goal(case: Case) -> Goal | None:
    """What this case has to reach on an H200, None where nothing is set."""
    name = case.initializer.name
    if case.exponent == 4:
        return Goal(1)
    if case.bytes >= _LARGE_BYTES:
        return _LARGE.get((name, case.dtype))
    return _MATRICES.get((name, case.exponent))
