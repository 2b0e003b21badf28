"""``winit-cuda report``: what the weights of a model are like, against the laws of its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._model.build import build
from .._model.plan import plan
from .._verify.report import report
from .arguments import add_factory, add_file, factory_of, plan_of, told
from .console import CommandError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``winit-cuda report``."""
    add_factory(parser)
    laws = "fill the model by this plan, of Plan.save, instead of its constructor's laws"
    add_file(parser, "--plan", laws)
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: 0)")
    parser.add_argument(
        "--batch",
        choices=["random"],
        help="run a random batch through the model, and report on activations and gradients",
    )
    for ending, what in (("html", "a page"), ("json", "the numbers"), ("png", "a picture")):
        add_file(parser, f"--{ending}", f"write {what} here")


def run(arguments: argparse.Namespace) -> int:
    """Build the model, print the table, write the files; 1 where something is wrong."""
    factory = factory_of(arguments.factory)
    files = {ending: getattr(arguments, ending) for ending in ("html", "json", "png")}
    for ending, path in files.items():
        if path and path.suffix.lower() != f".{ending}":
            raise CommandError(f"--{ending} takes a file that ends in .{ending}, got {path}")
    with told():
        laws = plan_of(arguments.plan) if arguments.plan else plan(factory)
        model = build(factory, arguments.seed)
        if arguments.plan:
            laws.run(model, arguments.seed)
        found = report(model, laws, arguments.batch)
        for path in filter(None, files.values()):
            found.save(path)
    print(found)
    return int(not found.ok)
