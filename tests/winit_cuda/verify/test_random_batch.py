"""`report(batch="random")`: what models take that nobody has given a batch for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import winit_cuda as winit
from winit_cuda._verify.activity import activity_of
from winit_cuda._verify.random_batch import random_batch

SIZES = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16}
SIZES_OF_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
SIZES_OF_WHISPER = {
    **{f"{side}_{what}": 16 for side in ("encoder", "decoder") for what in ("ffn_dim",)},
    **{f"{side}_attention_heads": 2 for side in ("encoder", "decoder")},
    **{f"{side}_layers": 1 for side in ("encoder", "decoder")},
    "d_model": 16,
    "max_source_positions": 20,
}


class Loss(nn.Module):
    """Two arguments without defaults, and one with."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.embedding = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 10)

    def forward(
        self, ids: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        scores = self.scale * self.head(self.embedding(ids))
        return nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Embedding(10, 4),
        lambda: nn.EmbeddingBag(10, 4),
        lambda: nn.Linear(3, 4).bfloat16(),
        lambda: nn.Conv1d(3, 4, 3),
        lambda: nn.Conv2d(3, 4, 7),
        lambda: nn.Conv3d(1, 2, 3),
        lambda: nn.ConvTranspose2d(3, 2, 3),
        lambda: nn.LSTM(3, 4),
        lambda: nn.GRU(3, 4, batch_first=True),
        lambda: nn.LSTMCell(3, 4),
        lambda: nn.LayerNorm((3, 4)),
        lambda: nn.MultiheadAttention(8, 2),
        lambda: nn.TransformerEncoderLayer(8, 2, 16),
        lambda: nn.TransformerDecoderLayer(8, 2, 16),
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        Loss,
    ],
)
def test_random_batches(make):
    model = make()
    state = torch.get_rng_state()
    batch = random_batch(model)
    assert all(map(torch.equal, batch, random_batch(model)))
    assert torch.equal(torch.get_rng_state(), state)
    assert activity_of(model, batch).layers[0].std > 0


@pytest.mark.parametrize(
    ("name", "config", "sizes", "inputs"),
    [
        ("ViTModel", "ViTConfig", {**SIZES, "image_size": 32}, {"pixel_values": (2, 3, 32, 32)}),
        ("GPT2LMHeadModel", "GPT2Config", {"n_layer": 1, "n_embd": 24}, {"input_ids": (2, 32)}),
        ("Wav2Vec2Model", "Wav2Vec2Config", SIZES, {"input_values": (2, 16_000)}),
        (
            "T5ForConditionalGeneration",
            "T5Config",
            SIZES_OF_T5,
            {"input_ids": (2, 32), "decoder_input_ids": (2, 32)},
        ),
        (
            "WhisperModel",
            "WhisperConfig",
            SIZES_OF_WHISPER,
            {"input_features": (2, 80, 40), "decoder_input_ids": (2, 32)},
        ),
    ],
)
def test_models_of_transformers(name, config, sizes, inputs):
    transformers = pytest.importorskip("transformers")
    if name == "Wav2Vec2Model":
        sizes = {**sizes, "num_conv_pos_embedding_groups": 4}
    model = getattr(transformers, name)(getattr(transformers, config)(**sizes)).eval()
    batch = random_batch(model)
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == inputs
    found = activity_of(model, batch).layers
    assert any(layer.gradient_std for layer in found)


def test_what_no_batch_is_known_for():
    for model in (nn.Bilinear(3, 3, 4), nn.ReLU()):
        with pytest.raises(ValueError, match=r"this (Bilinear|ReLU); 'random' knows Embedding"):
            winit.report(model, batch="random")
    with pytest.raises(ValueError, match=r"report: batch must be .* 'random', got 'ones'"):
        winit.report(nn.Linear(3, 4), batch="ones")
