"""The demo's models: sizes, forward passes, parameters."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit
from winit_cuda import init as winit_init
from winit_cuda._command.demo_models import (
    MODELS,
    ConvNet,
    Decoder,
    DemoModel,
    initialize_convnet,
    initialize_decoder,
)

TINY = DemoModel(
    "tiny",
    "a decoder of two layers",
    lambda: Decoder(layers=2, width=32, heads=4, vocabulary=101, context=16),
    initialize_decoder,
    (10_000, 50_000),
)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("convnet", 25_557_032), ("transformer", 44_140_544), ("gpt2", 124_439_808)],
)
def test_parameter_counts(name: str, parameters: int) -> None:
    module = MODELS[name].build_on_meta()
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    fewest, most = MODELS[name].parameters
    assert fewest <= parameters <= most


def test_models_run() -> None:
    convnet = ConvNet(blocks=(1, 2), classes=7)
    initialize_convnet(convnet, winit_init)
    assert convnet(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    decoder = TINY.build()
    initialize_decoder(decoder, winit_init)
    assert decoder(torch.zeros(2, 16, dtype=torch.long)).shape == (2, 16, 101)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_initialized(name: str) -> None:
    laws = winit.plan(lambda: MODELS[name].initialized(torch.nn.init))
    module = MODELS[name].build_on_meta()
    planned = {entry.name for entry in laws if entry.law is not None and not entry.is_buffer}
    assert planned == {n for n, _ in module.named_parameters()}
