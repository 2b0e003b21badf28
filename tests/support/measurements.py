"""Made-up measurements for the tests of what the benchmarks write."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from winit_cuda.benchmarks import cases, measure, report
from winit_cuda.benchmarks.goals import Goal

import winit_cuda

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def fill(
    name: str, exponent: int = 4, dtype: str = "float32", threads: int = 1, isa: str = ""
) -> cases.Fill:
    initializer = cases.INITIALIZERS[name]
    return cases.Fill(
        initializer=initializer,
        exponent=exponent,
        dtype=dtype,
        threads=threads,
        device="cpu",
        isa=isa,
    )


@dataclass(frozen=True, kw_only=True)
class TwoTensors(cases.Case):
    """A case that is not one initializer on one tensor."""

    name = "two tensors"
    shape = (2, 100)
    goal = Goal(3.0)

    def setup(self) -> Mapping[str, Callable[[], object]]:
        tensors = [torch.empty(100), torch.empty(100)]

        def fill_both(normal_: Callable[[torch.Tensor], torch.Tensor]) -> None:
            for tensor in tensors:
                normal_(tensor)

        return {
            "winit_cuda": partial(fill_both, winit_cuda.normal_),
            "torch.nn.init": partial(fill_both, torch.nn.init.normal_),
        }


def made_up_row(
    case: cases.Case,
    ratio: float,
    *,
    seconds: float = 1e-3,
    spread: float = 0.01,
    fill_ratio: float = 0.5,
) -> measure.Row:
    """A row of these ratios; winit_cuda takes ``seconds``."""
    ours = measure.Timing(seconds, seconds * spread, 20, capped=False)
    theirs = measure.Timing(seconds * ratio, 0.0, 1, capped=True)
    memory = measure.Timing(seconds * fill_ratio, 0.0, 30, capped=False)
    return measure.Row(case, ours, theirs, memory, ratio, 0.01, fill_ratio, "")


def made_up_report(rows: Sequence[measure.Row], *, complete: bool = True) -> report.Report:
    machine: dict[str, object] = {
        "date": "2025-03-04T05:06:07Z",
        "cpu": "Fast CPU (R) 9",
        "cuda_devices": [],
    }
    machine |= {"torch": "2.9", "winit_cuda": "0.1.0", "cores": 2}
    backend = winit_cuda.backend_info()
    return report.Report(
        "targets", "winit-cuda bench", "cpu", 2, complete, machine, backend, list(rows)
    )
