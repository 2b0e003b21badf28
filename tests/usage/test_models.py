"""Models that no one here wrote, and models as people write them: read, and filled as built.

The log of the constructor, run again by torch's generator, is the build bit for bit, and an
instance that the plan fills has the build's distributions, constants and buffers. Of transformers
there are types of each family, small; `python -m benchmarks.models` takes all, and those of timm.
"""

from __future__ import annotations

import pytest
from torch import nn

import models
import winit_cuda as winit
from benchmarks.models import catalog
from benchmarks.models.check import compared, planned
from initializers import needs_core

pytestmark = needs_core

OWN = {
    "Transformer": lambda: nn.Transformer(32, 4, 2, 2, 64, batch_first=True),
    "LSTM": lambda: nn.LSTM(16, 32, num_layers=2, bidirectional=True, proj_size=8),
    "MultiheadAttention": lambda: nn.MultiheadAttention(32, 4, kdim=16, vdim=24),
    "nanoGPT": lambda: models.GPT(width=32),
    "GPT, scaled": lambda: models.GPT(width=32, is_scaled=True),
    "PPO": models.ActorCritic,
    "LoRA": models.LoRA.of_gpt,
}
# By family: encoders, decoders, state spaces, both, images, sounds, several of them, series.
TYPES = """
    albert bert deberta-v2 electra fnet longformer mpnet mra nystromformer roformer xlm

    bloom gemma gpt2 gpt_bigcode gpt_neox gpt_oss granitemoe jetmoe llama llama4_text mistral
    mixtral mpt olmo2 openai-gpt phi qwen3

    bamba falcon_mamba jamba mamba mamba2

    bart led plbart t5

    beit data2vec-vision deit dinov2 dpt segformer vit vivit yolos

    audio-spectrogram-transformer parakeet_ctc wav2vec2-bert

    clip flava git owlvit vilt

    autoformer decision_transformer patchtsmixer patchtst timesfm
"""


@pytest.mark.parametrize("name", OWN)
def test_models_as_people_write_them(name):
    plan, read = planned(OWN[name])
    assert read["unset"] == []
    assert {entry.kind for entry in plan} <= {"law", "pieces", "copy"}
    assert compared(OWN[name], plan)["different"] == []


def test_laws_of_lora():
    plan = winit.plan(models.LoRA.of_gpt)
    laws = {entry.name: entry.initializer for entry in plan if entry.name.startswith("blocks.0.p")}
    assert laws == {
        "blocks.0.projection.base.weight": winit.Normal(std=0.01),
        "blocks.0.projection.base.bias": winit.Zeros(),
        "blocks.0.projection.a": winit.KaimingUniform(a=5**0.5),
        "blocks.0.projection.b": winit.Zeros(),
    }


@pytest.mark.filterwarnings("ignore")  # of transformers
@pytest.mark.parametrize("name", TYPES.split())
def test_types_of_transformers(name):
    transformers = pytest.importorskip("transformers", reason="needs the extra `models`")
    if not transformers.utils.is_torch_available():
        pytest.skip("transformers does not take this torch")
    factory = catalog.small_transformers_model(name)
    plan, read = planned(factory)
    assert read["unset"] == []
    assert compared(factory, plan)["different"] == []
