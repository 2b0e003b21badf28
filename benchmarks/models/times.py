"""The time of whole models: built by torch, on the kernels here, and filled by a plan.

All sides take turns in one process. A build is a constructor with the initialization that the model
gives itself; a run fills an instance that was made on meta and has just been given memory.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch

import winit_cuda as winit
from winit_cuda._command import machine
from winit_cuda._command.console import format_ratio, format_seconds, markdown_table

from . import catalog
from .check import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Factory = Callable[[], torch.nn.Module]
    # From a constructor and its plan to the work that is timed.
    Side = Callable[[Factory, winit.Plan], Callable[[], object]]

# Well-known models, with the settings by which they differ from their type's default.
_LLAMA = {
    "hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 16,
    "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 32000,
}  # fmt: skip
_MIXTRAL = _LLAMA | {"num_hidden_layers": 4, "num_local_experts": 8}
_T5 = {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12}
_WHISPER = {
    "d_model": 512, "encoder_layers": 6, "decoder_layers": 6, "encoder_attention_heads": 8,
    "decoder_attention_heads": 8, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "bert": {},
    "vit": {},
    "t5": _T5,
    "llama": _LLAMA,
    "mixtral": _MIXTRAL,
    "clip": {},
    "mamba": {"hidden_size": 768, "num_hidden_layers": 24},
    "whisper": _WHISPER,
    "convnext": {},
    "resnet": {},
    "swin": {},
    "wav2vec2": {},
}


def _plain(factory: Factory, _: winit.Plan) -> Callable[[], object]:
    return factory


def _accelerated(factory: Factory, _: winit.Plan) -> Callable[[], object]:
    def build() -> object:
        with winit.accelerate():
            return factory()

    return build


def _built(factory: Factory, _: winit.Plan) -> Callable[[], object]:
    return lambda: winit.build(factory, 0)


def _planned(factory: Factory, _: winit.Plan) -> Callable[[], object]:
    return lambda: winit.plan(factory)


def _run(factory: Factory, plan: winit.Plan) -> Callable[[], object]:
    with torch.device("meta"):
        instance = factory()
    instance.to_empty(device="cpu")

    def run() -> object:
        plan.run(instance, seed=0)
        return instance

    return run


SIDES: dict[str, Side] = {
    "plain": _plain,
    "accelerate": _accelerated,
    "build": _built,
    "plan": _planned,
    "run": _run,
}


def main(names: Sequence[str] | None, rounds: int, output: Path | None) -> int:
    """Time the models and print a table."""
    if output is not None and not output.parent.is_dir():
        raise FileNotFoundError(f"no folder {output.parent}")
    facts = machine.describe()
    found = {}
    for name in names or MODELS:
        found[name] = measured(catalog.transformers_model(name, **MODELS.get(name, {})), rounds)
    facts |= {"threads": torch.get_num_threads(), "load after": machine.load()}
    print(as_markdown(found))
    print(f"\n{LEGEND}")
    if output is not None:
        report = {"machine": facts, "rounds": rounds, "models": found}
        output.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def measured(factory: Factory, rounds: int) -> dict[str, Any]:
    """The seconds of each side in each round, the first of which is for warming up."""
    plan, read = planned(factory)
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(rounds + 1):
        for side, made in list(SIDES.items())[:: 1 if number % 2 else -1]:
            work = made(factory, plan)
            began = time.perf_counter()
            kept = work()
            if number:
                seconds[side].append(round(time.perf_counter() - began, 5))
            del kept, work  # a model is not freed on the clock
    return {"elements": read["elements"], "tensors": read["tensors"], "seconds": seconds}


LEGEND = (
    "times: medians of the rounds. ratios: plain by that side, the median of the rounds ± half the "
    "interquartile range. A plan is made once for all seeds and instances."
)


def as_markdown(found: dict[str, dict[str, Any]]) -> str:
    """A row for each model."""
    compared = [side for side in SIDES if side not in ("plain", "plan")]
    rows = []
    for name, one in found.items():
        seconds = one["seconds"]
        shown = [format_seconds(statistics.median(seconds[side])) for side in ("plain", "plan")]
        ratios = [_ratio(seconds["plain"], seconds[side]) for side in compared]
        rows.append((name, f"{one['elements'] / 1e6:.0f} M", *shown, *ratios))
    header = ("", "parameters", "plain", "plan", *compared)
    return markdown_table(header, rows, "l" + "r" * (len(header) - 1))


def _ratio(plain: list[float], other: list[float]) -> str:
    ratios = sorted(one / two for one, two in zip(plain, other, strict=True))
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return f"{format_ratio(statistics.median(ratios))} ± {(high - low) / 2:.1f}"
