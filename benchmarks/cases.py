"""What is measured: initializers, sizes, dtypes, threads, the presets and the goals."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SMALLEST, LARGEST = 4, 26  # sizes as powers of two


@dataclass(frozen=True)
class Initializer:
    """A function of ``torch.nn.init`` and the call that is timed."""

    name: str
    call: str = "init.{name}(tensor)"
    # The largest size that a preset measures, as a power of two. torch.nn.init takes seconds
    # beyond it; --sizes goes further.
    largest: int = LARGEST

    @property
    def statement(self) -> str:
        return self.call.format(name=self.name)

    @property
    def largest_shape(self) -> str:
        return "x".join(map(str, near_square(self.largest)))


INITIALIZERS = {
    initializer.name: initializer
    for initializer in (
        Initializer("uniform_"),
        Initializer("normal_"),
        Initializer("trunc_normal_"),
        Initializer("constant_", "init.{name}(tensor, 0.5)"),
        Initializer("ones_"),
        Initializer("zeros_"),
        Initializer("eye_"),
        Initializer("dirac_"),
        Initializer("xavier_uniform_"),
        Initializer("xavier_normal_"),
        Initializer("kaiming_uniform_"),
        Initializer("kaiming_normal_"),
        Initializer("orthogonal_", largest=22),
        Initializer("sparse_", "init.{name}(tensor, sparsity=0.5)", largest=22),
    )
}

# The order of the tables. torch.nn.init has no random fills of the 8-bit dtypes.
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}


@dataclass(frozen=True)
class Case:
    """One measurement: this initializer on a tensor of 2**exponent elements."""

    initializer: Initializer
    exponent: int
    dtype: str
    threads: int
    device: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Near-square, because fans, sparse_ and orthogonal_ need rows and columns."""
        if self.initializer.name == "dirac_":  # (channels out, channels in, kernel)
            return (*near_square(self.exponent - 2), 4)
        return near_square(self.exponent)

    @property
    def numel(self) -> int:
        return 1 << self.exponent

    @property
    def bytes(self) -> int:
        return self.numel * DTYPES[self.dtype].itemsize

    @property
    def label(self) -> str:
        return f"{self.initializer.name} {self.dtype} 2^{self.exponent}"


def near_square(exponent: int) -> tuple[int, int]:
    """The shape of 2**exponent elements with the most even sides."""
    return 1 << exponent // 2, 1 << exponent - exponent // 2


@dataclass(frozen=True)
class Plan:
    """The cases of a preset, and how long each side of a case is measured."""

    cases: tuple[Case, ...]
    rounds: int  # turns of each side
    seconds_per_round: float
    budget: float  # seconds after which a slow side gets no further turn


PRESETS = ("full", "quick", "targets")


def plan(
    preset: str,
    device: str,
    all_threads: int,
    sizes: Sequence[int] | None = None,
    dtypes: Sequence[str] | None = None,
    threads: Sequence[int] | None = None,
    initializers: Sequence[str] | None = None,
) -> Plan:
    """The plan of a preset, with what was chosen on the command line in the place of its own."""
    if preset == "targets":
        cases = tuple(_target_cases(device, all_threads))
        return Plan(cases, rounds=15, seconds_per_round=0.02, budget=4.0)
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
        Case(initializer, exponent, dtype, count, device)
        for count in threads
        for dtype in dtypes
        for initializer in chosen
        for exponent in exponents
        if sizes or exponent <= initializer.largest
    )
    if quick:
        return Plan(cases, rounds=5, seconds_per_round=0.005, budget=0.3)
    return Plan(cases, rounds=7, seconds_per_round=0.008, budget=0.7)


def _target_cases(device: str, threads: int) -> Iterator[Case]:
    """16 M elements, where the memory limits, and 4x4, where only the call itself counts."""
    large = {
        "float32": (
            "uniform_",
            "normal_",
            "trunc_normal_",
            "xavier_uniform_",
            "kaiming_normal_",
            "constant_",
        ),
        "bfloat16": ("uniform_", "normal_"),
        "float64": ("uniform_", "normal_"),
    }
    for dtype, names in large.items():
        for name in names:
            yield Case(INITIALIZERS[name], 24, dtype, threads, device)
    for initializer in INITIALIZERS.values():
        yield Case(initializer, 4, "float32", threads, device)


# How many times as fast as torch.nn.init the fills have to be on the CPU, float32, with all
# threads: for 2**24 elements, and for any initializer on a 4x4 tensor.
_GOALS_AT_16M = {"uniform_": 5.0, "normal_": 4.0, "trunc_normal_": 40.0}
_GOAL_AT_4X4 = 1.0


def goal(case: Case, all_threads: int) -> float | None:
    """The ratio that this case has to reach, None where none is set."""
    if (case.device, case.dtype, case.threads) != ("cpu", "float32", all_threads):
        return None
    if case.exponent == 24:
        return _GOALS_AT_16M.get(case.initializer.name)
    return _GOAL_AT_4X4 if case.exponent == 4 else None


def parse_size(text: str) -> int:
    """The exponent of a size given as ``2^24`` or ``16777216``."""
    power = re.fullmatch(r"2\^(\d{1,2})|(\d{1,19})", text)
    numel = 0 if power is None else 1 << int(power[1]) if power[1] else int(power[2])
    exponent = numel.bit_length() - 1
    if exponent < SMALLEST or numel != 1 << exponent:
        raise ValueError(f"a size is a power of two from 2^{SMALLEST} on, got {text!r}")
    return exponent
