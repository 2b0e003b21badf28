"""Measures `accelerate()` against plain torch: ``python -m benchmarks.accelerate``.

A model of GPT-2's size is built and initialized, ordinary work is done that fills nothing, and a
tensor of 4x4 is filled, by each side in turns. It prints a table; a minute or two on 2 cores.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

import winit_cuda
from winit_cuda._command import machine
from winit_cuda._command.console import format_ratio, format_seconds, markdown_table
from winit_cuda._command.demo_models import Decoder, initialize_decoder

from .measure import Timing, timing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

SIDES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "plain": contextlib.nullcontext,
    "accelerated": winit_cuda.accelerate,
}

LEGEND = (
    "time: the median ± the interquartile range over the rounds, of a build the wall clock, of the "
    "rest, on one thread, the processor time. ratio: plain by accelerated, the median of the "
    "rounds."
)


@dataclass(frozen=True)
class Case:
    """Work that both sides do."""

    name: str
    call: Callable[[], object]
    calls: int = 1
    """How many in a row are timed."""
    is_wall: bool = False


@dataclass(frozen=True)
class Result:
    """What a case took, of both sides."""

    name: str
    plain: Timing
    accelerated: Timing
    ratio: float


def build() -> nn.Module:
    """A decoder of GPT-2's size, constructed and initialized as its users do it."""
    model = Decoder()
    initialize_decoder(model, torch.nn.init)
    return model


def cases() -> list[Case]:
    perceptron = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    layer = nn.TransformerEncoderLayer(128, 4, 256, batch_first=True)
    small, sequences = torch.randn(8, 32), torch.randn(4, 32, 128)
    tensor = torch.empty(4, 4)
    return [
        Case("build of a decoder of GPT-2's size", build, is_wall=True),
        Case("step of a small perceptron", lambda: _step(perceptron, small), 100),
        Case("step of a Transformer layer", lambda: _step(layer, sequences), 10),
        Case("4x4 Tensor.normal_", lambda: tensor.normal_(), 5000),
        Case("4x4 Tensor.uniform_", lambda: tensor.uniform_(), 5000),
        Case("4x4 nn.init.normal_", lambda: nn.init.normal_(tensor), 5000),
        Case("4x4 nn.init.xavier_uniform_", lambda: nn.init.xavier_uniform_(tensor), 2000),
        Case("4x4 nn.init.zeros_", lambda: nn.init.zeros_(tensor), 5000),
    ]


def _step(model: nn.Module, batch: torch.Tensor) -> None:
    model(batch).square().mean().backward()


def measure(case: Case, rounds: int) -> Result:
    """Both sides in turns, the first of which is for warming up; all but a build on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(threads if case.is_wall else 1)
    try:
        return _measure(case, rounds)
    finally:
        torch.set_num_threads(threads)


def _measure(case: Case, rounds: int) -> Result:
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(rounds + 1):
        for side, context in list(SIDES.items())[:: 1 if number % 2 else -1]:
            with context():
                taken = _time(case)
            if number:
                seconds[side].append(taken)
    pairs = zip(seconds["plain"], seconds["accelerated"], strict=True)
    return Result(
        case.name,
        timing_of(seconds["plain"], capped=False),
        timing_of(seconds["accelerated"], capped=False),
        statistics.median(plain / accelerated for plain, accelerated in pairs),
    )


def _time(case: Case) -> float:
    clock = time.perf_counter if case.is_wall else time.thread_time
    began = clock()
    for _ in range(case.calls):
        kept = case.call()
    seconds = clock() - began
    del kept  # a model is not freed on the clock
    return seconds / case.calls


def as_markdown(results: Sequence[Result]) -> str:
    rows = [
        (result.name, _shown(result.plain), _shown(result.accelerated), format_ratio(result.ratio))
        for result in results
    ]
    return markdown_table(("", "plain", "accelerated", "ratio"), rows, "lrrr")


def _shown(timing: Timing) -> str:
    return f"{format_seconds(timing.median)} ± {100 * timing.spread:.0f}%"


def main(arguments: Sequence[str]) -> int:
    """Measure all cases and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accelerate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of each side")
    parser.add_argument("--threads", type=int, help="of torch and the core, all cores if left out")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    facts = machine.describe()
    print(f"{facts['cpu']}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"load of the machine before: {machine.load()}\n")
    print(as_markdown([measure(case, options.rounds) for case in cases()]))
    print(f"\n{LEGEND}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
