"""Measures parts of a matrix against the whole: ``python -m benchmarks.shards OUT``.

Of each matrix it fills parts by rows and by columns, in one box and in several, and tells the work,
the processor time of all threads, as a share of that of the whole, and the memory that a call has
beyond the tensor at its peak. It measures the CPU, and takes one to two minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import re
import shlex
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

import winit_cuda
from winit_cuda._command import machine
from winit_cuda._command.console import Progress, format_seconds, markdown_table
from winit_cuda._core import backend

from .measure import DISTURBED, Timing, timing_of
from .report import join_json, machine_lines, rounded, timing_as_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MATRICES = ((4096, 4096), (32768, 512), (512, 32768))
# The function and its arguments; normal_ shows what a part costs where no element needs another.
FUNCTIONS = {"normal_": (), "sparse_": (0.5,), "orthogonal_": ()}
SHARES = (2, 8, 64)
BOXES = (2, 4, 16)
# The share of rows and columns in several boxes: together an eighth of the matrix.
SEVERAL = {"rows": (8, 1), "columns": (1, 8), "both": (2, 4)}
SECONDS, LEAST_ROUNDS, MOST_ROUNDS, MOST_TRIES = 0.3, 3, 25, 3

LEGEND = (
    "time: of one call in float32, the median; other programs make it longer. work: the processor "
    "time of all threads, the median ± the interquartile range; share: of the work of the whole "
    "matrix. memory: what a call has beyond the tensor at its peak, and as a multiple "
    "of the tensor. A part by rows has whole rows, the last ones; by columns likewise; parts of "
    "several boxes are an eighth of the matrix, in boxes with equal gaps between them, by both "
    "half of the rows and a quarter of the columns."
)


@dataclass(frozen=True)
class Part:
    """Which part of a matrix is filled."""

    name: str
    shard: winit_cuda.Shard | winit_cuda.Shards | None
    shape: tuple[int, int]


class Result(NamedTuple):
    """What was measured of a part."""

    function: str
    matrix: tuple[int, int]
    part: Part
    time: Timing
    work: Timing
    share: float
    memory: int | None


def parts(matrix: tuple[int, int]) -> Iterator[Part]:
    """The whole matrix first."""
    rows, columns = matrix
    yield Part("whole", None, matrix)
    for count in SHARES:
        kept = rows // count
        yield Part(
            f"1/{count} by rows", winit_cuda.Shard(matrix, (rows - kept, 0)), (kept, columns)
        )
        kept = columns // count
        last = winit_cuda.Shard(matrix, (0, columns - kept))
        yield Part(f"1/{count} by columns", last, (rows, kept))
    for (by, shares), count in itertools.product(SEVERAL.items(), BOXES):
        if by != "both":
            yield several(f"{count} boxes by {by}", matrix, shares, count, count)
        elif (side := int(count**0.5)) ** 2 == count:
            yield several(f"{side}x{side} boxes", matrix, shares, side, side)


def several(name: str, matrix: tuple[int, int], shares: tuple[int, int], *counts: int) -> Part:
    """So many intervals of each dimension that is shared; each is the last of its stretch."""
    dimensions = []
    for size, share, count in zip(matrix, shares, counts, strict=True):
        intervals = 1 if share == 1 else count
        stretch, kept = size // intervals, size // intervals // share
        dimensions.append([((i + 1) * stretch - kept, kept, i * kept) for i in range(intervals)])
    boxes = tuple(
        winit_cuda.Box(*zip(*place, strict=True)) for place in itertools.product(*dimensions)
    )
    shards = winit_cuda.Shards(boxes, matrix)
    rows, columns = shards.local_shape
    return Part(name, shards, (rows, columns))


def times_of(call: Callable[[], object]) -> tuple[Timing, Timing]:
    """Time and work of single calls, after one that is not counted."""
    call()
    time_taken: list[float] = []
    work: list[float] = []
    while len(work) < LEAST_ROUNDS or (sum(time_taken) < SECONDS and len(work) < MOST_ROUNDS):
        begin, processor = time.perf_counter(), time.process_time()
        call()
        time_taken.append(time.perf_counter() - begin)
        work.append(time.process_time() - processor)
    is_capped = len(work) < MOST_ROUNDS
    return timing_of(time_taken, is_capped), timing_of(work, is_capped)


def calmest(call: Callable[[], object]) -> tuple[Timing, Timing]:
    """The same, of a few tries where other programs had the cores."""
    tries: list[tuple[Timing, Timing]] = []
    while not tries or (tries[-1][1].spread > DISTURBED and len(tries) < MOST_TRIES):
        tries.append(times_of(call))
    return min(tries, key=lambda found: found[1].spread)


def peak_of(call: Callable[[], object]) -> int | None:
    """Bytes that a call has at its peak beyond what was there before; None where nothing tells."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        return None

    def status(name: str) -> int:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    # Or memory that was freed would be taken without being seen.
    backend.loaded.free_kept_memory()
    trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is what there is now
    before = status("VmRSS")
    call()
    return max(0, status("VmHWM") - before)


