"""``winit-cuda demo``: real models, initialized with torch.nn.init and with winit_cuda.

It times both and shows layer by layer that the distributions agree. Both sides run the same
initialization function on the same module, in turns, with the same number of threads. At the end a
model too large for the machine is planned, and one that is not is built. Nothing is written but the
optional JSON file.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .. import init as winit_init
from .._core.backend import backend_info
from .._model.plan import plan
from .._model.table import number, template
from .._verify.model_report import plain
from .._verify.report import report
from .._verify.report_table import moments
from .._version import __version__
from . import demo_plan, machine
from .console import (
    CommandError,
    Progress,
    format_ratio,
    format_seconds,
    require_rich,
    text_table,
)
from .demo_models import MODELS, DemoModel, InitNamespace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from .._verify.report_data import ParameterReport
    from .demo_plan import PlanResult


@dataclass(frozen=True)
class Group:
    """Parameters of one law, and what both sides made of them."""

    label: str
    torch_side: list[ParameterReport]
    winit_side: list[ParameterReport]

    @property
    def law(self) -> str:
        """The scheme that all have, without its numbers."""
        return self.winit_side[0].law.partition("(")[0]

    @property
    def planned_std(self) -> float:
        """The standard deviation of the law."""
        expected = self.winit_side[0].expected
        return math.nan if expected is None else expected.std

    @property
    def z(self) -> float:
        """The largest z-score of all tests against the law, 0 where that is a constant."""
        return max(row.scores.worst for row in (*self.torch_side, *self.winit_side))

    @property
    def reason(self) -> str:
        """Why a side does not have the law; empty where both do."""
        for name, rows in (("winit_cuda", self.winit_side), ("torch.nn.init", self.torch_side)):
            for row in rows:
                if row.severity == 2:
                    return f"{row.findings[0].kind} of {name}"
        return ""


@dataclass(frozen=True)
class ModelResult:
    """What the demo found out about one model."""

    model: DemoModel
    parameters: int
    torch_seconds: float
    winit_seconds: float
    groups: list[Group]
    limit: float  # the z-score beyond which values are not of a law
    repeats_itself: bool  # the same seed gave the same bits again
    same_on_cpu: bool | None  # the CPU gave the same bits; None where that was not compared

    @property
    def agree(self) -> bool:
        """Whether both sides gave every layer the law that is expected."""
        return not any(group.reason for group in self.groups)

    @property
    def passed(self) -> bool:
        """Whether the demo may end with success."""
        return self.agree and self.repeats_itself and self.same_on_cpu is not False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``winit-cuda demo``."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (default): CUDA if there is a device, else the CPU",
    )
    parser.add_argument(
        "--seed", type=seed_of_torch, default=0, help="for torch.manual_seed (default 0)"
    )
    parser.add_argument(
        "--models",
        nargs="+",
        choices=tuple(MODELS),
        default=tuple(MODELS),
        metavar="MODEL",
        help=f"any of {', '.join(MODELS)} (default: all)",
    )
    parser.add_argument(
        "--repeats", type=int, default=5, help="timed runs of each side (default 5)"
    )
    parser.add_argument("--all-layers", action="store_true", help="do not group repeated blocks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")


def seed_of_torch(text: str) -> int:
    """An integer that torch.manual_seed takes."""
    seed = int(text)
    if not -(2**63) <= seed < 2**64:
        raise ValueError(seed)  # argparse says what was wrong
    return seed


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo and prints it; 1 where the two sides or two runs of one seed disagree."""
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise CommandError("--device cuda: torch finds no CUDA device here")
    if arguments.repeats < 1:
        raise CommandError(f"--repeats must be at least 1, got {arguments.repeats}")
    require_rich()
    if arguments.json:
        arguments.json.open("a").close()  # finds out now, not after the work
    kind = arguments.device
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(kind)
    print(heading(device, arguments.seed))

    results = []
    progress = Progress(len(arguments.models))
    for name in arguments.models:
        progress.step(name)
        result = run_model(
            MODELS[name], device, arguments.seed, arguments.repeats, arguments.all_layers
        )
        progress.clear()
        print(layers_table(result), flush=True)
        results.append(result)
    print(times_table(results))
    print()
    print(reproducibility(results, device, arguments.seed), end="\n\n", flush=True)
    planned = demo_plan.run(
        demo_plan.large(), demo_plan.gpt2, arguments.seed, min(arguments.repeats, 3)
    )
    print(planned.text)
    if arguments.json:
        text = as_json(results, planned, device, arguments.seed)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 0 if all(result.passed for result in results) else 1


