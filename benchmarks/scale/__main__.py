"""``python -m benchmarks.scale``: ranks of a Llama on 1024, one after the other.

Each sampled rank is a process of its own: it builds the model on meta, shards it by FSDP2 over
tensor parallelism, allocates its part and fills it by name. Parameters of three layers and all
outside of the layers are then filled as wholes, and the rank's slices compared bit for bit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from winit_cuda._command import machine
from winit_cuda._command.console import markdown_table
from winit_cuda._core.backend import backend_info

from .llama import CONFIGS


def main(words: list[str] | None = None) -> int:
    """Run the ranks, print a table, write the files; 1 where a rank is wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--model", choices=tuple(CONFIGS), default="405B")
    parser.add_argument("--dp", type=int, default=128, help="ranks of FSDP2 (default: 128)")
    parser.add_argument("--tp", type=int, default=8, help="of tensor parallelism (default: 8)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--ranks", type=int, nargs="+", help="which to run (default: five from the first to last)"
    )
    parser.add_argument("--output", type=Path, help="write DIR/scale-....json and .md")
    arguments = parser.parse_args(words)
    world = arguments.dp * arguments.tp
    sampled = arguments.ranks or sorted({round(i * (world - 1) / 4) for i in range(5)})
    ranks = []
    for rank in sampled:
        print(f"rank {rank} of {world} ...", file=sys.stderr, flush=True)
        ranks.append(_run(rank, arguments))
    report = {
        "command": "python -m benchmarks.scale " + " ".join(words or sys.argv[1:]),
        "mesh": {"dp": arguments.dp, "tp": arguments.tp},
        **{name: getattr(arguments, name) for name in ("model", "dtype", "threads")},
        "machine": machine.describe(),
        "core": backend_info().core,
        "ranks": ranks,
    }
    page = as_markdown(report)
    print(page)
    if arguments.output:
        stem = f"scale-llama-{arguments.model}-{world}-ranks-{report['machine']['date'][:10]}"
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / f"{stem}.json").write_text(json.dumps(report, indent=1) + "\n")
        (arguments.output / f"{stem}.md").write_text(page)
    return int(any(rank["different"] or rank["collectives"] for rank in ranks))


def _run(rank: int, arguments: argparse.Namespace) -> dict[str, Any]:
    options = [
        f"--{name}={getattr(arguments, name)}" for name in ("model", "dtype", "dp", "tp", "threads")
    ]
    command = [sys.executable, "-m", "benchmarks.scale.rank", str(rank), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def as_markdown(report: dict[str, Any]) -> str:
    """The page of a run."""
    ranks, mesh = report["ranks"], report["mesh"]
    header = ["rank", "elements", "memory", "sharding", "allocation", "fill", "extra memory",
              "collectives", "equal to the whole"]  # fmt: skip
    rows = [
        [
            str(rank["rank"]),
            f"{rank['local_elements'] / 1e6:.1f} M",
            f"{rank['local_bytes'] / 1e9:.2f} GB",
            f"{rank['construct_s'] + rank['shard_s']:.1f} s",
            f"{rank['allocate_s']:.1f} s",
            f"{rank['fill_s']:.2f} s",
            f"{rank['peak_growth_bytes'] / 1e6:.1f} MB",
            str(rank["collectives"]),
            f"{rank['compared'] - len(rank['different'])} of {rank['compared']}",
        ]
        for rank in ranks
    ]
    about = report["machine"]
    return "\n".join(
        [
            f"# Llama {report['model']} on {mesh['dp'] * mesh['tp']} ranks",
            "",
            f"{ranks[0]['tensors']} tensors, {ranks[0]['parameters'] / 1e9:.1f} G parameters, "
            f"{report['dtype']}; FSDP2 over {mesh['dp']}, tensor parallelism over {mesh['tp']}. "
            f"{about['cpu']} ({report['core'].get('simd_active')}), {report['threads']} threads, "
            f"torch {about['torch']}, commit {about['commit']}, {about['date']}.",
            "",
            markdown_table(header, rows, "r" * len(header)),
            "",
            "sharding: the model built on meta and sharded. allocation: memory from the system,",
            "and zeros written to it once. fill: every parameter by its name. extra memory: how",
            "far the peak of the process grew in it. collectives: while filled once more. equal to",
            "the whole: of the parameters of three layers and all outside of them, those that are,",
            "bit for bit, the rank's slice of the tensor filled as a whole.",
            "",
            f"    {report['command']}",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
