"""Checks the variants' bits and times them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch

from ..graphs import seconds_of_a_call, slices, take_turns
from .build import BuildError, Library
from .kernels import DTYPES, LAWS, Fills, ListOfFills, ProductList, product_fill
from .results import AGAIN, BASE, FILL, Case, Crossover, Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..graphs import Launch
    from .variants import Variant

_ROUNDS = 11
_LEAST_LAUNCHES = 6
# Beyond the caches, in between, and what a layer's bias or norm has.
_EXPONENTS = {"cuda": (27, 20, 16), "cpu": (10,)}
_LISTS = {"cuda": ((300, 1 << 14), (300, 1 << 18), (4000, 1 << 10)), "cpu": ((3, 100),)}
_CROSSOVER = {
    "cuda": tuple(
        (count, 1 << exponent)
        for count in (2, 16, 300)
        for exponent in (8, 12, 16, 20, 22)
        if count << exponent <= 1 << 30
    ),
    "cpu": ((3, 100),),
}


@dataclass
class Run:
    """The libraries on one device, what was found so far, and when to end."""

    device: str
    fills: Mapping[Variant, Library | BuildError]
    lists: Mapping[Variant, Library | BuildError]
    ends: float
    """By the monotonic clock."""
    wrong: list[str] = field(default_factory=list)

    def in_time(self) -> bool:
        return time.monotonic() < self.ends

    # ------------------------------------------------------------------ one tensor

    def calls(self) -> dict[str, Fills]:
        """The variants whose bits are right, on every law and dtype."""
        made = {}
        for variant, library in self.fills.items():
            if isinstance(library, BuildError):
                continue
            fills = Fills(library.path, variant.blocks_per_processor)
            if self._has_the_bits(fills):
                made[variant.name] = fills
            else:
                self.wrong.append(f"fill, {variant.name}")
        return made

    def _has_the_bits(self, fills: Fills) -> bool:
        # Many turns of each thread's loop, and elements behind the last whole group.
        elements = (1 << 23) + 5 if self.device == "cuda" else 40_005
        for law in LAWS:
            for name in DTYPES:
                expected, found = (
                    torch.full(
                        (elements,), torch.nan, dtype=getattr(torch, name), device=self.device
                    )
                    for _ in range(2)
                )
                product_fill(expected, law)
                fills.fill(found, law)
                if not torch.equal(expected, found):
                    return False
        return True

    def measure_fills(self) -> Iterator[Measured]:
        """Case after case, the large ones first."""
        calls = self.calls()
        if BASE not in calls:  # `wrong` or `not_built` says so
            return
        for exponent in _EXPONENTS[self.device]:
            for law in LAWS:
                for dtype in DTYPES:
                    if not self.in_time():
                        return
                    # As many bytes in every dtype.
                    elements = (1 << exponent) * 4 // getattr(torch, dtype).itemsize
                    yield self._measure_fill(Case(law, dtype, elements), calls)

    def _measure_fill(self, case: Case, calls: Mapping[str, Fills]) -> Measured:
        memory = slices(case.elements, getattr(torch, case.dtype), self.device)

        def launch(fill: Callable[[torch.Tensor], object], number: int) -> None:
            fill(memory[number % len(memory)])

        sides = {
            name: partial(launch, partial(_filled, each, case.law)) for name, each in calls.items()
        }
        sides["the package"] = partial(launch, partial(product_fill, law=case.law))
        sides[FILL] = partial(launch, lambda tensor: tensor.fill_(0.5))
        launches = max(_LEAST_LAUNCHES, len(memory))
        return Measured(case, take_turns(sides, launches, self._rounds, self.device))

    @property
    def _rounds(self) -> int:
        return _ROUNDS if self.device == "cuda" else 2

    # ------------------------------------------------------------------ lists

    def measure_lists(self) -> Iterator[Measured]:
        """Each list by every variant of the list's kernel."""
        for count, elements in _LISTS[self.device]:
            for law in ("normal", "uniform"):
                if not self.in_time():
                    return
                yield self._measure_list(Case(law, "float32", elements, count))

    def _measure_list(self, case: Case) -> Measured:
        # Two lists of tensors, in turns, so that not everything is in the cache.
        sets = [self._tensors(case) for _ in range(2)]
        expected = [ProductList(tensors, case.law) for tensors in sets]
        expected[0].run()
        words = [tensor.clone() for tensor in sets[0]]
        sides = {"the package": lambda number: expected[number % 2].run()}
        notes = {}
        for variant, library in self.lists.items():
            if isinstance(library, BuildError):
                notes[variant.name] = str(library)
                continue
            lists = [ListOfFills(library.path, tensors, case.law) for tensors in sets]
            for tensor in sets[0]:
                tensor.fill_(torch.nan)
            lists[0].run()
            if all(map(torch.equal, sets[0], words)):
                sides[variant.name] = partial(_run_one, lists)
            else:
                self.wrong.append(f"list, {variant.name}, {case.label}")
        if BASE not in sides:  # without nvcc: the tables need something to compare with
            sides = dict.fromkeys((BASE, AGAIN), sides["the package"])
        return Measured(case, take_turns(sides, 8, self._rounds, self.device), notes)

    def _tensors(self, case: Case) -> list[torch.Tensor]:
        pool = torch.empty(case.tensors * case.elements, dtype=torch.float32, device=self.device)
        return list(pool.view(case.tensors, case.elements))

    def measure_crossovers(self) -> Iterator[Crossover]:
        """Where a list is faster than a launch for each of its tensors."""
        for count, elements in _CROSSOVER[self.device]:
            if not self.in_time():
                return
            case = Case("normal", "float32", elements, count)
            tensors = self._tensors(case)
            whole = ProductList(tensors, case.law)
            single = partial(_fill_each, tensors, case.law)
            launches: dict[str, Launch] = {
                "list": partial(_ignoring_number, whole.run),
                "single": partial(_ignoring_number, single),
            }
            times = take_turns(launches, 3, self._rounds, self.device)
            yield Crossover(
                case,
                times["list"].median,
                times["single"].median,
                seconds_of_a_call(whole.run, self.device),
                seconds_of_a_call(single, self.device),
            )

    # ------------------------------------------------------------------ registers

    def kernels(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Registers, as ptxas says, and resident blocks of each kernel that is tuned."""
        made: dict[str, dict[str, tuple[int, int]]] = {}
        for variant, library in self.fills.items():
            if isinstance(library, BuildError) or variant.blocks_per_processor:
                continue
            fills = Fills(library.path, 0)
            made[variant.name] = {
                f"{law} {dtype}": (_registers(library, law, dtype), fills.resident(dtype, law))
                for law in LAWS
                for dtype in DTYPES
            }
        return made


# How ptxas's mangled names tell the kernels apart.
_MAPS = {"uniform": "UniformMap", "normal": "NormalMap", "trunc_normal": "SymmetricTruncNormalMap"}
_ELEMENTS = {"float32": "tuned_kernelIf", "bfloat16": "BFloat16E"}


def _registers(library: Library, law: str, dtype: str) -> int:
    """Of one kernel; 0 where ptxas said nothing."""
    for name, resources in library.resources.items():
        length = f"{len(_MAPS[law])}{_MAPS[law]}"
        if length in name and (_ELEMENTS[dtype] in name):
            return resources.registers
    return 0


def _filled(fills: Fills, law: str, tensor: torch.Tensor) -> None:
    fills.fill(tensor, law)


def _run_one(lists: list[ListOfFills], number: int) -> None:
    lists[number % len(lists)].run()


def _ignoring_number(call: Callable[[], object], _number: int) -> None:
    call()


def _fill_each(tensors: list[torch.Tensor], law: str) -> None:
    for number, tensor in enumerate(tensors):
        product_fill(tensor, law, (number, 0))
