"""``winit-cuda report``: what the weights of a model are like, against the laws of its plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._model.build import build
from .._model.plan import Plan, plan
from .._verify.report import report
from .console import CommandError
from .factory import add_argument, factory_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``winit-cuda report``."""
    add_argument(parser)
    parser.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="fill the model by this plan, of Plan.save, instead of its constructor's laws",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: 0)")
    parser.add_argument(
        "--batch",
        choices=["random"],
        help="run a random batch through the model, and report on activations and gradients",
    )
    for ending, what in (("html", "a page"), ("json", "the numbers"), ("png", "a picture")):
        help_ = f"write {what} here"
        parser.add_argument(f"--{ending}", type=Path, metavar="FILE", help=help_)


def run(arguments: argparse.Namespace) -> int:
    """Build the model, print the table, write the files; 1 where something is wrong."""
    factory = factory_of(arguments.factory)
    files = {ending: getattr(arguments, ending) for ending in ("html", "json", "png")}
    for ending, path in files.items():
        if path and path.suffix != f".{ending}":
            raise CommandError(f"--{ending} takes a file that ends in .{ending}, got {path}")
    try:
        model, laws = _filled(factory, arguments.plan, arguments.seed)
        found = report(model, laws, arguments.batch)
        for path in filter(None, files.values()):
            found.save(path)
    except (TypeError, ValueError, RuntimeError, ImportError) as error:
        raise CommandError(str(error)) from error
    print(found)
    return int(not found.ok)


def _filled(factory: Callable[[], Any], path: Path | None, seed: int) -> tuple[Any, Plan]:
    """The model with its weights, and the plan that they are of."""
    model = build(factory, seed)
    if path is None:
        return model, plan(factory)
    laws = Plan.load(path)
    laws.run(model, seed)
    return model, laws
