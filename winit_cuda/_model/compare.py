"""Whether the values of a tensor are of another law than those that stood there before.

Both are seen as samples. Where their laws are the same, the means of x, |x| and x^2 agree within
their standard errors; the three together tell scales, means, and uniform from normal. Where the law
has bounds, one element beyond them is enough.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from .._core.torch_internals import is_dtensor, is_tracing_tensor, local_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of a larger tensor, so many elements are looked at, in runs that lie apart.
_SAMPLE = 1 << 14
_RUNS = 64
# With fewer, a standard error says little.
_FEWEST = 16
# In standard errors. Of a sample of few elements, the tails are heavy.
_LIMIT = 7.0


class Summary(NamedTuple):
    """What is kept of a sample."""

    size: int
    means: tuple[float, ...]
    """Of x, |x| and x^2."""
    variances: tuple[float, ...]
    """Of the same."""
    low: float
    high: float

    @property
    def is_constant(self) -> bool:
        """Whether all elements are the same."""
        return self.low == self.high

    def differs(self, other: Summary, low: float = -math.inf, high: float = math.inf) -> bool:
        """Whether the other is surely of another law; False where nothing can be said.

        Args:
            other: What was drawn by the other law.
            low: The other law has nothing below this.
            high: The other law has nothing above this.
        """
        if not all(map(math.isfinite, (*self.variances, *other.variances))):
            return False  # no values: memory as it was allocated
        if self.low < low or self.high > high:
            return True
        if self.size == 1:  # only a 0 is known to be a constant
            return self.low != other.low and 0.0 in (self.low, other.low)
        if self.is_constant or other.is_constant:
            return (self.low, self.high) != (other.low, other.high)
        if self.size < _FEWEST:
            return False
        return any(
            abs(a - b) > _LIMIT * math.sqrt((v + w) / self.size)
            for a, b, v, w in zip(
                self.means, other.means, self.variances, other.variances, strict=True
            )
        )

    def __str__(self) -> str:
        if self.is_constant:
            return f"{self.low:.4g}"
        mean, std = self.means[0], math.sqrt(self.variances[0])
        is_centered = abs(mean) < _LIMIT * std / math.sqrt(self.size)
        return f"std {std:.3g}" if is_centered else f"mean {mean:.3g}, std {std:.3g}"


def summaries(tensors: Sequence[torch.Tensor]) -> list[Summary | None]:
    """The summary of this rank's part of each tensor; None where it has no elements.

    Devices are waited for once each.
    """
    found: list[Summary | None] = [None] * len(tensors)
    on_devices: dict[torch.device, list[tuple[int, int, torch.Tensor]]] = {}
    for i, tensor in enumerate(tensors):
        sample = _sample(tensor)
        if sample is not None:
            row = (i, len(sample), _numbers(sample))
            on_devices.setdefault(sample.device, []).append(row)
    for own in on_devices.values():
        rows = torch.stack([numbers for *_, numbers in own]).tolist()
        for (i, size, _), numbers in zip(own, rows, strict=True):
            found[i] = Summary(size, tuple(numbers[:3]), tuple(numbers[3:6]), *numbers[6:])
    return found


def _sample(tensor: torch.Tensor) -> torch.Tensor | None:
    """Elements of this rank's part, as float32."""
    local = local_tensor(tensor) if is_dtensor(tensor) else tensor
    flat = local.detach().reshape(-1)
    if flat.numel() == 0 or flat.is_meta or flat.is_complex() or is_tracing_tensor(flat):
        return None
    if flat.numel() > _SAMPLE:
        width = flat.numel() // _RUNS
        flat = flat[: width * _RUNS].view(_RUNS, width)[:, : _SAMPLE // _RUNS].reshape(-1)
    return flat.to(torch.float32)


def _numbers(values: torch.Tensor) -> torch.Tensor:
    """What a summary has of a sample, still on its device."""
    pairs = [torch.var_mean(each, correction=0) for each in (values, values.abs(), values * values)]
    variances, means = zip(*pairs, strict=True)
    return torch.stack((*means, *variances, *values.aminmax()))
