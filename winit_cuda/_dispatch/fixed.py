"""From a checked call to a tensor of fixed values: constants, the identity, the Dirac delta.

ATen writes them on every device and in every dtype and layout, whatever backend is chosen: there
is nothing for a kernel to add. What is here is what torch lets pass in silence, and a write that
autograd does not record, at no more cost than in `torch.nn.init`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.profiler import record_function

from .._core import target
from .._core.checks import reraise
from .._core.subnormals import SMALLEST, kept
from .._core.torch_internals import (
    is_dtensor,
    profiler,
    set_grad_enabled,
    transforms_active,
)
from .._distributed.dtensor import written
from .single import call_operator, is_seen_by_torch

if TYPE_CHECKING:
    from .._fills.constants import FixedFill
    from .._fills.fill import Numbers

_is_compiling = torch.compiler.is_dynamo_compiling


def fill(
    what: FixedFill, function: str, tensor: torch.Tensor, numbers: Numbers = ()
) -> torch.Tensor:
    """Fill `tensor` and return it; errors name `function`, the public one."""
    if not SMALLEST and not _is_compiling():
        with kept():
            return fill(what, function, tensor, numbers)
    if _is_compiling():
        numbers = what.prepared(function, tensor.dtype, numbers)
        if not tensor.requires_grad:
            _write_traced(what, function, tensor, numbers)
            return tensor
        with torch.no_grad():
            _write_traced(what, function, tensor, numbers)
        return tensor
    is_ordinary = target.address(tensor) != 0 and not tensor.is_quantized
    if not is_ordinary:
        target.check(function, tensor)
        if is_dtensor(tensor):
            return _fill_part(what, function, tensor, numbers)
    numbers = what.prepared(function, tensor.dtype, numbers)
    if is_ordinary:
        if not tensor.is_contiguous():
            target.check_overlap(function, tensor)
    elif transforms_active():
        target.check_examples(function, tensor)
    elif not is_seen_by_torch(tensor):
        if tensor.is_meta or tensor.numel() == 0:
            return tensor
        target.check_overlap(function, tensor)
        target.check_memory(function, tensor)
    # Under vmap it is the whole batch that may require grad.
    before = torch.is_grad_enabled() if tensor.requires_grad or not is_ordinary else False
    if before:
        set_grad_enabled(False)  # a third of what torch.no_grad costs
    try:
        if profiler._is_profiler_enabled:  # noqa: SLF001
            with record_function(f"winit_cuda::{function}"):
                what.traced(tensor, numbers)
        elif is_ordinary:
            what.aten(tensor, numbers, None)
        else:
            what.traced(tensor, numbers)
    except (MemoryError, RuntimeError) as error:
        reraise(function, error)
    finally:
        if before:
            set_grad_enabled(before)
    return tensor


def _write_traced(what: FixedFill, function: str, tensor: torch.Tensor, numbers: Numbers) -> None:
    """Write in a program that is being compiled."""
    if is_dtensor(tensor) and not any(isinstance(number, torch.Tensor) for number in numbers):
        _through_operator(what, function, tensor, numbers)
    else:
        what.traced(tensor, numbers)


def _fill_part(
    what: FixedFill, function: str, dtensor: torch.Tensor, numbers: Numbers
) -> torch.Tensor:
    """Fill what this rank has of a DTensor, by the same call for a part of the whole."""
    with written(function, dtensor) as (local, shard):
        fill(what.part(shard), function, local, numbers)
    return dtensor


def _through_operator(
    what: FixedFill, function: str, dtensor: torch.Tensor, numbers: Numbers
) -> None:
    """Call the operator of `operators`, below which what this rank has is known."""
    padded = (*numbers, 0.0, 0.0, 0.0, 0.0)[:4]
    call_operator(dtensor, function, what.name, *padded, what.structure, None, None, None, None)
