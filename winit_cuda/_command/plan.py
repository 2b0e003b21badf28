"""``winit-cuda plan``: the laws of a model, read from its own constructor, as a table or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .._model.plan import plan
from .console import CommandError
from .factory import add_argument, factory_of

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``winit-cuda plan``."""
    add_argument(parser)
    parser.add_argument(
        "--rules",
        type=Path,
        metavar="FILE",
        help="JSON or TOML: globs over names and the initializers that replace what was read",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the plan here, for Plan.load"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the table, write the file; 1 where an entry has no law."""
    factory = factory_of(arguments.factory)
    try:
        found = plan(factory, arguments.rules)
        if arguments.json:
            found.save(arguments.json)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CommandError(str(error)) from error
    print(found)
    return int(any(entry.kind == "unset" and not entry.is_buffer for entry in found))
