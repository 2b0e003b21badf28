"""The fallback: a fill by torch's own operators, with the values `torch.nn.init` gives.

Each fill names its function of `torch.nn.init`; here is what must hold around the call.
An error comes before the generator is drawn from and the tensor written. Torch's function may run
out of memory when it has begun: it then works on a copy, and the generator of a CPU or CUDA tensor
is set back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .._core import backend
from .._core.checks import unfit
from .._keys.generators import is_capturing

if TYPE_CHECKING:
    from .._fills.fill import Fill, Numbers


def run(
    fill: Fill,
    function: str,
    tensor: torch.Tensor,
    numbers: Numbers,
    generator: Any,
    key: Any,
    reason: str,
) -> None:
    """Fill `tensor` as `torch.nn.init` does; `reason` says why the core does not."""
    refuse_native_only(function, key, reason, fill.shard)
    if tensor.is_cuda:
        backend.warn_of_fallback(tensor.get_device())
    if fill.aten_dtypes is not None and tensor.dtype not in fill.aten_dtypes:
        raise _no_kernel(function, tensor.dtype, reason)
    values, drawn_from, before = tensor, None, None
    if fill.aten_needs_memory:
        values = torch.empty_like(tensor, requires_grad=False)
        drawn_from = _drawn_from(tensor, generator)
        before = None if drawn_from is None else drawn_from.get_state()
    try:
        fill.aten(values, numbers, generator)
        if values is not tensor:
            with torch.no_grad():
                tensor.copy_(values)
    except NotImplementedError as error:  # an older torch, or another device, has fewer kernels
        raise _no_kernel(function, tensor.dtype, reason) from error
    except ArithmeticError as error:
        if drawn_from is not None and before is not None:
            drawn_from.set_state(before)
        raise RuntimeError(f"{function}: torch cannot compute this ({error}); {reason}") from error
    except RuntimeError:
        if drawn_from is not None and before is not None:
            drawn_from.set_state(before)
        raise


def _drawn_from(tensor: torch.Tensor, generator: Any) -> Any:
    """The generator that a fill draws from, where that can be read and set back; else None."""
    if tensor.is_cpu:
        return torch.default_generator if generator is None else generator
    if not tensor.is_cuda or is_capturing(tensor.get_device()):  # a captured one cannot
        return None
    return torch.cuda.default_generators[tensor.get_device()] if generator is None else generator


def refuse_native_only(function: str, key: Any, reason: str, shard: Any = None) -> None:
    """Raise where a call asks for what only the core gives."""
    for argument, value in (("key", key), ("a shard or DTensor", shard)):
        if value is not None:
            raise RuntimeError(
                f"{function}: {argument} needs the native core, whose values ATen cannot give, "
                f"but {reason}"
            )
    if backend.choice() == "native":
        raise RuntimeError(f'{function}: use_backend("native") is in force, but {reason}')


def _no_kernel(function: str, dtype: torch.dtype, reason: str) -> Exception:
    requirement = f"one that ATen fills ({reason})"
    return unfit(function, "the dtype of tensor", requirement, str(dtype))
