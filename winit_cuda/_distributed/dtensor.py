"""From a DTensor to this rank's memory and the part of the whole that it is.

Nothing is sent, and nothing but the shapes, the mesh and the placements is read. A rank outside of
the mesh has nothing to write; it gets a part without elements, so that it draws as the others do.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from .._core.checks import WrongTypeError, WrongValueError, unfit
from .._core.torch_internals import (
    hides_strides,
    increment_version,
    local_tensor,
    shard_factor,
    shard_order,
    strided_blocks,
)
from .layout import Split, part
from .shard import Shard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .shard import Shards


class LocalPart(NamedTuple):
    """What this rank has of a DTensor."""

    local: torch.Tensor
    """Its memory, not a copy; on the device that it is on, which need not be the mesh's."""
    shard: Shard | Shards
    """Which part of the whole it is."""


def local_part(function: str, dtensor: Any) -> LocalPart:
    """What this rank has of a DTensor.

    A fault of the placements is one for all ranks, whatever their part, and for those outside of
    the mesh.

    Raises:
        ValueError: A placement is Partial, on a mesh dimension of more than one rank; or the rows
            cannot be told; or the local tensor has not the shape that the placements give it.
        TypeError: A placement is of a kind unknown here, or the process plays all ranks at once.
    """
    mesh = dtensor.device_mesh
    mesh_shape, coordinate = tuple(mesh.shape), mesh.get_coordinate()
    global_shape, placements = tuple(dtensor.shape), dtensor.placements
    splits = tuple(
        _split(function, placement, mesh_dim, size, len(global_shape))
        for mesh_dim, (placement, size) in enumerate(zip(placements, mesh_shape, strict=True))
    )
    where = (0,) * len(mesh_shape) if coordinate is None else tuple(coordinate)
    if not all(type(index) is int for index in where):  # torch's LocalTensorMode
        requirement = "what one rank has of a DTensor, not what all have, in one process"
        raise unfit(function, "tensor", requirement, _described(dtensor), WrongTypeError)
    found = part(global_shape, mesh_shape, where, splits, shard_order(dtensor))
    doubtful = _unmentioned(splits, mesh_shape) if found.doubtful is None else found.doubtful
    if doubtful is not None:
        requirement = (
            f"of a size in dimension {doubtful} that the mesh divides: of other sizes "
            "torch's placements do not tell the rows of FSDP2 over tensor parallelism "
            "(pytorch#168134)"
        )
        raise unfit(function, "tensor", requirement, _described(dtensor), WrongValueError)
    local = local_tensor(dtensor)
    if coordinate is None:
        nowhere = (0,) * len(global_shape)
        nothing = torch.empty(nowhere, dtype=dtensor.dtype, device=local.device)
        return LocalPart(nothing, Shard(global_shape, nowhere))
    # Where tensor parallelism left nothing, FSDP2 takes the size of its own dimension to be 0, too.
    are_empty = local.numel() == 0 and 0 in found.local_shape
    if tuple(local.shape) != found.local_shape and not are_empty:
        requirement = (
            f"of local shape {found.local_shape} at {where} of the mesh, as its placements have it"
        )
        received = f"{tuple(local.shape)} of {_described(dtensor)}"
        raise unfit(function, "tensor", requirement, received, WrongValueError)
    return LocalPart(local, found.shard)


@contextlib.contextmanager
def written(function: str, dtensor: Any) -> Iterator[LocalPart]:
    """What this rank has of a DTensor, which is written meanwhile.

    The version of the DTensor moves on every rank, also where there is nothing to write, so that a
    backward pass that needs the old values fails on all ranks or on none; but not after an error
    that has left the memory as it was.
    """
    mine = local_part(function, dtensor)
    version = _version(mine.local)
    try:
        yield mine
    except BaseException:
        if _version(mine.local) != version:
            increment_version((dtensor,))
        raise
    if not mine.local.is_meta:
        increment_version((dtensor,))


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001


def _split(
    function: str, placement: Any, mesh_dim: int, size: int, dimensions: int
) -> Split | None:
    """How a mesh dimension of this size splits the tensor."""
    factor = shard_factor(placement)
    if factor is not None and placement.dim < dimensions:
        return Split(placement.dim % dimensions, factor, strided_blocks)
    if placement.is_replicate():
        return None
    if factor is not None or not placement.is_partial():
        requirement = f"of placements Shard and Replicate for its {dimensions} dimensions"
        received = f"{placement} in mesh dimension {mesh_dim}"
        raise unfit(function, "tensor", requirement, received, WrongTypeError)
    if size > 1:  # one rank's part of a sum is the sum
        requirement = "without Partial placements, whose values are sums over ranks"
        received = f"{placement!r} in mesh dimension {mesh_dim} of {size} ranks"
        raise unfit(function, "tensor", requirement, received, WrongValueError)
    return None


def _unmentioned(splits: tuple[Split | None, ...], mesh_shape: tuple[int, ...]) -> int | None:
    """The dimension that FSDP2 may have split last without saying so, if there is one."""
    if hides_strides:
        sharded = set()
        for split, ranks in zip(splits, mesh_shape, strict=True):
            if split is None or ranks == 1:
                continue
            if split.factor == 1:
                sharded.add(split.dim)
            elif split.dim in sharded:
                return split.dim
    return None


def _described(dtensor: Any) -> str:
    return (
        f"a DTensor of shape {tuple(dtensor.shape)} with placements {dtensor.placements} on a mesh "
        f"of shape {tuple(dtensor.device_mesh.shape)}"
    )
