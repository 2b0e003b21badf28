"""``winit-cuda plan``: the laws of a model, read from its own constructor, as a table or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._model.plan import plan
from .arguments import add_factory, add_file, factory_of, told

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``winit-cuda plan``."""
    add_factory(parser)
    rules = "JSON or TOML: globs over names and the initializers that replace what was read"
    add_file(parser, "--rules", rules)
    add_file(parser, "--json", "write the plan here, for Plan.load")


def run(arguments: argparse.Namespace) -> int:
    """Print the table, write the file; 1 where an entry has no law."""
    factory = factory_of(arguments.factory)
    with told():
        found = plan(factory, arguments.rules)
        if arguments.json:
            found.save(arguments.json)
    print(found)
    return int(any(entry.kind == "unset" and not entry.is_buffer for entry in found))
