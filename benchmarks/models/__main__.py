"""``python -m benchmarks.models``: what plans read of every model type of transformers.

`--timm` and `--diffusers` take the models of those instead; each must be installed. Each model is a
process of its own, with its default configuration; those of few parameters are built, too, and held
against the plan and an instance that it fills. `--small` makes models of transformers small, where
the configuration allows it. `--times` takes times, of some well-known models.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import sys
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import winit_cuda as winit
from winit_cuda._command import machine

from . import catalog, times
from .check import KS_LIMIT, compared, planned

if TYPE_CHECKING:
    from collections.abc import Callable

    Factory = Callable[[], torch.nn.Module]


def main(words: list[str] | None = None) -> int:
    """Plan the models, write what was found, print the totals; 1 where a plan is wrong."""
    arguments = _parsed(words)
    if arguments.times:
        return times.main(arguments.types, arguments.rounds, arguments.output)
    source = catalog.SOURCES[arguments.source]
    found = {}
    if arguments.again:
        old = json.loads(arguments.output.read_text())["types"]
        found = {one["type"]: one for one in old}
    names = arguments.types
    if names is None:
        names = [name for name in source.names()[:: arguments.every] if name not in found]
    torch.set_num_threads(1)
    catalog.warm_up()
    winit.plan(lambda: torch.nn.Linear(2, 2))  # what torch imports for fake tensors, once
    try:
        for name in names:
            examined = partial(_examined, name, source.factory, arguments.build * 1e6)
            found[name] = {"type": name, **_in_child(examined, arguments.seconds)}
            print(json.dumps(found[name]), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted; --again goes on", file=sys.stderr)
    summed = totals(list(found.values()))
    report = {
        "command": "python -m benchmarks.models " + " ".join(words or sys.argv[1:]),
        "machine": machine.describe(),
        "totals": summed,
        "types": [found[name] for name in sorted(found)],
    }
    print(json.dumps(summed, indent=1))
    if arguments.output:
        arguments.output.write_text(as_text(report))
    return int(bool(summed["different"]))


def _parsed(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.models", description=__doc__)
    parser.set_defaults(source="transformers")
    source = parser.add_mutually_exclusive_group()
    for name, text in (
        ("small", "types of transformers, shrunk"),
        ("timm", "the models of timm"),
        ("diffusers", "models of diffusers"),
    ):
        source.add_argument(f"--{name}", dest="source", action="store_const", const=name, help=text)
    parser.add_argument("--types", nargs="+", help="which of them (default: all)")
    parser.add_argument("--every", type=int, default=1, help="of all, each n-th")
    parser.add_argument(
        "--build", type=float, default=60, help="build those of up to so many million parameters"
    )
    parser.add_argument("--seconds", type=int, default=300, help="so long for a model at most")
    parser.add_argument("--output", type=Path, help="write what was found to this JSON file")
    parser.add_argument("--again", action="store_true", help="keep what else --output has")
    parser.add_argument("--times", action="store_true", help="take times instead")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side, for --times")
    arguments = parser.parse_args(words)
    if arguments.again and arguments.output is None:
        parser.error("--again needs --output")
    return arguments


def as_text(report: dict[str, Any]) -> str:
    """The report as JSON, with a line for each type."""
    head = {key: value for key, value in report.items() if key != "types"}
    lines = ",\n".join(json.dumps(one) for one in report["types"])
    return f'{json.dumps(head, indent=1)[:-2]},\n "types": [\n{lines}\n]}}\n'


def totals(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over all types."""
    good = [one for one in found if "error" not in one]
    summed: dict[str, Any] = {"types": len(found), "planned": len(good)}
    for what in ("parameters", "buffers"):
        summed[what] = dict(sum((Counter(one[what]) for one in good), Counter()))
    counts = summed["parameters"]
    seconds = sorted(one["seconds"] for one in good)
    built = [one for one in good if "different" in one]
    return {
        **summed,
        "laws in percent": round(100 * counts.get("law", 0) / max(1, sum(counts.values())), 2),
        "with unset entries": [one["type"] for one in good if one["unset"]],
        "built": len(built),
        "different": [one["type"] for one in built if one["different"]],
        "not compared": [one["type"] for one in good if "build_error" in one],
        "KS tests": sum(one["ks_tests"] for one in built),
        "largest KS distance": max((one["ks_largest"] for one in built), default=None),
        "limit of KS distances": round(KS_LIMIT, 2),
        "median seconds": seconds[len(seconds) // 2] if seconds else None,
        "largest growth in MB": max((one["growth_mb"] for one in good), default=None),
    }


def _in_child(examined: Callable[[], dict[str, Any]], seconds: int) -> dict[str, Any]:
    """What a forked process finds."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # only the parent says what was found
        signal.alarm(seconds)
        with os.fdopen(writing, "w") as file:
            file.write(json.dumps(examined()))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if text else {"error": f"ended with status {status}"}


def _said(error: Exception) -> str:
    """The beginning of what an error says, with paths of packages in whatever environment."""
    return re.sub(r"\S+/site-packages/", "", f"{type(error).__name__}: {error}")[:300]


def _examined(name: str, factory_of: Callable[[str], Factory], most: float) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    try:
        factory = factory_of(name)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        plan, found = planned(factory)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found["growth_mb"] = round((after - before) / 1024, 1)
    except Exception as error:  # whatever a constructor raises is a result
        return {"error": _said(error)}
    if found["elements"] <= most:
        try:
            found |= compared(factory, plan)
        except Exception as error:
            found["build_error"] = f"{type(error).__name__}: {error}"[:300]
    return found


if __name__ == "__main__":
    sys.exit(main())
