"""``python -m benchmarks.models``: every model type of transformers, planned from its constructor.

Needs transformers. Each type is a process of its own, with its default configuration; those of few
parameters are built, too, and held against the plan. `--small` makes all of them small, where the
configuration allows it. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch

import winit_cuda as winit
from winit_cuda._command import machine

from .check import differences, planned

_SECONDS = 120
# What `--small` sets of a configuration, if it is there.
_SMALL = {
    4: ("num_attention_heads", "n_head", "encoder_attention_heads", "decoder_attention_heads",
        "num_experts", "num_local_experts", "n_routed_experts"),
    2: ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers",
        "num_key_value_heads"),
    16: ("head_dim",),
    64: ("hidden_size", "d_model", "n_embd"),
    96: ("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff"),
    500: ("vocab_size",),
}  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Plan the types, write what was found, print the totals; 1 where a plan is wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks.models", description=__doc__)
    parser.add_argument("--types", nargs="+", help="which types (default: all)")
    parser.add_argument("--every", type=int, default=1, help="of all types, each n-th")
    parser.add_argument(
        "--build", type=float, default=60, help="build those of up to so many million parameters"
    )
    parser.add_argument("--small", action="store_true", help="shrink the configurations")
    parser.add_argument("--output", type=Path, help="write what was found to this JSON file")
    arguments = parser.parse_args(words)
    # transformers has no types for mypy here, and need not be installed for it.
    auto: Any = __import__("transformers.models.auto.modeling_auto", fromlist=["_"])
    types = arguments.types or sorted(auto.MODEL_MAPPING_NAMES)[:: arguments.every]
    torch.set_num_threads(1)
    winit.plan(lambda: torch.nn.Linear(2, 2))  # what torch imports for fake tensors, once
    found = []
    for name in types:
        found.append(_in_child(name, arguments.build * 1e6, arguments.small))
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    command = "python -m benchmarks.models " + " ".join(words or sys.argv[1:])
    report = {
        "command": command,
        "machine": machine.describe(),
        "totals": totals(found),
        "types": found,
    }
    print(json.dumps(report["totals"], indent=1))
    if arguments.output:
        arguments.output.write_text(as_text(report))
    return int(any(one.get("different") for one in found))


def as_text(report: dict[str, Any]) -> str:
    """The report as JSON, with a line for each type."""
    head = {key: value for key, value in report.items() if key != "types"}
    lines = ",\n".join(json.dumps(one) for one in report["types"])
    return f'{json.dumps(head, indent=1)[:-2]},\n "types": [\n{lines}\n]}}\n'


def totals(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over all types."""
    good = [one for one in found if "error" not in one]
    summed: dict[str, Any] = {"types": len(found), "planned": len(good)}
    for what in ("parameters", "buffers"):
        summed[what] = dict(sum((Counter(one[what]) for one in good), Counter()))
    seconds = sorted(one["seconds"] for one in good)
    built = [one for one in good if "different" in one]
    return {
        **summed,
        "with unset entries": [one["type"] for one in good if one["unset"]],
        "built": len(built),
        "different": [one["type"] for one in built if one["different"]],
        "median seconds": seconds[len(seconds) // 2] if seconds else None,
        "largest growth in MB": max((one["growth_mb"] for one in good), default=None),
    }


def _in_child(name: str, most: float, is_small: bool) -> dict[str, Any]:
    """What a forked process finds of a type."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        signal.alarm(_SECONDS)
        with os.fdopen(writing, "w") as file:
            file.write(json.dumps(_examined(name, most, is_small)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if text else {"type": name, "error": f"ended with status {status}"}


def _examined(name: str, most: float, is_small: bool) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    if is_small:
        found = _examined_as(name, most, is_small=True)
        if "error" not in found:
            return found
    return _examined_as(name, most, is_small=False)  # not all sizes fit together


def _examined_as(name: str, most: float, *, is_small: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"type": name, "small": is_small}
    try:
        transformers: Any = __import__("transformers")
        config = transformers.CONFIG_MAPPING[name]()
        if is_small:
            _shrink(config)
        kind = transformers.MODEL_MAPPING[type(config)]
        kind = kind[0] if isinstance(kind, (tuple, list)) else kind
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        plan, read = planned(lambda: kind(config))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found |= read | {"growth_mb": round((after - before) / 1024, 1)}
        if read["elements"] <= most:
            start = time.perf_counter()
            found["different"] = differences(lambda: kind(config), plan)[:5]
            found["build_seconds"] = time.perf_counter() - start
    except Exception as error:  # whatever a constructor raises is a result
        found["error"] = f"{type(error).__name__}: {error}"[:300]
    return found


def _shrink(config: Any) -> None:
    """Set the sizes of a configuration, and of those within it, to small ones."""
    for size, names in _SMALL.items():
        for name in names:
            with contextlib.suppress(AttributeError):  # of a name that cannot be set
                if type(getattr(config, name, None)) is int:
                    setattr(config, name, size)
    with contextlib.suppress(AttributeError, TypeError):
        config.layer_types = config.layer_types[:2]
    for value in list(vars(config).values()):
        if hasattr(value, "to_diff_dict"):
            _shrink(value)


if __name__ == "__main__":
    sys.exit(main())
