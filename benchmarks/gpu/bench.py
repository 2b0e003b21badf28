"""Measures the fills on a GPU against its rivals: ``python -m benchmarks.gpu.bench OUT``.

All sides of a case take turns in one process on one tensor, as in ``measure``, and the clock waits
for the device. It is the last step of ``acceptance.sh``.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import winit_cuda
from winit_cuda._command import machine
from winit_cuda._command.console import Progress

from ..cases import DTYPES
from ..measure import (
    measure_all,
    memory_missing,
    ratios_of,
    take_turns,
    timing_of,
)
from ..plot import CHARTED
from .cases import gpu_plan
from .graphs import slices
from .graphs import take_turns as take_turns_in_graphs
from .machine import bandwidths, describe_gpu
from .report import write
from .rivals import (
    MEMORY,
    RIVALS,
    SAMPLE,
    TORCH,
    US,
    AbsentError,
    on_tensor,
)
from .rows import GpuReport, GpuRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.utils.benchmark import Timer

    from ..cases import Case
    from ..plans import Plan
    from .rivals import Side

# What no fill of the cases leaves behind.
_POISON = 7.0
_LEAST_LAUNCHES = 6  # of a graph
_CALL_ALONE = 16  # elements of a tensor of which nothing but the call is measured


# ------------------------------------------------------------------------- measuring


def measure(case: Case, plan: Plan) -> GpuRow:
    """Measure one case as the plan says, with whoever can do it."""
    if case.device == "cuda":
        torch.cuda.empty_cache()  # CuPy and JAX have memory of their own
    missing = memory_missing(case)
    if missing:
        return GpuRow(case, {}, {}, {US: missing})
    timers, notes = {}, {}
    tensor, sides = _sides(case)
    for name, make in sides.items():
        taking_part = _timer(make, tensor, case.threads)
        if isinstance(taking_part, str):
            notes[name] = taking_part
        else:
            timers[name] = taking_part
    try:
        rounds = take_turns(timers, plan)
    except Exception as error:
        return GpuRow(case, {}, {}, {**notes, US: f"while measuring: {_reason(error)}"})
    timings = {name: timing_of(turns, len(turns) < plan.rounds) for name, turns in rounds.items()}
    paired = {name: ratios_of(rounds, name) for name in rounds}
    ratios = {name: statistics.median(each) for name, each in paired.items() if each}
    try:
        launches = _device_seconds(case)
    except Exception as error:
        launches, notes["launches alone"] = {}, _reason(error)
    return GpuRow(case, timings, ratios, notes, launches)


def _device_seconds(case: Case) -> dict[str, float]:
    """What the plain laws take on the device, without the call: in graphs, beyond the cache."""
    if case.name not in CHARTED or case.numel == _CALL_ALONE:
        return {}
    memory = slices(case.numel, DTYPES[case.dtype], case.device)
    functions = {
        US: partial(getattr(winit_cuda, case.name), key=winit_cuda.key(0)),
        TORCH: getattr(torch.nn.init, case.name),
        MEMORY: lambda tensor: tensor.fill_(0.5),
    }
    sides = {name: partial(_fill_one_of, memory, function) for name, function in functions.items()}
    if "float8" in case.dtype:
        del sides[TORCH]  # it has no such random fills
    times = take_turns_in_graphs(sides, max(_LEAST_LAUNCHES, len(memory)), 5, case.device)
    return {name: each.median for name, each in times.items()}


def _fill_one_of(
    memory: Sequence[torch.Tensor], fill: Callable[[torch.Tensor], object], number: int
) -> None:
    fill(memory[number % len(memory)])


def _sides(case: Case) -> tuple[torch.Tensor, dict[str, Callable[[], Side]]]:
    """The tensor that all sides share, and what makes each side."""
    calls = case.setup()
    filled = calls[MEMORY]()
    tensor = filled[0] if isinstance(filled, list) else filled  # of many the first tells
    assert isinstance(tensor, torch.Tensor)
    own = {name: partial(on_tensor, tensor, call) for name, call in calls.items()}
    rivals = {name: partial(rival, case, tensor) for name, rival in RIVALS.items()}
    return tensor, {**own, **rivals}


def _timer(make: Callable[[], Side], tensor: torch.Tensor, threads: int) -> Timer | str:
    """What times a side, or why it cannot take part."""
    from torch.utils.benchmark import Timer

    try:
        side = make()
        _check(side, tensor)
    except Exception as error:  # other libraries raise what they like
        return _reason(error)
    return Timer("call()", globals={"call": side.call}, timer=side.clock, num_threads=threads)


def _check(side: Side, tensor: torch.Tensor) -> None:
    """Raise where a run leaves the tensor as it was: nothing would be measured."""
    start = tensor.view(-1)[:SAMPLE]
    start.copy_(torch.full(start.shape, _POISON))
    side.call()
    side.wait()
    written = side.sample()
    if (written == _POISON).any() or not written.isfinite().all():
        raise RuntimeError("a run does not write finite numbers to every element")


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    text = lines[0][:120] if lines else ""
    return text if isinstance(error, AbsentError) else f"{type(error).__name__}: {text}"


# ------------------------------------------------------------------------- the command


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write; 1 where a fill of winit_cuda failed, 130 where it was stopped."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(description="Measure the fills on a GPU against other fills.")
    parser.add_argument("output", type=Path, help="the folder for JSON, Markdown and chart")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="when to stop")
    parser.add_argument("--dry-run", action="store_true", help="a few small cases on the CPU")
    parser.add_argument("--commit", help="of the sources, where the package does not know it")
    arguments = parser.parse_args(words)
    if not arguments.dry_run and not torch.cuda.is_available():
        print("torch finds no CUDA device; --dry-run needs none", file=sys.stderr)
        return 2
    ends = time.monotonic() + arguments.seconds
    signal.signal(signal.SIGTERM, _stop)  # what `timeout` sends: keep what was measured
    facts = machine.describe() | ({"commit": arguments.commit} if arguments.commit else {})
    plan = gpu_plan(arguments.dry_run)
    idle = describe_gpu()
    memory = bandwidths()  # and warms up
    progress = Progress(len(plan.cases))

    def begin(case: Case) -> None:
        if time.monotonic() > ends:
            _stop()
        progress.step(case.label)

    rows, complete = measure_all(plan, measure, begin)
    progress.clear()
    report = GpuReport(
        command=shlex.join(["python", "-m", "benchmarks.gpu.bench", *words]),
        dry_run=arguments.dry_run,
        complete=complete,
        cases=len(plan.cases),
        machine=facts,
        gpu_idle=idle,
        gpu_at_work=describe_gpu(at_work=True),
        bandwidths=memory,
        backend=winit_cuda.backend_info(),
        rows=rows,
    )
    for path in write(report, arguments.output):
        print(f"wrote {path}")
    failed = [row for row in rows if row.failure]
    for row in failed:
        print(f"FAILED: {row.case.label}: {row.failure}")
    print(f"{len(rows)} of {len(plan.cases)} cases, {len(failed)} failed")
    if not complete:
        return 130
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
