"""``winit-cuda verify``: whether a checkpoint has the weights that a plan gives with a seed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from .._verify.verify import verify
from .arguments import add_file, plan_of, told
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
    add_file(parser, "--plan", "what Plan.save has written", required=True)
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
    add_file(parser, "--json", "write the result here")


def run(arguments: argparse.Namespace) -> int:
    """Print the verdict, then what differs; 1 where something does."""
    with told():
        result = verify(
            arguments.checkpoint,
            plan_of(arguments.plan),
            arguments.seed,
            seeds=_seeds(arguments.seeds),
            strict=not arguments.partial,
            prefix=arguments.prefix,
        )
    if arguments.json:
        text = json.dumps(result.as_dict(), indent=1, allow_nan=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    print(result)
    return int(not result.ok)


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
