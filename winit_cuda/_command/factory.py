"""``MODULE:FACTORY``, by which a command line names what makes a model."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The argument that `factory_of` reads."""
    parser.add_argument(
        "factory",
        metavar="MODULE:FACTORY",
        help="a callable without arguments that makes the model, such as mymodel:GPT",
    )


def factory_of(text: str) -> Callable[[], Any]:
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
