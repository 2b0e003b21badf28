"""What a tuning run finds, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..graphs import Times, relative
from .variants import CONTROL, Variant

BASE, AGAIN = (variant.name for variant in CONTROL)
FILL = "fill_"
# A variant that gains less over all cases is not worth a line of code.
_WORTH = 1.01


@dataclass(frozen=True)
class Case:
    """What is filled: one tensor, or a list of so many."""

    law: str
    dtype: str
    elements: int
    tensors: int = 1

    @property
    def label(self) -> str:
        exponent = self.elements.bit_length() - 1
        each = f"2^{exponent}" if self.elements == 1 << exponent else f"{self.elements:,}"
        count = f"{self.tensors} x " if self.tensors > 1 else ""
        return f"{self.law} {self.dtype} {count}{each}"


@dataclass(frozen=True)
class Measured:
    """The times of one case by variant, and what kept a variant out."""

    case: Case
    times: dict[str, Times]
    notes: dict[str, str] = field(default_factory=dict)

    def gain(self, name: str) -> float:
        """Time as built / time of the variant."""
        return relative(self.times, name, BASE)

    @property
    def noise(self) -> float:
        """By how much a gain may differ from 1 and say nothing."""
        spread = max(self.times[BASE].spread, self.times[AGAIN].spread)
        return max(abs(self.gain(AGAIN) - 1), spread)

    @property
    def winner(self) -> str:
        """The fastest variant, if it beats what is built by more than noise; else empty."""
        others = [name for name in self.times if name not in (BASE, AGAIN, FILL)]
        best = max(others, key=self.gain, default="")
        return best if best and self.gain(best) > 1 + self.noise else ""


@dataclass(frozen=True)
class Verdict:
    """One variant over all cases that it ran in."""

    variant: Variant
    mean: float
    """Geometric mean of its gains."""
    worst: float
    best: float
    slower: bool
    """Whether some case loses more than noise."""

    @property
    def take(self) -> bool:
        return self.mean >= _WORTH and not self.slower


def verdicts(measured: list[Measured], variants: tuple[Variant, ...]) -> list[Verdict]:
    """The variants, best first."""
    made = []
    for variant in variants:
        pairs = [
            (each.gain(variant.name), each.noise) for each in measured if variant.name in each.times
        ]
        if not pairs or variant.name in (BASE, AGAIN):
            continue
        gains = [gain for gain, _ in pairs]
        mean = math.exp(sum(map(math.log, gains)) / len(gains))
        slower = any(gain < 1 - max(noise, 0.01) for gain, noise in pairs)
        made.append(Verdict(variant, mean, min(gains), max(gains), slower))
    return sorted(made, key=lambda verdict: -verdict.mean)


@dataclass(frozen=True)
class Crossover:
    """Many tensors of one size by one list and by a launch each; seconds of all together."""

    case: Case
    list_launch: float
    single_launches: float
    list_call: float
    single_calls: float
    """Launches are timed in a captured graph, calls as users make them."""


@dataclass(frozen=True)
class Results:
    """Everything a run has found."""

    command: str
    dry_run: bool
    complete: bool
    machine: dict[str, object]
    gpu_idle: dict[str, object]
    gpu_at_work: dict[str, object]
    build_seconds: float
    fills: list[Measured]
    lists: list[Measured]
    crossovers: list[Crossover]
    kernels: dict[str, dict[str, tuple[int, int]]]
    """By variant and kernel: registers, and blocks that a multiprocessor holds."""
    wrong: list[str]
    """Variants whose bits are not those of the package."""
    not_built: dict[str, str]

    @property
    def title(self) -> str:
        if self.dry_run:
            return f"DRY RUN on the CPU ({self.machine['cpu']})"
        return str(self.gpu_idle.get("name", "no GPU"))
