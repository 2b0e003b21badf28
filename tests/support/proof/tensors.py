"""What a rank has of the tensor of a case, before it is filled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.distributed import tensor as api
from torch.distributed.tensor.placement_types import _StridedShard

import winit_cuda as winit
from tensor_parts import Part

from .calls import BEFORE, blank, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .cases import Case, Placement, Shape


class Made(NamedTuple):
    """A tensor to fill."""

    is_member: bool
    """Whether the rank is in the mesh; another has nothing of the tensor."""
    positions: torch.Tensor
    """The indices in the whole of what the rank has, in the shape of its local tensor."""
    tensor: torch.Tensor
    """A DTensor, or the local tensor where `shard=` says what it is."""
    local: torch.Tensor
    around: torch.Tensor | None
    """Memory in whose middle the local tensor is."""
    options: dict[str, Any]
    """With `shard`, or nothing."""

    def is_kept_around(self) -> bool:
        """Whether the memory around the local tensor is as it was."""
        if self.around is None:
            return True
        rest = self.around.clone()
        rest[(slice(1, -1),) * rest.dim()] = BEFORE
        dtype = str(rest.dtype).removeprefix("torch.")
        return bytes_of(rest) == bytes_of(blank(tuple(rest.shape), dtype))


def make(case: Case, mesh: api.DeviceMesh) -> Made:
    """Make what this rank has of the tensor of a case."""
    is_member = mesh.get_coordinate() is not None
    placements = [_placement(placement) for placement in case.placements]
    positions = _positions(case.shape, mesh, placements) if is_member else torch.empty(0).long()
    local_shape = tuple(positions.shape) if is_member else (0,) * len(case.shape)
    dtensor, around = _dtensor(case, mesh, placements, local_shape)
    if case.requires_grad:
        dtensor = nn.Parameter(dtensor)
    local = dtensor._local_tensor
    if case.route == "dtensor" or not is_member:
        return Made(is_member, positions, dtensor, local, around, {})
    tensor = nn.Parameter(local) if case.requires_grad else local
    options = {"shard": _shard(case.shape, positions)}
    return Made(is_member, positions, tensor, local, around, options)


def _placement(placement: Placement) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "R": api.Replicate,
        "S": lambda: api.Shard(placement.dim),
        "T": lambda: _StridedShard(placement.dim, split_factor=placement.factor),
        "P": api.Partial,
    }
    return makers[placement.kind]()


def _positions(shape: Shape, mesh: api.DeviceMesh, placements: list[Any]) -> torch.Tensor:
    """The indices that torch gives this rank, which sends nothing for that."""
    numbers = torch.arange(math.prod(shape)).view(shape)
    # Of the only rank's part of a sum torch would make a quotient.
    whole = [api.Replicate() if placement.is_partial() else placement for placement in placements]
    return api.distribute_tensor(numbers, mesh, whole, src_data_rank=None)._local_tensor


def _dtensor(
    case: Case, mesh: api.DeviceMesh, placements: list[Any], local_shape: Shape
) -> tuple[Any, torch.Tensor | None]:
    """The DTensor of a case, and the memory around what this rank has of it."""
    if case.made == "distributed":
        whole = blank(case.shape, case.dtype)
        return api.distribute_tensor(whole, mesh, placements, src_data_rank=None), None
    if case.made == "empty":
        for at, placement in enumerate(placements):
            if type(placement) is api.Shard:  # it takes no negative dimensions
                placements[at] = api.Shard(placement.dim % len(case.shape))
        dtype = getattr(torch, case.dtype)
        dtensor = api.empty(case.shape, dtype=dtype, device_mesh=mesh, placements=placements)
        local = dtensor._local_tensor
        local.copy_(blank(tuple(local.shape), case.dtype))
        return dtensor, None
    around = None
    if case.made == "local window":
        around = blank(tuple(size + 2 for size in local_shape), case.dtype)
        local = around[(slice(1, -1),) * around.dim()]
    elif case.made == "local permuted":
        local = blank(local_shape[::-1], case.dtype)
        local = local.permute(tuple(reversed(range(local.dim()))))
    else:
        local = blank(local_shape, case.dtype)
    return from_local(case, mesh, placements, local), around


def from_local(
    case: Case, mesh: api.DeviceMesh, placements: list[Any], local: torch.Tensor
) -> api.DTensor:
    """A DTensor of the shape of a case."""
    stride = torch.empty(case.shape, device="meta").stride()
    shape = torch.Size(case.shape)
    return api.DTensor.from_local(local, mesh, placements, shape=shape, stride=stride)


def _shard(shape: Shape, positions: torch.Tensor) -> winit.Shard | winit.Shards:
    """What `shard=` says of these indices, read from the indices themselves."""
    if not shape:
        return winit.Shard((), ())
    if positions.numel() == 0:
        return Part(shape, *([(0, size)] for size in positions.shape)).shard
    intervals = []
    for dim, indices in enumerate(torch.unravel_index(positions, shape)):
        along = indices.movedim(dim, 0).flatten(1)[:, 0] if indices.dim() > 1 else indices
        first, last = int(along[0]), int(along[-1])
        ends = [at for at, step in enumerate(along.diff().tolist(), 1) if step != 1]
        starts = [first, *(int(along[at]) for at in ends)]
        stops = [*(int(along[at - 1]) + 1 for at in ends), last + 1]
        intervals.append(list(zip(starts, stops, strict=True)))
    return Part(shape, *intervals).shard
