"""DTensors by the names that the installed torch has for them; without them the tests are skipped.

The modules are private in torch 2.4; that of FSDP2 is up to 2.5.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any
from unittest import mock

import pytest
import torch


def _member(name: str, *modules: str) -> Any:
    """What the first of the modules that has it calls by this name."""
    for module in modules:
        with contextlib.suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(module), name)
    return None


_API = ("torch.distributed.tensor", "torch.distributed._tensor")
DTensor = _member("DTensor", *_API)
if DTensor is None:
    pytest.skip("torch without DTensors", allow_module_level=True)

DeviceMesh = _member("DeviceMesh", *_API)
Shard = _member("Shard", *_API)
Replicate = _member("Replicate", *_API)
Partial = _member("Partial", *_API)
CommDebugMode = _member("CommDebugMode", *(f"{name}.debug" for name in _API))

Strided = _member("_StridedShard", *(f"{name}.placement_types" for name in _API))
"""None in torch 2.4."""
needs_strided = pytest.mark.skipif(Strided is None, reason="torch without strided shards")

ColwiseParallel = _member("ColwiseParallel", "torch.distributed.tensor.parallel")
RowwiseParallel = _member("RowwiseParallel", "torch.distributed.tensor.parallel")
fully_shard = _member("fully_shard", "torch.distributed.fsdp", "torch.distributed._composable.fsdp")

_distribute = _member("distribute_tensor", *_API)
_CAN_KEEP_STILL = torch.__version__ >= (2, 10)


def distributed(whole, mesh, placements, **_):
    """The DTensor of this rank of the mesh, with its part of the whole; nothing is sent."""
    if _CAN_KEEP_STILL:
        return _distribute(whole, mesh, placements, src_data_rank=None)
    # The first rank would send the others their parts, which these same functions cut, or the
    # placements could not be Partial.
    coordinate = mesh.get_coordinate()
    local = whole.detach() if coordinate is not None else whole.new_empty(0)
    placements = [_of_positive_dim(placement, whole.dim()) for placement in placements]
    for placement, ranks, index in zip(placements, mesh.shape, coordinate or (), strict=False):
        if not placement.is_replicate() and not placement.is_partial():
            local = _parts(placement, local, ranks)[index]
    return DTensor.from_local(
        local, mesh, placements, run_check=False, shape=whole.shape, stride=whole.stride()
    )


def _parts(placement, whole, ranks):
    if type(placement) is not Strided or torch.__version__ >= (2, 8):
        return placement._split_tensor(whole, ranks, with_padding=False)[0]
    # Before, only those that are even.
    chunks = [*whole.chunk(ranks * placement.split_factor, placement.dim)]
    nothing = whole.narrow(placement.dim, 0, 0)
    return [torch.cat([*chunks[i::ranks], nothing], placement.dim) for i in range(ranks)]


def _of_positive_dim(placement, dimensions):
    return Shard(placement.dim + dimensions) if placement.is_shard(-1) else placement


def parallelize(module, mesh, styles):
    """Tensor parallelism of a module, which keeps its values; nothing is sent."""
    from torch.distributed.tensor.parallel import parallelize_module, style

    if _CAN_KEEP_STILL:
        parallelize_module(module, mesh, styles, src_data_rank=None)
        return
    with mock.patch.object(style, "distribute_tensor", distributed):
        parallelize_module(module, mesh, styles)
