"""A batch for a model of which nobody has given one: token ids, images, standard normal numbers.

A model of transformers says in its config what it takes. Of others, the first layer of a kind that
is known here decides, and each argument without a default gets a tensor of its own.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

_SEED = 0
_CONVOLUTIONS = nn.modules.conv._ConvNd  # noqa: SLF001
_KINDS = "Embedding, Linear, convolutions, recurrent layers, MultiheadAttention and LayerNorm"


def random_batch(model: nn.Module) -> Any:
    """What `activity_of` takes: a tuple of tensors, or a dict of a model of transformers.

    Raises:
        ValueError: No layer is of a kind whose inputs are known.
    """
    generator = torch.Generator().manual_seed(_SEED)
    if hasattr(model, "config") and hasattr(model, "main_input_name"):
        batch = _of_transformers(model, generator)
        if batch:
            parameter = next(model.parameters())
            return {name: _like(tensor, parameter) for name, tensor in batch.items()}
    known = ((each, _shape(each)) for each in model.modules())
    first, shape = next((one for one in known if one[1]), (None, ()))
    if first is None:
        raise ValueError(
            f"report: batch must be given for this {type(model).__name__}; "
            f"'random' knows {_KINDS}, and models of transformers"
        )
    parameter = next(first.parameters())
    return tuple(
        _like(_ids(first.num_embeddings, generator), parameter)
        if isinstance(first, (nn.Embedding, nn.EmbeddingBag))
        else _like(torch.randn(shape, generator=generator), parameter)
        for _ in range(_needed(model))
    )


def _ids(vocabulary: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(vocabulary, (2, 32), generator=generator)


def _like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """On the device of a parameter, and of its dtype where the tensor has no integers."""
    if tensor.is_floating_point() and parameter.is_floating_point():
        tensor = tensor.to(parameter.dtype)
    return tensor.to(parameter.device)


def _needed(model: nn.Module) -> int:
    """How many arguments a model must be called with, at least 1."""
    parameters = inspect.signature(model.forward).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return max(
        1, sum(each.kind in positional and each.default is each.empty for each in parameters)
    )


def _shape(layer: Any) -> tuple[int, ...]:
    """What a layer takes; () where that is not known."""
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
        return (2, 32)
    if isinstance(layer, nn.Linear):
        return 64, layer.in_features
    if isinstance(layer, _CONVOLUTIONS):
        dims = len(layer.kernel_size)
        size = (256, 64, 16)[dims - 1]
        return 8, layer.in_channels, *[size] * dims
    if isinstance(layer, nn.RNNBase):
        return 8, 16, layer.input_size
    if isinstance(layer, nn.RNNCellBase):
        return 64, layer.input_size
    if isinstance(layer, nn.MultiheadAttention):
        return 8, 16, layer.embed_dim
    return (64, *layer.normalized_shape) if isinstance(layer, nn.LayerNorm) else ()


def _of_transformers(model: Any, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """What a model of transformers takes; nothing where its config does not say."""
    config, main = model.config, model.main_input_name
    batch = {}
    if main == "pixel_values":
        size = getattr(config, "image_size", None) or 224
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        batch[main] = torch.randn(2, config.num_channels, height, width, generator=generator)
    elif main == "input_values":
        batch[main] = torch.randn(2, 16_000, generator=generator)  # a second of speech
    elif main == "input_features" and hasattr(config, "max_source_positions"):
        shape = 2, config.num_mel_bins, 2 * config.max_source_positions
        batch[main] = torch.randn(shape, generator=generator)
    elif main == "input_ids":
        tokens = next((each for each in model.modules() if isinstance(each, nn.Embedding)), None)
        batch = {main: _ids(tokens.num_embeddings, generator)} if tokens else {}
    if batch and getattr(config, "is_encoder_decoder", False):
        batch["decoder_input_ids"] = _ids(config.vocab_size, generator)
    return batch
