"""From a fill of one tensor to what the core's lists take of it.

`ordinary_items` is the short way for ordinary tensors, `items_of` the one for all others.
"""

from __future__ import annotations

from functools import partial
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
    from collections.abc import Callable, Sequence

    from .._fills.fill import Fill, Numbers

_is_compiling = torch.compiler.is_dynamo_compiling

# The fills that a list of the core may hold.
_LISTED = frozenset({CONSTANT, ZEROS, *ELEMENTWISE})
CPU = -1

# An item of the core's list, as _C.FillList takes it.
Item = tuple[Any, ...]
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
    checked: int = -1
    """The code of the dtype in which two numbers are known to be floats that pass `fill.check`."""


# Job(*fields) in half of the time: without the step through Python that named tuples take.
new_job: Callable[[tuple[Fill, str, torch.Tensor, Numbers, int]], Job]
new_job = partial(tuple.__new__, Job)


def checked_code(fill: Fill, dtype: torch.dtype, numbers: Numbers) -> int:
    """What is `checked` of a job with these numbers and a tensor of this dtype; raises nothing."""
    code = CODES.get(dtype, -1)
    if code < 0 or fill not in _LISTED:
        return -1
    try:
        return code if _is_plain(fill, "", code, numbers) else -1
    except (TypeError, ValueError):  # which the call for a tensor raises
        return -1


class Listed(NamedTuple):
    """What a list of the core has of one device."""

    items: list[Item]
    indices: list[int]
    """Of which job each item is."""


def ordinary_items(jobs: Sequence[Job]) -> tuple[dict[int, Listed], list[int]]:
    """By device, the items of ordinary tensors and fills; and the jobs that have more to check."""
    by_device: dict[int, Listed] = {}
    others: list[int] = []
    if backend.core is None or _is_compiling():
        return {}, list(range(len(jobs)))
    last = CPU - 1
    for i, (fill, function, tensor, numbers, checked) in enumerate(jobs):
        pointer = address(tensor)
        code = CODES.get(tensor.dtype, -1) if pointer else -1
        if code < 0 or fill not in _LISTED or not tensor.is_contiguous() or tensor.is_neg():
            others.append(i)
            continue
        device = CPU if tensor.is_cpu else tensor.get_device()
        if device != last:
            if device != CPU and not (tensor.is_cuda and backend.cuda_problem(device) is None):
                others.append(i)
                continue
            items, indices = by_device.setdefault(device, Listed([], []))
            last = device
        if code == checked or _is_plain(fill, function, code, numbers):
            first, second = numbers
            item = (fill.name, pointer, code, tensor.numel(), None, first, second)
        else:
            place = (pointer, code, tensor.numel(), None)
            item = _listed(fill, place, fill.prepared(function, tensor.dtype, numbers))
        items.append(item)
        indices.append(i)
    return by_device, others


def _is_plain(fill: Fill, function: str, code: int, numbers: Numbers) -> bool:
    """Whether the core's list takes the numbers as they are; raise where they do not fit."""
    return (
        len(numbers) == 2
        and type(numbers[0]) is type(numbers[1]) is float
        and fill.check(function, code, numbers)
    )


def items_of(job: Job) -> Items:
    """Device and items of any tensor and fill, SINGLE or NOTHING."""
    fill, function, tensor, numbers, _ = job
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


def _listed(fill: Fill, place: tuple[int, int, int, Any], numbers: Numbers) -> Item:
    """The item of a fill with checked numbers."""
    value = fill.only_value(place[1], numbers)
    if value is None:
        return fill.name, *place, *numbers
    return CONSTANT.name, *place, value
