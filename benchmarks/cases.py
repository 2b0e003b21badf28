"""What is measured: initializers, sizes, dtypes, threads and the goals."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

import winit_cuda

from .goals import Goal, goal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SMALLEST, LARGEST = 4, 26  # sizes as powers of two


@dataclass(frozen=True)
class Initializer:
    """A function of ``torch.nn.init`` and what it is called with, after the tensor."""

    name: str
    arguments: tuple[float, ...] = ()
    # The largest size that a preset measures, as a power of two. torch.nn.init takes seconds
    # beyond it; --sizes goes further.
    largest: int = LARGEST

    @property
    def largest_shape(self) -> str:
        return "x".join(map(str, near_square(self.largest)))


INITIALIZERS = {
    initializer.name: initializer
    for initializer in (
        Initializer("uniform_"),
        Initializer("normal_"),
        Initializer("trunc_normal_"),
        Initializer("constant_", (0.5,)),
        Initializer("ones_"),
        Initializer("zeros_"),
        Initializer("eye_"),
        Initializer("dirac_"),
        Initializer("xavier_uniform_"),
        Initializer("xavier_normal_"),
        Initializer("kaiming_uniform_"),
        Initializer("kaiming_normal_"),
        Initializer("orthogonal_", largest=22),
        Initializer("sparse_", (0.5,), largest=22),
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


@dataclass(frozen=True, kw_only=True)
class Case(ABC):
    """One measurement: the same work, done by winit_cuda and by torch.nn.init.

    ``Fill`` is one initializer on one tensor. Other work is a subclass with its own name, shape and
    calls; measuring and reporting know no more of a case than what is here.
    """

    dtype: str
    threads: int
    device: str
    isa: str = ""
    """The instruction set that the core is held to; empty: whichever it uses."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the tables call it, without dtype, size and threads."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """What the results call it apart from other sizes of this name."""

    @property
    def size(self) -> str:
        return "x".join(map(str, self.shape))

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.numel * DTYPES[self.dtype].itemsize

    @property
    def label(self) -> str:
        isa = f" {self.isa}" if self.isa else ""
        return f"{self.name} {self.dtype} {elements(self.numel)}{isa}"

    @property
    def goal(self) -> Goal | None:
        return goal_of(self.isa, self.name, self.dtype, self.size)

    @property
    def small(self) -> Case:
        """The case that is tried first, to find out what a side cannot do."""
        return self

    @abstractmethod
    def setup(self) -> Mapping[str, Callable[[], object]]:
        """The calls by side: ``winit_cuda``, ``torch.nn.init`` and, where it fits, ``fill_``."""


@dataclass(frozen=True, kw_only=True)
class Fill(Case):
    """One initializer on a tensor of 2**exponent elements."""

    initializer: Initializer
    exponent: int

    @property
    def name(self) -> str:
        return self.initializer.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Near-square, because fans, sparse_ and orthogonal_ need rows and columns."""
        if self.name == "dirac_":  # (channels out, channels in, kernel)
            return (*near_square(self.exponent - 2), 4)
        return near_square(self.exponent)

    @property
    def small(self) -> Case:
        return replace(self, exponent=4)

    def setup(self) -> Mapping[str, Callable[[], object]]:
        tensor = torch.empty(self.shape, dtype=DTYPES[self.dtype], device=self.device)
        arguments = (tensor, *self.initializer.arguments)
        return {
            "winit_cuda": partial(getattr(winit_cuda, self.name), *arguments),
            "torch.nn.init": partial(getattr(torch.nn.init, self.name), *arguments),
            "fill_": partial(tensor.fill_, 0.5),
        }


def goal(case: Case, all_threads: int) -> Goal | None:
    """What this case has to reach, None where it is measured for information only."""
    return case.goal if (case.device, case.threads) == ("cpu", all_threads) else None


def elements(numel: int) -> str:
    """A number of elements as the tables write it: ``2^24``, ``1,000``."""
    exponent = numel.bit_length() - 1
    return f"2^{exponent}" if numel == 1 << exponent else f"{numel:,}"


def near_square(exponent: int) -> tuple[int, int]:
    """The shape of 2**exponent elements with the most even sides."""
    return 1 << exponent // 2, 1 << exponent - exponent // 2


def parse_size(text: str) -> int:
    """The exponent of a size given as ``2^24`` or ``16777216``."""
    power = re.fullmatch(r"2\^(\d{1,2})|(\d{1,19})", text)
    numel = 0 if power is None else 1 << int(power[1]) if power[1] else int(power[2])
    exponent = numel.bit_length() - 1
    if exponent < SMALLEST or numel != 1 << exponent:
        raise ValueError(f"a size is a power of two from 2^{SMALLEST} on, got {text!r}")
    return exponent
