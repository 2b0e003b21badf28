"""Measures whole models against plain torch: ``python -m benchmarks.builds``.

A decoder of GPT-2's size is constructed and initialized by `accelerate()`, `build` and `plan.run`,
and so are many small tensors; work is done that fills nothing; and plans of large models are
made. It prints a table; some minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import statistics
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

import winit_cuda
from winit_cuda._command import machine
from winit_cuda._command.console import Progress, format_ratio, format_seconds, markdown_table
from winit_cuda._command.demo_plan import peak_memory

from .build_cases import Case, PlanCase, cases, plan_cases
from .measure import Timing, timing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEGEND = (
    "Times are the median ± the interquartile range over the rounds, in which both sides take "
    "turns: of constructions and initializations by the wall clock on all threads, of the rest by "
    "the processor's on one thread. The ratio is plain by winit_cuda, the median of the rounds. "
    "Memory is by how much the peak of the process grew."
)


@dataclass(frozen=True)
class Result:
    """What a case took, of both sides."""

    name: str
    plain: Timing
    winit_cuda: Timing
    ratio: float
    goal: float | None

    @property
    def is_met(self) -> bool:
        """Whether it is as fast as it is to be."""
        return self.goal is None or self.ratio >= self.goal


@dataclass(frozen=True)
class PlanResult:
    """What a plan took."""

    name: str
    seconds: float
    growth: int | None
    most_seconds: float | None
    most_growth: int | None

    @property
    def is_met(self) -> bool:
        """Whether it took no more than it may."""
        return (self.most_seconds is None or self.seconds <= self.most_seconds) and (
            self.most_growth is None or self.growth is None or self.growth <= self.most_growth
        )


def measure(case: Case, rounds: int) -> Result:
    """Both sides in turns, the first of which is for warming up."""
    threads = torch.get_num_threads()
    torch.set_num_threads(threads if case.is_wall else 1)
    try:
        return _measure(case, rounds)
    finally:
        torch.set_num_threads(threads)


def _measure(case: Case, rounds: int) -> Result:
    plain: list[float] = []
    ours: list[float] = []
    sides = [(case.plain, nullcontext, plain), (case.ours, case.context, ours)]
    for number in range(rounds + 1):
        for call, context, seconds in sides[:: 1 if number % 2 else -1]:
            with context():
                taken = _time(call, case)
            if number:
                seconds.append(taken)
    return Result(
        case.name,
        timing_of(plain, capped=False),
        timing_of(ours, capped=False),
        statistics.median(one / two for one, two in zip(plain, ours, strict=True)),
        case.goal,
    )


def _time(call: Callable[[], object], case: Case) -> float:
    clock = time.perf_counter if case.is_wall else time.thread_time
    began = clock()
    for _ in range(case.calls):
        kept = call()
    seconds = clock() - began
    del kept  # a model is not freed on the clock
    return seconds / case.calls


def measure_plan(case: PlanCase) -> PlanResult:
    """Make a plan once, as its user does."""
    before, began = peak_memory(), time.perf_counter()
    kept = case.make()
    seconds = time.perf_counter() - began
    growth = None if before is None else (peak_memory() or 0) - before
    del kept
    return PlanResult(case.name, seconds, growth, case.most_seconds, case.most_growth)


def as_markdown(
    facts: dict[str, object], plans: Sequence[PlanResult], results: Sequence[Result]
) -> str:
    """The facts and both tables."""
    timed = [
        (
            one.name,
            _shown(one.plain),
            _shown(one.winit_cuda),
            format_ratio(one.ratio),
            _goal(None if one.goal is None else format_ratio(one.goal), one.is_met),
        )
        for one in results
    ]
    planned = [
        (
            one.name,
            format_seconds(one.seconds),
            "" if one.growth is None else f"{one.growth / 1e6:.0f} MB",
            _goal(None if one.most_seconds is None else _most(one), one.is_met),
        )
        for one in plans
    ]
    head = (
        f"{facts['cpu']}, {facts['simd_active']}, {facts['threads']} threads, "
        f"torch {facts['torch']}, winit_cuda {facts['winit_cuda']} at {facts['commit']}, "
        f"{facts['date']}, load before {facts['load']}"
    )
    return "\n\n".join(
        (
            head,
            markdown_table(("", "plain torch", "winit_cuda", "ratio", "goal"), timed, "lrrrr"),
            markdown_table(("", "time", "memory", "goal"), planned, "lrrr"),
            LEGEND,
        )
    )


def _most(plan: PlanResult) -> str:
    seconds = format_seconds(plan.most_seconds or 0.0)
    return seconds + ("" if plan.most_growth is None else f", {plan.most_growth / 1e6:.0f} MB")


def _goal(goal: str | None, is_met: bool) -> str:
    return "" if goal is None else f"{goal}{'' if is_met else ', missed'}"


def _shown(timing: Timing) -> str:
    return f"{format_seconds(timing.median)} ± {100 * timing.spread:.0f}%"


def main(arguments: Sequence[str]) -> int:
    """Measure all cases, print them, and write them to a folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.builds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each side")
    parser.add_argument("--threads", type=int, help="of torch and the core, all cores if left out")
    parser.add_argument("--output", type=Path, help="a folder for a JSON and a Markdown file")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    core = winit_cuda.backend_info().core
    if core is None:
        parser.error("winit_cuda was installed without its core")
    facts = {**machine.describe(), "simd_active": core["simd_active"]}
    plans = [measure_plan(case) for case in plan_cases()]
    listed = list(cases())
    progress = Progress(len(listed))
    results = []
    for case in listed:
        progress.step(case.name)
        results.append(measure(case, options.rounds))
    progress.clear()
    text = as_markdown(facts, plans, results)
    print(text)
    if options.output:
        command = shlex.join(["python", "-m", "benchmarks.builds", *arguments])
        data = {
            "command": command,
            "machine": facts,
            "results": list(map(asdict, results)),
            "plans": list(map(asdict, plans)),
        }
        _write(options.output, facts, {"json": json.dumps(data, indent=1), "md": text})
    return 0


def _write(folder: Path, facts: dict[str, object], texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model = re.sub(r"[^a-z0-9]+", "-", str(facts["cpu"]).lower()).strip("-")
    stem = f"cpu-{model}-{facts['threads']}t-builds-{str(facts['date'])[:10]}"
    for suffix, text in texts.items():
        path = folder / f"{stem}.{suffix}"
        path.write_text(text + "\n", encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
