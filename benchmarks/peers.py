"""Measures the fills against NumPy's and JAX's on the CPU: ``python -m benchmarks.peers``.

Needs NumPy and, for its rows, JAX. All sides take turns in one process: NumPy with its fastest
generator, SFC64, into memory that is there; JAX compiled, with its default generator, threefry,
into new memory, which is how it works. A minute on 2 cores.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import winit_cuda as winit
from winit_cuda._command import machine
from winit_cuda._command.console import format_ratio, markdown_table

from .measure import ratios_of, take_turns, timing_of
from .plans import Plan
from .report import machine_lines
from .tables import format_timing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Call = Callable[[], object]

LARGE, SQUARE = (4096, 4096), (1024, 1024)
CASES = (("uniform_", LARGE), ("normal_", LARGE), ("orthogonal_", SQUARE))
US, TORCH, NUMPY, JAX = "winit_cuda", "torch.nn.init", "NumPy, SFC64", "JAX, threefry"
PLAN = Plan((), rounds=15, seconds_per_round=0.02, budget=4.0, reruns=0, least_rounds=5)


def sides(name: str, shape: tuple[int, int]) -> dict[str, Call]:
    """What each library does for a function of torch.nn.init, those that are installed."""
    tensor = torch.empty(shape)
    found: dict[str, Call] = {
        US: partial(getattr(winit, name), tensor),
        TORCH: partial(getattr(torch.nn.init, name), tensor),
    }
    for side, make in ((NUMPY, _numpy), (JAX, _jax)):
        try:
            call = make(name, shape)
        except ImportError:
            continue
        if call is not None:
            found[side] = call
    return found


def _numpy(name: str, shape: tuple[int, int]) -> Call | None:
    """NumPy's, which has no orthogonal matrices."""
    numpy: Any = importlib.import_module("numpy")
    generator = numpy.random.Generator(numpy.random.SFC64(0))
    out = numpy.empty(shape, dtype=numpy.float32)
    calls = {"uniform_": generator.random, "normal_": generator.standard_normal}
    return partial(calls[name], dtype=numpy.float32, out=out) if name in calls else None


def _jax(name: str, shape: tuple[int, int]) -> Call:
    """JAX's, with another key for each call as its users have."""
    jax: Any = importlib.import_module("jax")
    make = {
        "uniform_": jax.random.uniform,
        "normal_": jax.random.normal,
        "orthogonal_": jax.nn.initializers.orthogonal(),
    }[name]
    compiled = jax.jit(partial(make, shape=shape, dtype=jax.numpy.float32))
    keys = iter(jax.random.split(jax.random.key(0), 100_000))
    return lambda: compiled(next(keys)).block_until_ready()


def rows() -> list[list[str]]:
    """One line for each case and library: the time, and how many times winit_cuda's."""
    from torch.utils.benchmark import Timer  # with torch 2.4 it needs NumPy

    lines = []
    for name, shape in CASES:
        calls = sides(name, shape)
        count = torch.get_num_threads()
        timers = {
            side: Timer("call()", globals={"call": call}, num_threads=count)
            for side, call in calls.items()
        }
        turns = take_turns(timers, PLAN)
        for side, seconds in turns.items():
            ratio = "" if side == US else format_ratio(statistics.median(ratios_of(turns, side)))
            timing = format_timing(timing_of(seconds, capped=False))
            lines.append([name, "x".join(map(str, shape)), side, timing, ratio])
    return lines


def page(lines: Sequence[Sequence[str]], facts: dict[str, object]) -> str:
    """The results as Markdown."""
    versions = {name: _version(name) for name in ("numpy", "jax")}
    table = markdown_table(
        ("initializer", "shape", "library", "time", "times winit_cuda's"), lines, "lllrr"
    )
    parts = [
        "# Fills by other libraries",
        f"Written by `python -m benchmarks.peers` on {facts['date']}.",
        "\n".join([*machine_lines(facts), *(f"- {k}: {v}" for k, v in versions.items() if v)]),
        "float32. Times are medians of one call, ± the interquartile range; the last column is "
        "the median over the rounds. torch and winit_cuda have as many threads as the machine has "
        "cores, and so has JAX by itself; NumPy fills with one.",
        table,
    ]
    return "\n\n".join(parts) + "\n"


def _version(name: str) -> str:
    try:
        return str(importlib.import_module(name).__version__)
    except ImportError:
        return ""


def main(words: Sequence[str]) -> int:
    """Measure, print, and write the page where one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the Markdown here")
    arguments = parser.parse_args(words)
    facts = machine.describe()
    text = page(rows(), facts)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
