"""From a fill of one tensor to what the core's lists take of it.

`ordinary_items` is the short way for ordinary tensors, `items_of` the one for all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from .._core import backend, target
from .._core.dtypes import CODES
from .._core.target import address
from .._core.torch_internals import (
    dispatches_itself,
    is_dtensor,
    is_tracing_tensor,
    transforms_active,
)
from .._distributed.dtensor import local_part
from .._fills.constants import CONSTANT, ZEROS
from .._fills.elementwise import ELEMENTWISE
from .._fills.parts import PartFill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._fills.fill import Fill, Numbers

_is_compiling = torch.compiler.is_dynamo_compiling

# The fills that a list of the core may hold.
_LISTED = frozenset({CONSTANT, ZEROS, *ELEMENTWISE})
CPU = -1

# An item of the core's list, as _C.FillList takes it.
Item = tuple[Any, ...]
# (pointer, dtype, numel, box) of it.
_Place = tuple[int, int, int, Any]
# A device and the items of one job there: one, or one for each box of a shard.
Items = tuple[int, list[Item]]


# What is not for a list of the core: it needs a single call, or there is nothing to write.
SINGLE: Items = (-9, [])
NOTHING: Items = (-10, [])


class Job(NamedTuple):
    """One tensor to fill, in the terms of `single.fill`."""

    fill: Fill
    """One of `fills`."""
    function: str
    """The public function that errors name."""
    tensor: torch.Tensor
    """What is written; a shape that the function has found fit."""
    numbers: Numbers
    """What the fill takes."""


def planned_item(fill: Fill, dtype: torch.dtype, numel: int, numbers: Numbers) -> Item | None:
    """The item of ordinary tensors of a dtype, without their address.

    None where there is none, or each tensor is to be looked at by itself, which may raise.
    """
    code = CODES.get(dtype, -1)
    if code < 0 or numel == 0 or fill not in _LISTED:
        return None
    try:
        return _item(fill, "", (0, code, numel, None), dtype, numbers)
    except (TypeError, ValueError):
        return None


class Listed(NamedTuple):
    """What a list of the core has of one device."""

    items: list[Item]
    indices: list[int]
    """Of which job each item is."""


def ordinary_items(jobs: Sequence[Job]) -> tuple[dict[int, Listed], list[int]]:
    """By device, the items of ordinary tensors and fills; and the jobs that have more to check."""
    by_device: dict[int, Listed] = {}
    others: list[int] = []
    for i, job in enumerate(jobs):
        found = ordinary_item(job)
        if found is None:
            others.append(i)
            continue
        device, item = found
        own = by_device.setdefault(device, Listed([], []))
        own.items.append(item)
        own.indices.append(i)
    return by_device, others


def ordinary_item(job: Job) -> tuple[int, Item] | None:
    """Device and item of an ordinary tensor and fill; None where there is more to check."""
    fill, function, tensor, numbers = job
    if fill not in _LISTED or backend.core is None or _is_compiling():
        return None
    pointer = address(tensor)
    code = CODES.get(tensor.dtype, -1) if pointer else -1
    if code < 0 or not tensor.is_contiguous() or tensor.is_neg():
        return None
    device = CPU
    if not tensor.is_cpu:
        device = tensor.get_device()
        if not tensor.is_cuda or backend.cuda_problem(device) is not None:
            return None
    place = (pointer, code, tensor.numel(), None)
    return device, _item(fill, function, place, tensor.dtype, numbers)


def _item(fill: Fill, function: str, place: _Place, dtype: torch.dtype, numbers: Numbers) -> Item:
    """The item of a fill; raise where the numbers do not fit the dtype."""
    if (
        len(numbers) == 2
        and type(numbers[0]) is type(numbers[1]) is float
        and fill.check(function, place[1], numbers)
    ):
        return fill.name, *place, *numbers
    return _listed(fill, place, fill.prepared(function, dtype, numbers))


def items_of(job: Job) -> Items:
    """Device and items of any tensor and fill, SINGLE or NOTHING."""
    fill, function, tensor, numbers = job
    if _is_compiling():
        return SINGLE
    target.check(function, tensor)
    numbers = fill.prepared(function, tensor.dtype, numbers)
    if transforms_active() or is_tracing_tensor(tensor):
        return SINGLE
    if tensor.is_meta or tensor.numel() == 0:
        return NOTHING
    target.check_overlap(function, tensor)
    target.check_memory(function, tensor)
    if (
        not (fill in _LISTED or isinstance(fill, PartFill))
        or target.problem(tensor) is not None
        or dispatches_itself(tensor)
        or not target.can_describe(tensor)
    ):
        return SINGLE
    pointer, code, numel, box, device, _, _ = target.describe(tensor)
    if isinstance(fill, PartFill):
        places = fill.places(pointer, code, tensor)
        return device, [_listed(fill, place, numbers) for place in places]
    return device, [_listed(fill, (pointer, code, numel, box), numbers)]


def local_job(job: Job) -> Job:
    """The job; that of a DTensor as one of this rank's memory."""
    if _is_compiling() or not is_dtensor(job.tensor):
        return job
    target.check(job.function, job.tensor)
    local, shard = local_part(job.function, job.tensor)
    return Job(job.fill.part(shard), job.function, local, job.numbers)


def _listed(fill: Fill, place: _Place, numbers: Numbers) -> Item:
    """The item of a fill with checked numbers."""
    value = fill.only_value(place[1], numbers)
    if value is None:
        return fill.name, *place, *numbers
    return CONSTANT.name, *place, value
