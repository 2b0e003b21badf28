"""Our functions in the place of torch.nn.init's: what ATen fills, it fills by torch's own."""

from __future__ import annotations

import functools
import inspect
import sys

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import every, needs_core
from winit_cuda import init

# A value for each argument that a module of torch.nn asks for.
ARGUMENTS = {
    "blank_idx": 0,
    "cutoffs": [2],
    "cell": None,
    "d_model": 4,
    "dim": 0,
    "downscale_factor": 2,
    "embed_dim": 4,
    "embedding_dim": 4,
    "hidden_size": 4,
    "in1_features": 3,
    "in2_features": 3,
    "in_channels": 4,
    "in_features": 8,
    "input_size": 3,
    "kernel_size": 2,
    "lower": 0.1,
    "max_norm": 1.0,
    "mode": "RNN_TANH",
    "n_classes": 4,
    "nhead": 2,
    "normalized_shape": 4,
    "num_channels": 4,
    "num_embeddings": 5,
    "num_features": 4,
    "num_groups": 2,
    "num_heads": 2,
    "num_layers": 2,
    "output_size": 2,
    "out_channels": 4,
    "out_features": 4,
    "padding": 1,
    "size": 3,
    "threshold": 0.1,
    "unflattened_size": (2, 2),
    "upper": 0.3,
    "upscale_factor": 2,
    "value": 0.5,
}


def modules() -> list[type[nn.Module]]:
    found = [getattr(nn, name) for name in dir(nn) if not name.startswith("_")]
    classes = [one for one in found if inspect.isclass(one) and issubclass(one, nn.Module)]
    return [one for one in classes if not issubclass(one, nn.modules.lazy.LazyModuleMixin)]


def build(module: type[nn.Module], dtype: torch.dtype) -> str:
    """The outcome of the module's constructor: its parameters, or its error."""
    parameters = inspect.signature(module).parameters
    arguments = {
        name: ARGUMENTS.get(name)
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    if issubclass(module, (nn.TransformerEncoder, nn.TransformerDecoder)):
        layer = module.__name__ + "Layer"
        key = "encoder_layer" if "Encoder" in layer else "decoder_layer"
        arguments[key] = getattr(nn, layer)(4, 2, dim_feedforward=4)
    if module is nn.Transformer:  # of 44 million parameters as it comes
        small = dict.fromkeys(("num_encoder_layers", "num_decoder_layers"), 1)
        arguments.update(small, d_model=4, nhead=2, dim_feedforward=4)
    if "dtype" in parameters:
        arguments["dtype"] = dtype
    try:
        made = module(**arguments)
    except Exception as error:
        return f"{type(error).__mro__}"
    return ", ".join(f"{name} {tuple(p.shape)} {p.dtype}" for name, p in made.named_parameters())


@functools.cache
def expected_outcomes() -> dict[tuple[type[nn.Module], torch.dtype], str]:
    dtypes = (torch.float32, torch.bfloat16, torch.complex64)
    cases = [(module, dtype) for module in modules() for dtype in dtypes]
    return {case: build(*case) for case in cases}


@pytest.fixture
def swapped(monkeypatch):
    """Ours for torch's, one by one, and as a module where modules of torch.nn have it."""

    def swap(how):
        if how == "functions":
            for name in init.__all__:
                monkeypatch.setattr(nn.init, name, getattr(init, name), raising=False)
            return
        for module in list(vars(nn.modules).values()):
            if inspect.ismodule(module) and hasattr(module, "init"):
                monkeypatch.setattr(module, "init", init)
        monkeypatch.setattr(nn, "init", init)
        monkeypatch.setitem(sys.modules, "torch.nn.init", init)

    return swap


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["functions", "module"])
@pytest.mark.parametrize("choice", ["aten", pytest.param("auto", marks=needs_core)])
def test_every_module_of_torch(swapped, how, choice):
    expected = expected_outcomes()
    swapped(how)
    with winit.use_backend(choice):
        for case, outcome in expected.items():
            found = build(*case)
            assert "RecursionError" not in found
            assert found == outcome, case
    built = [outcome for outcome in expected.values() if "Error" not in outcome]
    assert len(built) > 300
    assert sum(map(bool, built)) > 80


@every
@pytest.mark.parametrize("how", ["functions", "module"])
def test_torch_s_own_values_after_the_swap(swapped, initializer, how):
    torch.manual_seed(0)
    expected = initializer.theirs(initializer.empty(), *initializer.arguments)
    swapped(how)
    torch.manual_seed(0)
    with winit.use_backend("aten"):
        assert torch.equal(initializer(initializer.empty()), expected)
