"""The constructors of models that others wrote, by name; nothing is downloaded."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    Factory = Callable[[], nn.Module]

# What a small configuration of transformers has, of what it names so.
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
# What a configuration must be given, where its default is no model.
_GIVEN: dict[str, dict[str, Any]] = {
    "autoformer": {"prediction_length": 24},
    "esm": {"vocab_size": 33, "pad_token_id": 1},
    "hunyuan_v1_dense": {"head_dim": 128},
    "hunyuan_v1_moe": {"head_dim": 128},
    "informer": {"prediction_length": 24},
    "ministral": {"head_dim": 128},
    "nemotron": {"num_key_value_heads": 8},
    "time_series_transformer": {"prediction_length": 24},
}
# With the settings that those need whose defaults are no model.
_DIFFUSERS: dict[str, dict[str, Any]] = {
    "AutoencoderDC": {},
    "AutoencoderKL": {},
    "AutoencoderOobleck": {},
    "AutoencoderTiny": {},
    "AuraFlowTransformer2DModel": {},
    "CogVideoXTransformer3DModel": {},
    "ControlNetModel": {},
    "DiTTransformer2DModel": {},
    "FluxTransformer2DModel": {},
    "PixArtTransformer2DModel": {},
    "PriorTransformer": {},
    "SanaTransformer2DModel": {},
    "SD3Transformer2DModel": {},
    "UNet1DModel": {},
    "UNet2DConditionModel": {"cross_attention_dim": 768},
    "UNet2DModel": {},
    "UVit2DModel": {},
    "VQModel": {},
}


def transformers_types() -> list[str]:
    """The names of all model types."""
    # transformers has no types for mypy here, and need not be installed for it.
    auto: Any = __import__("transformers.models.auto.modeling_auto", fromlist=["_"])
    return sorted(auto.MODEL_MAPPING_NAMES)


def transformers_model(name: str, **settings: Any) -> Factory:
    """The constructor of a type with its default configuration, but for these settings."""
    return _transformers_model(_transformers_config(name, settings))


def small_transformers_model(name: str) -> Factory:
    """The same with small sizes, where they fit together."""
    config = _transformers_config(name, {})
    _shrink(config)
    small = _transformers_model(config)
    try:
        with torch.device("meta"):
            small()
    except Exception:
        return transformers_model(name)
    return small


def warm_up() -> None:
    """Import what most models need."""
    with contextlib.suppress(ImportError):
        transformers_model("bert")


def _transformers_config(name: str, settings: dict[str, Any]) -> Any:
    transformers: Any = __import__("transformers")
    return transformers.CONFIG_MAPPING[name](**_GIVEN.get(name, {}), **settings)


def _transformers_model(config: Any) -> Factory:
    transformers: Any = __import__("transformers")
    kind = transformers.MODEL_MAPPING[type(config)]
    kind = kind[0] if isinstance(kind, (tuple, list)) else kind
    return lambda: kind(config)


def timm_models() -> list[str]:
    """The names of all models of timm."""
    timm: Any = __import__("timm")
    return sorted(timm.list_models())


def timm_model(name: str) -> Factory:
    """The constructor of a model of timm."""
    timm: Any = __import__("timm")
    return lambda: timm.create_model(name, pretrained=False)


def diffusers_models() -> list[str]:
    """Some models of diffusers."""
    return list(_DIFFUSERS)


def diffusers_model(name: str) -> Factory:
    """The constructor of a model of diffusers."""
    diffusers: Any = __import__("diffusers")
    kind = getattr(diffusers, name)
    return lambda: kind(**_DIFFUSERS[name])


class Source(NamedTuple):
    """Models of one origin."""

    names: Callable[[], list[str]]
    factory: Callable[[str], Factory]


SOURCES = {
    "transformers": Source(transformers_types, transformers_model),
    "small": Source(transformers_types, small_transformers_model),
    "timm": Source(timm_models, timm_model),
    "diffusers": Source(diffusers_models, diffusers_model),
}


def _shrink(config: Any) -> None:
    """Set the sizes of a configuration, and of those within it, to small ones."""
    for size, names in _SMALL.items():
        for name in names:
            with contextlib.suppress(Exception):  # whatever a refusal to read or set it raises
                if type(getattr(config, name, None)) is int:
                    setattr(config, name, size)
    with contextlib.suppress(AttributeError, TypeError):
        config.layer_types = config.layer_types[:2]
    for value in list(vars(config).values()):
        if hasattr(value, "to_diff_dict"):
            _shrink(value)
