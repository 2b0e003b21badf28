"""The console command ``winit-cuda``, and the list of its commands."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from .._model.table import printable
from .._version import STREAM_VERSION, __version__
from . import demo, info, plan, report, verify
from .console import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 for success, 1 where the demo finds that distributions disagree, a plan has
        a parameter without a law, a report finds something wrong or a checkpoint has other weights,
        2 for arguments or files that cannot be used, 130 after Ctrl-C, 141 where nobody reads on.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    arguments.command_line = shlex.join(["winit-cuda", *words])
    if isinstance(sys.stdout, io.TextIOWrapper):  # names may be such as its encoding has not
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status: int = arguments.run(arguments)
        if sys.stdout is not None:  # it may be closed
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13  # as of a program that its signal ends: no success
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except SystemExit as error:
        print(f"winit-cuda: the model ended the program ({error.code})", file=sys.stderr)
        return 2
    except (CommandError, OSError) as error:
        text = "\n".join(map(printable, str(error).splitlines()))
        print(f"winit-cuda: {text}", file=sys.stderr)
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="winit-cuda", description="torch.nn.init with one seed, one set of weights, anywhere."
    )
    versions = f"winit_cuda {__version__}, stream version {STREAM_VERSION}"
    parser.add_argument("--version", action="version", version=versions)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="{info,demo,plan,report,verify,bench}"
    )
    benchmarks = _benchmarks()
    for name, module, description in (
        ("info", info, "Print versions, what was built, and what each device uses and why."),
        ("demo", demo, "Initialize real models with torch.nn.init and winit_cuda, and compare."),
        ("plan", plan, "Print the laws of a model, read from its own constructor."),
        ("report", report, "Build a model and report on its weights, against their laws."),
        ("verify", verify, "Compare the weights of a checkpoint with those of a plan and a seed."),
        ("bench", benchmarks, "Measure the fills against torch.nn.init and fill_."),
    ):
        command = commands.add_parser(name, help=description, description=description)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _benchmarks() -> Any:
    """The benchmarks lie in ``benchmarks/``, outside the package, and are installed into it.

    They are imported by name, because a type checker that reads the sources cannot find them here.
    """
    return importlib.import_module("winit_cuda.benchmarks.command")
