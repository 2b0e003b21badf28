"""Many small tensors, as the layers of a model have them: one batch against call after call."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import torch

import winit_cuda
from winit_cuda._dispatch.items import Job
from winit_cuda._dispatch.many import Batch
from winit_cuda._fills import elementwise

from .cases import DTYPES, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COUNT, SMALLEST, LARGEST = 300, 256, 65_536


class Matrix(NamedTuple):
    """An initializer with its default arguments, and the shape of what it fills."""

    initializer: str
    rows: int
    columns: int

    def job(self, tensor: torch.Tensor) -> Job:
        """What the public function would ask of the core."""
        if self.initializer == "kaiming_uniform_":
            bound = math.sqrt(3.0) * math.sqrt(2.0) / math.sqrt(self.columns)
            return Job(elementwise.UNIFORM, self.initializer, tensor, (-bound, bound))
        if self.initializer == "uniform_":
            return Job(elementwise.UNIFORM, self.initializer, tensor, (0.0, 1.0))
        std = 1.0
        if self.initializer == "xavier_normal_":
            std = math.sqrt(2.0 / (self.rows + self.columns))
        return Job(elementwise.NORMAL, self.initializer, tensor, (0.0, std))


def small_matrices() -> list[Matrix]:
    """Near-square, of sizes log-uniform between the limits; always the same."""
    chance = random.Random(0)
    functions = cycle(("kaiming_uniform_", "xavier_normal_", "normal_", "uniform_"))
    matrices = []
    for function in [next(functions) for _ in range(COUNT)]:
        numel = math.exp(chance.uniform(math.log(SMALLEST), math.log(LARGEST)))
        rows = round(math.sqrt(numel))
        matrices.append(Matrix(function, rows, max(math.ceil(SMALLEST / rows), int(numel / rows))))
    return matrices


@dataclass(frozen=True, kw_only=True)
class SmallTensors(Case):
    """A batch that is set up before the clock runs; its keys are made of names on the clock."""

    name = f"{COUNT} small tensors"
    shape = (COUNT,)

    @property
    def size(self) -> str:
        return f"{SMALLEST} to {LARGEST}"

    @property
    def numel(self) -> int:
        return sum(matrix.rows * matrix.columns for matrix in small_matrices())

    def setup(self) -> Mapping[str, Callable[[], object]]:
        matrices = small_matrices()
        tensors = [
            torch.empty(matrix.rows, matrix.columns, dtype=DTYPES[self.dtype], device=self.device)
            for matrix in matrices
        ]
        batch = Batch(map(Matrix.job, matrices, tensors))
        names = [f"layers.{number}.weight" for number in range(COUNT)]
        seeds = cycle(map(winit_cuda.key, range(8)))
        theirs = [
            partial(getattr(torch.nn.init, matrix.initializer), tensor)
            for matrix, tensor in zip(matrices, tensors, strict=True)
        ]
        constants = [partial(tensor.fill_, 0.5) for tensor in tensors]
        return {
            "winit_cuda": lambda: batch.run_named(next(seeds), names),
            "torch.nn.init": lambda: [call() for call in theirs],
            "fill_": lambda: [call() for call in constants],
        }
