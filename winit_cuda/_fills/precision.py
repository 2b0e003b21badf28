"""The precision of the products that orthogonal matrices are made by, where torch makes them."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .lines import Part

# Up to this many columns the products are short enough for float64 to cost nothing that shows,
# but for CPUs whose float64 normals are slow.
_SMALL = 256
# What a gain near the largest value of its dtype is divided by in the products; dividing is exact.
_SCALE = 2.0**10


def compute_dtype(core: Any, tensor: torch.Tensor, part: Part) -> torch.dtype:
    """float32 only where it saves time that shows, and where its products stay float32."""
    if tensor.dtype == torch.float64:
        return torch.float64
    is_short = min(part.rows, part.columns) <= _SMALL
    if is_short and not (tensor.is_cpu and core.orthogonal_is_slow(part.rows, part.columns)):
        return torch.float64
    return torch.float32 if _float32_is_exact() else torch.float64


def _float32_is_exact() -> bool:
    """Whether no setting lets TF32 or bfloat16 into float32 products.

    They would leave the matrix orthogonal to three digits only. Where old and new settings of torch
    have been mixed, reading one of them raises: that is a no.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            settings = [
                torch.get_float32_matmul_precision(),
                torch.backends.cuda.matmul.allow_tf32,
                *(
                    getattr(owner, "fp32_precision", "ieee")  # since torch 2.9
                    for owner in (
                        torch.backends,
                        torch.backends.cuda.matmul,
                        torch.backends.mkldnn,
                        getattr(torch.backends.mkldnn, "matmul", None),
                    )
                ),
            ]
        except RuntimeError:
            return False
    return all(setting in ("highest", False, "ieee", "none") for setting in settings)


def no_autocast(device_type: str) -> contextlib.AbstractContextManager[Any]:
    """What keeps autocast out of the products; entering torch's takes as long as a small one."""
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return contextlib.nullcontext()


@contextlib.contextmanager
def within_reach(gain: float, tensors: Sequence[torch.Tensor]) -> Iterator[float]:
    """A gain that no sum of a product leaves the dtype by; the tensors get what it lacks after."""
    largest = torch.finfo(tensors[0].dtype).max
    # Products are float32 at least.
    is_far = abs(gain) > largest / _SCALE and largest > torch.finfo(torch.float32).max / 2
    yield gain / _SCALE if is_far else gain
    if is_far:
        for tensor in tensors:
            tensor.mul_(_SCALE).clamp_(-largest, largest)  # an entry may be more than 1 by rounding
