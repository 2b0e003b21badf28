"""What `plan`, `report` and `verify` take: what makes a model, files, and errors of both."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._model.plan import Plan
from .console import CommandError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator


def add_file(parser: argparse.ArgumentParser, option: str, help_: str, **others: Any) -> None:
    """An option that is the path of a file."""
    parser.add_argument(option, type=Path, metavar="FILE", help=help_, **others)


def plan_of(path: Path) -> Plan:
    """The plan of a file that `Plan.save` has written."""
    try:
        return Plan.load(path)
    except (TypeError, ValueError) as error:
        raise CommandError(f"{path} is no file of Plan.save: {error}") from error


@contextmanager
def told() -> Iterator[None]:
    """Let errors that say what is wrong with models and files end the command with their text."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, ImportError) as error:
        raise CommandError(str(error)) from error


def add_factory(parser: argparse.ArgumentParser) -> None:
    """The argument that `factory_of` reads: ``MODULE:FACTORY``."""
    parser.add_argument(
        "factory",
        metavar="MODULE:FACTORY",
        help="a callable without arguments that makes the model, such as mymodel:GPT",
    )


def factory_of(text: str) -> Callable[[], Any]:
    """The callable that the text names; modules of the current folder are found, too."""
    module, colon, path = text.partition(":")
    if not (module and colon and path) or module.startswith("."):
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
        raise CommandError(f"{text} is no callable, but of type {type(found).__name__}")
    factory: Callable[[], Any] = found
    return factory
