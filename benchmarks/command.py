"""The options of ``winit-cuda bench``, and what it prints and writes."""

from __future__ import annotations

import argparse
import importlib
import json
import os
from pathlib import Path

import torch

import winit_cuda
from winit_cuda._command import machine
from winit_cuda._command.console import CommandError, Progress, require_rich

from . import isa, plot
from .cases import (
    DTYPES,
    INITIALIZERS,
    parse_size,
)
from .measure import measure, measure_all
from .plans import PRESETS, plan
from .report import (
    Report,
    as_json,
    as_markdown,
    as_text,
    file_stem,
)

RESULTS = Path("benchmarks") / "results"
BESIDE_RESULTS = Path()  # --plot without a file
CHOICES = ("sizes", "dtypes", "threads", "initializers")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``winit-cuda bench``."""
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="full",
        help="full (default): everything, 10 to 15 minutes on 2 cores; quick: under a minute; "
        "targets: 16 M elements, 4x4, 300 small tensors and matrices, against the project's goals; "
        "layouts: transposed, channels_last, sliced and permuted tensors against contiguous ones",
    )
    parser.add_argument("--quick", action="store_true", help="the same as --preset quick")
    parser.add_argument(
        "--sizes", nargs="+", type=_size, metavar="2^N", help="numbers of elements, powers of two"
    )
    parser.add_argument(
        "--dtypes", nargs="+", choices=tuple(DTYPES), metavar="DTYPE", help=", ".join(DTYPES)
    )
    parser.add_argument(
        "--threads", nargs="+", type=_threads, metavar="N", help="numbers of CPU threads, or all"
    )
    parser.add_argument(
        "--isa",
        nargs="+",
        metavar="NAME",
        help="hold the core to these instruction sets, one after the other in each case: all, or "
        "some of `winit-cuda info` (default: the best)",
    )
    parser.add_argument(
        "--initializers", nargs="+", type=_initializer, metavar="NAME", help=", ".join(INITIALIZERS)
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (default): CUDA if there is a device, else the CPU",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON here")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="write JSON and Markdown here, named by machine and date (default: "
        f"{RESULTS} in a checkout of the project, else the current folder; nothing with --json)",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        nargs="?",
        const=BESIDE_RESULTS,
        metavar="FILE",
        help="draw throughput over size against torch.nn.init and fill_, as SVG or PNG "
        "(default: an SVG beside the results)",
    )
    parser.add_argument(
        "--from",
        dest="results",
        type=Path,
        metavar="JSON",
        help="with --plot: draw these results, measure nothing",
    )


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _threads(text: str) -> int:
    if text == "all":
        return torch.get_num_threads()
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, or all, got {text!r}")
    return int(text)


def _initializer(text: str) -> str:
    name = text if text.endswith("_") else f"{text}_"
    if name not in INITIALIZERS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(INITIALIZERS)}, got {text!r}")
    return name


def _isas(chosen: list[str] | None, device: str) -> list[str]:
    """The instruction sets to measure; the one in use counts as chosen on the CPU."""
    usable = isa.usable() if device == "cpu" else []
    if not chosen:
        return usable[:1] or [""]
    if chosen == ["all"] and usable:
        return usable
    unknown = [name for name in chosen if name not in usable]
    if unknown:
        known = f"the core has {', '.join(usable)}" if usable else f"there are none for {device}"
        raise CommandError(f"--isa {' '.join(unknown)}: {known}")
    return list(dict.fromkeys(chosen))


def _output_folder(arguments: argparse.Namespace) -> Path | None:
    """Where the two named files go, made and found writable before the work begins."""
    if arguments.output is None and arguments.json:
        return None
    folder: Path = arguments.output or (RESULTS if machine.is_checkout(Path.cwd()) else Path())
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise CommandError(f"cannot write to the folder {folder}")
    return folder


def _require_torch_benchmark() -> None:
    try:
        importlib.import_module("torch.utils.benchmark")
    except ImportError as error:
        raise CommandError(
            f"torch.utils.benchmark cannot be imported ({error}); pip install 'winit_cuda[bench]' "
            "brings what it needs"
        ) from error


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write the files; 130 when it was interrupted."""
    if arguments.results:
        return _draw_again(arguments)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise CommandError("--device cuda: torch finds no CUDA device here")
    require_rich()
    _require_torch_benchmark()
    preset = "quick" if arguments.quick else arguments.preset
    chosen = {name: getattr(arguments, name) for name in CHOICES}
    if preset == "targets" and any(chosen.values()):
        raise CommandError("--preset targets is a fixed list, without choices of its own")
    if preset == "layouts" and chosen["sizes"]:
        raise CommandError("--preset layouts has sizes of its own")
    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()
    work = plan(preset, device, threads, **chosen, isas=_isas(arguments.isa, device))
    if arguments.plot:
        plot.require(_chart_file(arguments, Path("results")), work.cases)
    folder = _output_folder(arguments)
    for file in (arguments.json, arguments.plot):
        if file and file != BESIDE_RESULTS:
            file.open("a").close()  # finds out now, not after the work
    facts = machine.describe()  # the load is that of the others, before the work begins

    progress = Progress(len(work.cases))
    rows, complete = measure_all(work, measure, lambda case: progress.step(case.label))
    progress.clear()
    report = Report(
        preset=preset,
        command=arguments.command_line,
        device=device,
        all_threads=threads,
        complete=complete,
        machine=facts,
        backend=winit_cuda.backend_info(),
        rows=rows,
    )
    print(as_text(report), end="\n\n", flush=True)
    _write(report, arguments, folder)
    return 0 if complete else 130


def _draw_again(arguments: argparse.Namespace) -> int:
    """Draw results that were written before."""
    others = (*CHOICES, "isa", "quick", "json", "output")
    if not arguments.plot or any(getattr(arguments, name) for name in others):
        raise CommandError("--from goes with --plot and nothing else: it measures nothing")
    source: Path = arguments.results
    chart = _chart_file(arguments, source.with_suffix(""))
    plot.require(chart)
    plot.draw(plot.load(source), chart)
    print(f"wrote {chart}")
    return 0


def _chart_file(arguments: argparse.Namespace, stem: Path) -> Path:
    """Where the chart goes; ``stem`` is the path of the results without their suffix."""
    beside = arguments.plot == BESIDE_RESULTS
    return stem.with_name(f"{stem.name}.svg") if beside else Path(arguments.plot)


def _write(report: Report, arguments: argparse.Namespace, folder: Path | None) -> None:
    """Write the files that the command line asks for, the chart last."""
    data = as_json(report)
    texts = {arguments.json: data} if arguments.json else {}
    if folder:
        stem = folder / file_stem(report)
        texts[stem.with_name(f"{stem.name}.json")] = data
        texts[stem.with_name(f"{stem.name}.md")] = as_markdown(report)
    else:
        stem = arguments.json.with_suffix("")
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    if arguments.plot:
        chart = _chart_file(arguments, stem)
        plot.draw(json.loads(data), chart)
        print(f"wrote {chart}")
