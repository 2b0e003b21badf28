"""``winit-cuda plan``: the laws of a model, read from its own constructor, as a table or JSON."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._model.plan import plan
from .console import CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``winit-cuda plan``."""
    parser.add_argument(
        "factory",
        metavar="MODULE:FACTORY",
        help="a callable without arguments that makes the model, such as mymodel:GPT",
    )
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
    factory = _factory(arguments.factory)
    try:
        found = plan(factory, arguments.rules)
        if arguments.json:
            found.save(arguments.json)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CommandError(str(error)) from error
    print(found)
    return int(any(entry.kind == "unset" and not entry.is_buffer for entry in found))


def _factory(text: str) -> Callable[[], Any]:
    """The callable that the text names; modules of the current folder are found, too."""
    module, colon, path = text.partition(":")
    if not (module and colon and path):
        raise CommandError(f"expected MODULE:FACTORY, such as mymodel:GPT, got {text!r}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise CommandError(f"{text}: {error}") from error
    if not callable(found):
        raise CommandError(f"{text} is a {type(found).__name__}, not a callable")
    factory: Callable[[], Any] = found
    return factory
