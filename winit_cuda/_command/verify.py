"""``winit-cuda verify``: whether a checkpoint has the weights that a plan gives with a seed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from .._model.plan import Plan
from .._verify.verify import verify
from .console import CommandError

if TYPE_CHECKING:
    import argparse

_MOST_SEEDS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``winit-cuda verify``."""
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="a .safetensors file or its .index.json, a file of torch.save, or the folder of a "
        "distributed checkpoint",
    )
    parser.add_argument(
        "--plan", type=Path, required=True, metavar="FILE", help="what Plan.save has written"
    )
    parser.add_argument("--seed", type=int, required=True, help="what the run was given")
    parser.add_argument(
        "--seeds",
        default="",
        metavar="LIST",
        help="other seeds to look for in what differs, such as 0-9 or 1,5,7",
    )
    parser.add_argument(
        "--prefix", help="what stands before the plan's names, such as model.; found if not given"
    )
    parser.add_argument(
        "--partial", action="store_true", help="missing and extra names are no difference"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here")


def run(arguments: argparse.Namespace) -> int:
    """Print the verdict, then what differs; 1 where something does."""
    try:
        result = verify(
            arguments.checkpoint,
            _plan(arguments.plan),
            arguments.seed,
            seeds=_seeds(arguments.seeds),
            strict=not arguments.partial,
            prefix=arguments.prefix,
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise CommandError(str(error)) from error
    if arguments.json:
        text = json.dumps(result.as_dict(), indent=1, allow_nan=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    print(result)
    return int(not result.ok)


def _plan(path: Path) -> Plan:
    try:
        return Plan.load(path)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{path}: {error}") from error


def _seeds(text: str) -> list[int]:
    """The seeds of a list of numbers and ranges."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        ends = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if ends is None:
            raise CommandError(f"--seeds: expected numbers and ranges such as 0-9, got {text!r}")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or last - first >= _MOST_SEEDS:
            raise CommandError(f"--seeds: {part} is no range of 1 to {_MOST_SEEDS:,} seeds")
        found += range(first, last + 1)
    return found
