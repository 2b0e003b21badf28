"""The last part of ``winit-cuda demo``: a model too large for any machine planned, another built.

The large one is the Llama of transformers where that is installed, else one of the same parameters
that is here.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from .._model.build import build
from .._model.plan import plan
from .console import format_ratio, format_seconds
from .demo_models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable

LAYERS, WIDTH, HIDDEN, HEADS, KEY_HEADS, VOCABULARY = 126, 16_384, 53_248, 128, 8, 128_256


class LlamaLayer(nn.Module):
    """The parameters of a layer; there is no forward pass."""

    def __init__(self, width: int, hidden: int, key_width: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, key_width, bias=False)
        self.v_proj = nn.Linear(width, key_width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)
        self.input_layernorm = nn.RMSNorm(width)
        self.post_attention_layernorm = nn.RMSNorm(width)


class Llama(nn.Module):
    """The parameters of Llama 3 405B (A. Dubey et al., 2024, table 3), initialized as usual."""

    def __init__(self, layers: int = LAYERS, width: int = WIDTH, hidden: int = HIDDEN) -> None:
        super().__init__()
        key_width = width // HEADS * KEY_HEADS
        self.embed_tokens = nn.Embedding(VOCABULARY, width)
        self.layers = nn.ModuleList(LlamaLayer(width, hidden, key_width) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)


@dataclass(frozen=True)
class Large:
    """A model that is planned only."""

    title: str
    factory: Callable[[], nn.Module]


def large() -> Large:
    """Llama 3 405B, of transformers or of this module."""
    if importlib.util.find_spec("transformers") is None:
        return Large("a model of Llama 405B's shape", Llama)
    transformers: Any = importlib.import_module("transformers")
    config = transformers.LlamaConfig(
        hidden_size=WIDTH,
        intermediate_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        vocab_size=VOCABULARY,
    )
    title = f"LlamaForCausalLM of transformers {transformers.__version__}, 405B"
    return Large(title, lambda: transformers.LlamaForCausalLM(config))


def gpt2() -> nn.Module:
    """The decoder of GPT-2's size, constructed and initialized as its users do it."""
    return MODELS["gpt2"].initialized(nn.init)


@dataclass(frozen=True)
class PlanResult:
    """What the plan of the large model and the builds of the other one took."""

    title: str
    table: str
    parameters: int
    plan_seconds: float
    growth: int | None
    """By how many bytes the memory of the process grew with the plan, where the system tells."""
    torch_seconds: float
    winit_seconds: float

    @property
    def text(self) -> str:
        """The plan, and the times."""
        memory = "" if self.growth is None else f", {self.growth / 2**20:.0f} MiB of memory"
        return (
            f"plan of {self.title}, {self.parameters:,} parameters: "
            f"{format_seconds(self.plan_seconds)}{memory}\n\n"
            f"{self.table}\n\n"
            f"build of a decoder of GPT-2's size: by torch {format_seconds(self.torch_seconds)}, "
            f"by its plan {format_seconds(self.winit_seconds)}, "
            f"ratio {format_ratio(self.torch_seconds / self.winit_seconds)}"
        )


def run(large: Large, factory: Callable[[], nn.Module], seed: int, repeats: int) -> PlanResult:
    """Plan a large model, and build a smaller one by torch and by us in turns, on the CPU."""
    plan(lambda: nn.Linear(1, 1))  # what torch imports for fake tensors, once
    before, began = peak_memory(), time.perf_counter()
    laws = plan(large.factory)
    seconds = time.perf_counter() - began
    growth = None if before is None else (peak_memory() or 0) - before
    parameters = sum(math.prod(entry.shape) for entry in laws if not entry.is_buffer)
    theirs, ours = [], []
    for _ in range(repeats):
        theirs.append(_seconds(factory))
        ours.append(_seconds(lambda: build(factory, seed)))
    return PlanResult(
        large.title,
        str(laws),
        parameters,
        seconds,
        growth,
        statistics.median(theirs),
        statistics.median(ours),
    )


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    kept = call()
    seconds = time.perf_counter() - began
    del kept  # a model is not freed on the clock
    return seconds


def peak_memory() -> int | None:
    """The most memory that this process has had, in bytes, where the system tells."""
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:
        return None
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
