"""Which cases a run measures, and for how long: the presets, and what is chosen in their place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .cases import DTYPES, INITIALIZERS, LARGEST, SMALLEST, Case, Fill
from .layouts import layout_cases
from .many import SmallTensors
from .matrices import target_matrices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Plan:
    """The cases of a preset, and how long each side of a case is measured."""

    cases: tuple[Case, ...]
    rounds: int  # turns of each side
    seconds_per_round: float
    budget: float  # seconds after which a slow side gets no further turn
    reruns: int  # how often a case is measured again, if the machine disturbed it
    least_rounds: int = 1  # turns that a slow side has whatever they take


AT_16M = ("uniform_", "normal_")  # in the other dtypes
PRESETS = ("full", "quick", "targets", "layouts")


def plan(
    preset: str,
    device: str,
    all_threads: int,
    sizes: Sequence[int] | None = None,
    dtypes: Sequence[str] | None = None,
    threads: Sequence[int] | None = None,
    initializers: Sequence[str] | None = None,
    isas: Sequence[str] = ("",),
) -> Plan:
    """The plan of a preset, with what was chosen on the command line in the place of its own."""
    chosen = _plan(preset, device, all_threads, sizes, dtypes, threads, initializers)
    cases = tuple(replace(case, isa=isa) for case in chosen.cases for isa in isas)
    return replace(chosen, cases=cases)


def _plan(
    preset: str,
    device: str,
    all_threads: int,
    sizes: Sequence[int] | None,
    dtypes: Sequence[str] | None,
    threads: Sequence[int] | None,
    initializers: Sequence[str] | None,
) -> Plan:
    if preset == "targets":
        cases = tuple(_target_cases(device, all_threads))
        return Plan(cases, rounds=15, seconds_per_round=0.02, budget=4.0, reruns=2, least_rounds=5)
    if preset == "layouts":
        cases = tuple(layout_cases(device, threads or (all_threads,), dtypes, initializers))
        return Plan(cases, rounds=11, seconds_per_round=0.005, budget=0.2, reruns=2, least_rounds=3)
    quick = preset == "quick"
    if dtypes is None:
        dtypes = ("float32", "bfloat16") if quick else tuple(DTYPES)[:5]
    if threads is None:
        # On CUDA the number of CPU threads does not matter.
        several = not quick and device == "cpu" and all_threads > 1
        threads = (1, all_threads) if several else (all_threads,)
    exponents = sizes or ((4, 12, 20) if quick else range(SMALLEST, LARGEST + 1, 2))
    chosen = [INITIALIZERS[name] for name in initializers or INITIALIZERS]
    cases = tuple(
        Fill(initializer=initializer, exponent=exponent, dtype=dtype, threads=count, device=device)
        for dtype in dtypes
        for initializer in chosen
        for exponent in exponents
        if sizes or exponent <= initializer.largest
        for count in threads  # one after the other, because they are compared with each other
    )
    if quick:
        return Plan(cases, rounds=5, seconds_per_round=0.01, budget=0.3, reruns=1)
    return Plan(cases, rounds=7, seconds_per_round=0.008, budget=0.7, reruns=2)


def _target_cases(device: str, threads: int) -> Iterator[Case]:
    """16 M elements, where memory limits, 4x4, where only the call counts, many small, matrices."""
    yield SmallTensors(dtype="float32", threads=threads, device=device)
    float32 = ("uniform_", "xavier_uniform_", "normal_", "kaiming_normal_", "trunc_normal_")
    at_16m = [(name, "float32") for name in (*float32, "constant_")]
    at_16m += [(name, dtype) for dtype in ("bfloat16", "float64") for name in AT_16M]
    at_4x4 = [(name, "float32") for name in INITIALIZERS]
    for exponent, fills in ((24, at_16m), (4, at_4x4)):
        for name, dtype in fills:
            yield Fill(
                initializer=INITIALIZERS[name],
                exponent=exponent,
                dtype=dtype,
                threads=threads,
                device=device,
            )
    yield from target_matrices(device, threads)