def run_model(
    model: DemoModel, device: torch.device, seed: int, repeats: int, all_layers: bool
) -> ModelResult:
    """Initialize ``model`` with both sides, compares what they wrote and times them."""
    module = model.build_on_meta()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    fewest, most = model.parameters
    if not fewest <= parameters <= most:
        raise RuntimeError(
            f"{model.name} has {parameters:,} parameters, not {fewest:,} to {most:,}"
        )
    laws = plan(lambda: model.initialized(torch.nn.init))
    module = module.to_empty(device=device)
    initialize(model, module, torch.nn.init, seed)
    theirs = report(module, laws)
    initialize(model, module, winit_init, seed)
    ours = report(module, laws)
    digest = fingerprint(module)
    torch_seconds, winit_seconds = time_both(model, module, seed, repeats)
    repeats_itself = fingerprint(module) == digest

    same_on_cpu = None
    if device.type != "cpu" and native_everywhere():
        on_cpu = model.build_on_meta().to_empty(device="cpu")
        initialize(model, on_cpu, winit_init, seed)
        same_on_cpu = fingerprint(on_cpu) == digest
    groups = grouped(theirs.parameters, ours.parameters, all_layers)
    times = torch_seconds, winit_seconds
    return ModelResult(model, parameters, *times, groups, ours.limit, repeats_itself, same_on_cpu)


def grouped(
    theirs: Sequence[ParameterReport], ours: Sequence[ParameterReport], all_layers: bool
) -> list[Group]:
    """Parameters of one law that differ only in the numbers of their blocks, constants last.

    Constants, which need no statistics, make one group for each value. `all_layers` keeps every
    parameter on its own.
    """
    pairs: dict[object, list[tuple[ParameterReport, ParameterReport]]] = {}
    for pair in zip(theirs, ours, strict=True):
        row = pair[1]
        std = row.expected and row.expected.std
        key: object = (row.law, "" if std == 0 else template(row.name), std)
        pairs.setdefault(row.name if all_layers else key, []).append(pair)
    groups = []
    for both in pairs.values():
        torch_side, winit_side = map(list, zip(*both, strict=True))
        first = winit_side[0]
        name = template(first.name) if len(both) > 1 else first.name
        if len(both) > 1 and first.expected is not None and first.expected.std == 0:
            name = f"all that are {first.law}"
        groups.append(Group(name, torch_side, winit_side))
    return sorted(groups, key=lambda group: group.planned_std == 0)


def native_everywhere() -> bool:
    """Whether the native core fills on every device; ATen's values differ between devices."""
    return all(use.backend == "native" for use in backend_info().devices)


def initialize(model: DemoModel, module: nn.Module, init: InitNamespace, seed: int) -> float:
    """Initializes ``module`` from ``seed`` and returns the seconds it took on the device."""
    torch.manual_seed(seed)
    synchronize(module)
    start = time.perf_counter()
    model.initialize(module, init)
    synchronize(module)
    return time.perf_counter() - start


def synchronize(module: nn.Module) -> None:
    """Waits for the work that is queued on the module's device."""
    if next(module.parameters()).is_cuda:
        torch.cuda.synchronize()


def time_both(model: DemoModel, module: nn.Module, seed: int, repeats: int) -> tuple[float, float]:
    """Median seconds of torch.nn.init and of winit_cuda, in turns; winit_cuda writes last."""
    torch_times, winit_times = [], []
    for _ in range(repeats):
        torch_times.append(initialize(model, module, torch.nn.init, seed))
        winit_times.append(initialize(model, module, winit_init, seed))
    return statistics.median(torch_times), statistics.median(winit_times)


def fingerprint(module: nn.Module) -> str:
    """A hash of every bit of every parameter, in the order of the model."""
    digest = hashlib.blake2b(digest_size=16)
    for parameter in module.parameters():
        values = parameter.detach().cpu().contiguous()
        size = values.numel() * values.element_size()
        digest.update((ctypes.c_char * size).from_address(values.data_ptr()))
    return digest.hexdigest()


def heading(device: torch.device, seed: int) -> str:
    """The first lines: what runs where, and what winit_cuda fills with there."""
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else machine.cpu_model()
    threads = torch.get_num_threads()
    use = next(use for use in backend_info().devices if use.device.startswith(device.type))
    return (
        f"winit_cuda {__version__} and torch {torch.__version__} on {place}, "
        f"{threads} CPU thread{'s' if threads > 1 else ''}, seed {seed}\n"
        f"winit_cuda on {use.device}: {use.backend}, {use.reason}\n"
    )