def measure(
    matrices: Sequence[tuple[int, int]], begin: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """Every function on every part of every matrix."""
    key = winit_cuda.key(0)
    results = []
    for matrix, function in itertools.product(matrices, FUNCTIONS):
        whole = 0.0
        for part in parts(matrix):
            begin(f"{function} {matrix[0]}x{matrix[1]}, {part.name}")
            tensor = torch.zeros(part.shape)
            call = partial(
                getattr(winit_cuda, function),
                *(tensor, *FUNCTIONS[function]),
                key=key,
                shard=part.shard,
            )
            time_taken, work = calmest(call)
            whole = whole or work.median
            share = work.median / whole
            results.append(Result(function, matrix, part, time_taken, work, share, peak_of(call)))
    return results


@dataclass(frozen=True)
class Report:
    """What was measured, with what is needed to judge it or to run it again."""

    command: str
    machine: dict[str, object]
    simd: str
    results: list[Result]


def as_markdown(report: Report) -> str:
    """A page with a table for each matrix and function."""
    facts = report.machine
    pages = [
        f"# Parts of a matrix on {facts['cpu']}, {facts['threads']} threads",
        f"Written by `{report.command}` on {facts['date']}.",
        "\n".join([*machine_lines(facts), f"- instruction set: {report.simd}"]),
        LEGEND,
    ]
    for (function, matrix), results in itertools.groupby(report.results, lambda row: row[:2]):
        table = [
            [
                result.part.name,
                _sides(result.part.shape),
                format_seconds(result.time.median),
                f"{format_seconds(result.work.median)} ±{result.work.spread:.0%}",
                f"{result.share:.3f}",
                *_memory(result),
            ]
            for result in results
        ]
        header = ["part", "shape", "time", "work", "share", "memory", "of the tensor"]
        pages.append(f"## {function} of {_sides(matrix)}")
        pages.append(markdown_table(header, table, "llrrrrr"))
    return "\n\n".join(pages) + "\n"


def _sides(shape: tuple[int, int]) -> str:
    return "x".join(map(str, shape))


def _memory(result: Result) -> tuple[str, str]:
    if result.memory is None:
        return "", ""
    rows, columns = result.part.shape
    return f"{result.memory / 2**20:.1f} MiB", f"{result.memory / (4 * rows * columns):.2f}"


def as_json(report: Report) -> str:
    """Everything as JSON."""
    head = {"command": report.command, "simd": report.simd, "machine": report.machine}
    rows = [
        {
            "function": result.function,
            "matrix": result.matrix,
            "part": result.part.name,
            "shape": result.part.shape,
            "time": timing_as_data(result.time),
            "work": timing_as_data(result.work),
            "share": rounded(result.share),
            "memory": result.memory,
        }
        for result in report.results
    ]
    return join_json(head, rows)


def main(arguments: Sequence[str]) -> int:
    """Measure, and write JSON and Markdown to the folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shards", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="OUT", help="where the two files go")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    facts = machine.describe()  # the load is that of the others, before the work begins
    core = winit_cuda.backend_info().core
    if core is None:
        parser.error("winit_cuda was installed without its core")
    progress = Progress(len(MATRICES) * len(FUNCTIONS) * len(list(parts(MATRICES[0]))))
    results = measure(MATRICES, progress.step)
    progress.clear()
    command = shlex.join(["python", "-m", "benchmarks.shards", *arguments])
    report = Report(command, facts, str(core["simd_active"]), results)
    model = re.sub(r"[^a-z0-9]+", "-", str(facts["cpu"]).lower()).strip("-")
    stem = f"cpu-{model}-{facts['threads']}t-shards-{str(facts['date'])[:10]}"
    for suffix, text in (("json", as_json(report)), ("md", as_markdown(report))):
        path = folder / f"{stem}.{suffix}"
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
