"""``python -m benchmarks.gpu.tune OUT``: which launch sizes, table and stores are fastest here.

Builds the variants of the fill kernel and of the list's kernel for the GPU that is there, compares
every bit with the package's own kernels, times all in turns, and writes a page and its data.
"""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from winit_cuda._command import machine

from ..machine import describe_gpu
from .build import Builder, BuildError, Library
from .report import write
from .results import Results
from .runs import Run
from .variants import FILLS, LISTS, on_the_cpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .variants import Variant

COMPILED_FOR = "sm_90"  # without a GPU to ask


def main(argv: Sequence[str] | None = None) -> int:
    """Build, check, measure, write; 1 where bits are wrong or a variant does not compile."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="benchmarks.gpu.tune", description=__doc__)
    parser.add_argument("output", type=Path, help="the folder for the page and its data")
    parser.add_argument("--seconds", type=float, default=300, help="when to stop (default: 300)")
    parser.add_argument("--jobs", type=int, default=16, help="compilers at a time (default: 16)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--dry-run", action="store_true", help="run the variants on the CPU and look at the bits"
    )
    mode.add_argument(
        "--compile-only", action="store_true", help=f"compile with nvcc for {COMPILED_FOR}, no more"
    )
    arguments = parser.parse_args(words)
    if not (arguments.dry_run or arguments.compile_only or torch.cuda.is_available()):
        print("torch finds no CUDA device; --dry-run and --compile-only need none", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)  # what `timeout` sends: keep what was measured
    ends = time.monotonic() + arguments.seconds
    with tempfile.TemporaryDirectory() as folder:
        builder = Builder(Path(folder), _architecture(arguments.dry_run), arguments.jobs)
        began = time.monotonic()
        fills = builder.fills(tuple(map(on_the_cpu, FILLS)) if arguments.dry_run else FILLS)
        lists = {} if arguments.dry_run else builder.lists(LISTS)
        build_seconds = time.monotonic() - began
        not_built = _not_built({"fill": fills, "list": lists})
        if arguments.compile_only:
            return _tell_compiled(fills, lists, not_built, build_seconds)
        run = Run("cpu" if arguments.dry_run else "cuda", fills, lists, ends)
        command = shlex.join(["python", "-m", "benchmarks.gpu.tune", *words])
        results = _measured(run, command, build_seconds, not_built)
    for path in write(results, arguments.output, file_stem(results)):
        print(f"wrote {path}")
    for line in (*results.wrong, *not_built):
        print(f"FAILED: {line}")
    print(_last_line(results))
    return 1 if results.wrong or not_built else 0 if results.complete else 130


def _measured(run: Run, command: str, build_seconds: float, not_built: dict[str, str]) -> Results:
    idle, complete = describe_gpu(), True
    at_work = describe_gpu(at_work=True)  # and warms up
    fills: list[Any] = []
    lists: list[Any] = []
    crossovers: list[Any] = []
    try:
        for found, made in (
            (fills, run.measure_fills()),
            (lists, run.measure_lists()),
            (crossovers, run.measure_crossovers()),
        ):
            for each in made:
                print(f"measured {each.case.label}", flush=True)
                found.append(each)
        complete = run.in_time()
    except KeyboardInterrupt:
        complete = False
    return Results(
        command=command,
        dry_run=run.device == "cpu",
        complete=complete,
        machine=machine.describe(),
        gpu_idle=idle,
        gpu_at_work=at_work,
        build_seconds=build_seconds,
        fills=fills,
        lists=lists,
        crossovers=crossovers,
        kernels=run.kernels(),
        wrong=run.wrong,
        not_built=not_built,
    )


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _architecture(dry_run: bool) -> str | None:
    if dry_run:
        return None
    if not torch.cuda.is_available():
        return COMPILED_FOR
    major, minor = torch.cuda.get_device_capability()
    return f"sm_{major}{minor}"


def _not_built(kinds: Mapping[str, Mapping[Variant, Library | BuildError]]) -> dict[str, str]:
    return {
        f"{kind}, {variant.name}": str(library)
        for kind, libraries in kinds.items()
        for variant, library in libraries.items()
        if isinstance(library, BuildError)
    }


def _tell_compiled(
    fills: Mapping[Variant, Library | BuildError],
    lists: Mapping[Variant, Library | BuildError],
    not_built: Mapping[str, str],
    seconds: float,
) -> int:
    """Print what ptxas says of each variant."""
    for kind, libraries in (("fill", fills), ("list", lists)):
        for variant, library in libraries.items():
            if isinstance(library, Library) and not variant.blocks_per_processor:
                print(f"{kind}, {variant.name}: {', '.join(_resources(library))}")
    for name, why in not_built.items():
        print(f"FAILED: {name}: {why}")
    print(f"{len(fills) + len(lists)} variants, {len(not_built)} failed, {seconds:.0f} s")
    return 1 if not_built else 0


def _resources(library: Library) -> Iterator[str]:
    kernels = library.resources.values()
    yield f"{'/'.join(str(n) for n in sorted({each.registers for each in kernels}))} registers"
    yield f"{max((each.shared_bytes for each in kernels), default=0)} bytes shared"
    yield f"{max((each.local_bytes for each in kernels), default=0)} bytes local"


def file_stem(results: Results) -> str:
    """The name of the files: device, tuning and day, as those of the benchmarks."""
    model = "dry-run" if results.dry_run else f"cuda-{results.title}"
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    incomplete = "" if results.complete else "-incomplete"
    return f"{name}-tuning-{str(results.machine['date'])[:10]}{incomplete}"


def _last_line(results: Results) -> str:
    winners = [each.winner for each in (*results.fills, *results.lists) if each.winner]
    count = len(results.fills) + len(results.lists)
    return (
        f"{count} cases, {len(winners)} with a variant that is faster; {len(results.wrong)} wrong"
    )


if __name__ == "__main__":
    sys.exit(main())
