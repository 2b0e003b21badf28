"""The fallback: a fill by torch's own operators, with the values `torch.nn.init` gives.

Each fill names its function of `torch.nn.init`; here is what must hold around the call.
An error comes before the generator is drawn from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core import backend
from .._core.checks import unfit

if TYPE_CHECKING:
    import torch

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
    if fill.aten_dtypes is not None and tensor.dtype not in fill.aten_dtypes:
        raise _no_kernel(function, tensor.dtype, reason)
    try:
        fill.aten(tensor, numbers, generator)
    except NotImplementedError as error:  # an older torch, or another device, has fewer kernels
        raise _no_kernel(function, tensor.dtype, reason) from error
    except ArithmeticError as error:
        raise RuntimeError(f"{function}: torch cannot compute this ({error}); {reason}") from error


def refuse_native_only(function: str, key: Any, reason: str, shard: Any = None) -> None:
    """Raise where a call asks for what only the core gives."""
    for argument, value in (("key", key), ("shard", shard)):
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
