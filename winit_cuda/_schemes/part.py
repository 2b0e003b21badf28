"""The argument `shard=`, which every initializer takes: its checks, and what follows from it.

What a function asks of a shape, it asks of that of the whole tensor: so every rank raises the same
errors, also where its own part is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch

from .._core import target
from .._core.checks import wrong
from .._core.torch_internals import is_dtensor
from .._distributed.shard import Shard, Shards

if TYPE_CHECKING:
    from .._fills.fill import Fill

_AnyFill = TypeVar("_AnyFill", bound="Fill")


def part(what: _AnyFill, function: str, tensor: Any, shard: Any) -> _AnyFill:
    """The fill of the part of a larger tensor that `tensor` is."""
    global_shape(function, tensor, shard)
    return what.part(shard)  # type: ignore[return-value]


def global_shape(function: str, tensor: Any, shard: Any) -> tuple[int, ...]:
    """The shape of the whole tensor; raise unless `tensor` is the part of it that `shard` says."""
    if not isinstance(shard, (Shard, Shards)):
        requirement = "a winit_cuda.Shard, winit_cuda.Shards or None"
        raise wrong(function, "shard", requirement, shard, TypeError)
    if not isinstance(tensor, torch.Tensor):
        target.check(function, tensor)
    if is_dtensor(tensor):
        requirement = "None for a DTensor, whose placements say which part each rank has"
        raise wrong(function, "shard", requirement, shard)
    if tensor.is_nested:  # it has no shape
        target.check(function, tensor)
    shard.check(function, tensor.shape)
    return shard.global_shape