def times_table(results: list[ModelResult]) -> str:
    """One line for each model: its size, how long both sides take to initialize it, the verdict."""
    rows = [
        [
            result.model.name,
            f"{result.parameters:,}",
            format_seconds(result.torch_seconds),
            format_seconds(result.winit_seconds),
            format_ratio(result.torch_seconds / result.winit_seconds),
            "agree" if result.agree else "DISAGREE",
        ]
        for result in results
    ]
    header = ("model", "parameters", "torch.nn.init", "winit_cuda", "ratio", "distributions")
    return text_table(header, rows, "lrrrrl")


def layers_table(result: ModelResult) -> str:
    """For each group of layers a line for each side, and the verdict."""
    rows = []
    for group in result.groups:
        count = sum(row.statistics.count for row in group.winit_side)
        where = f"in {len(group.winit_side)} tensors" if len(group.winit_side) > 1 else "values"
        size = f"  {group.law}, {count:,} {where}"
        verdict = f"NO: {group.reason}" if group.reason else "yes"
        verdict += f", z {group.z:.1f}" if group.planned_std and not group.reason else ""
        rows.append([group.label, "torch", *_cells(group.torch_side, group), ""])
        rows.append([size, "winit", *_cells(group.winit_side, group), verdict])
    header = ("layer", "by", "mean", "std", "expected", "min", "max", "agree")
    worst = max(group.z for group in result.groups)
    verdict = "the distributions agree" if result.agree else "THE DISTRIBUTIONS DISAGREE"
    return (
        f"{result.model.name}: {result.model.title}\n\n"
        f"{text_table(header, rows, 'llrrrrrl')}\n\n"
        f"{result.model.name}: {verdict} (largest z-score {worst:.1f}, limit {result.limit:.1f})\n"
    )


def _cells(side: list[ParameterReport], group: Group) -> list[str]:
    low, high, mean, std = moments(side)
    return [f"{mean:.2g}", *map(number, (std, group.planned_std, low, high))]


def reproducibility(results: list[ModelResult], device: torch.device, seed: int) -> str:
    """Lines that say whether the seed alone decides the weights."""
    repeated = all(result.repeats_itself for result in results)
    lines = [
        f"seed {seed} twice: the weights of winit_cuda are "
        + ("identical to the last bit" if repeated else "NOT THE SAME")
    ]
    if device.type == "cpu":
        lines.append("CPU and CUDA: not compared, this run is on the CPU only")
    elif any(result.same_on_cpu is None for result in results):
        lines.append("CPU and CUDA: not compared, the native core does not serve both")
    else:
        same = all(result.same_on_cpu for result in results)
        lines.append(
            "CPU and CUDA: the weights of winit_cuda are "
            + ("identical to the last bit" if same else "NOT THE SAME")
        )
    return "\n".join(lines)


def as_json(
    results: list[ModelResult], planned: PlanResult, device: torch.device, seed: int
) -> str:
    """Everything that was measured, with the machine, as JSON."""
    models = [
        {
            "name": result.model.name,
            "parameters": result.parameters,
            "torch_seconds": result.torch_seconds,
            "winit_seconds": result.winit_seconds,
            "ratio": result.torch_seconds / result.winit_seconds,
            "agree": result.agree,
            "same_seed_same_bits": result.repeats_itself,
            "same_bits_on_cpu": result.same_on_cpu,
            "layers": [_group_as_data(group) for group in result.groups],
        }
        for result in results
    ]
    data = {
        "machine": machine.describe(),
        "device": str(device),
        "seed": seed,
        "models": models,
        "plan": asdict(planned),
    }
    return json.dumps(data, indent=1, allow_nan=False)


def _group_as_data(group: Group) -> dict[str, object]:
    first = group.winit_side[0]
    return {
        "layer": group.label,
        "tensors": len(group.winit_side),
        "law": first.law,
        "expected": None if first.expected is None else plain(asdict(first.expected)),
        "torch": _moments_as_data(group.torch_side),
        "winit_cuda": _moments_as_data(group.winit_side),
        "agree": not group.reason,
        "reason": group.reason,
        "z": group.z,
    }


def _moments_as_data(side: list[ParameterReport]) -> Any:
    count = sum(row.statistics.count for row in side)
    names = ("min", "max", "mean", "std")
    return plain({"count": count, **dict(zip(names, moments(side), strict=True))})
