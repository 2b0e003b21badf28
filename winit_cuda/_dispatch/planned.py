"""The fills of a plan, set up once: a run brings the tensors, and the core does the rest at once.

They are for ordinary tensors: contiguous, of the CPU, of the dtype and the shape that were planned.
The core reads them by DLPack, which takes a twentieth of the time of as many attributes. All others
are told apart, for a `Batch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from .._core import backend
from .._core.subnormals import SMALLEST
from .._core.target import ORDINARY, exchange
from .._core.torch_internals import increment_version, writes_are_seen
from .items import Item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._keys.keys import Key

# The name of a fill's key, the shape of its tensor, and its item, in which the address is 0.
PlannedItem = tuple[str, tuple[int, ...], Item]

_is_neg, _is_inference = torch.Tensor.is_neg, torch.Tensor.is_inference


def can_run() -> bool:
    """Whether planned fills serve here and now."""
    return (
        exchange is not None
        and backend.core is not None
        and not writes_are_seen()
        and bool(SMALLEST)
    )


class NamedFills(NamedTuple):
    """Fills of ordinary tensors, all with children of one key."""

    fills: Any
    """The core's."""
    tensors: list[torch.Tensor]

    @property
    def overlap(self) -> bool:
        """Whether two of them write the same memory."""
        found: bool = self.fills.overlap
        return found

    @property
    def elements(self) -> int:
        """How many elements they write."""
        count: int = self.fills.elements
        return count

    def run(self, parent: Key) -> None:
        """Write all tensors."""
        increment_version(tuple(self.tensors))  # while the caches have them
        self.fills.run(parent.seed, parent.stream, torch.get_num_threads())


class PlannedFills:
    """Fills without their tensors.

    Args:
        fills: By their numbers; None where there is no fill of the number.

    Example:
        >>> import torch, winit_cuda as winit
        >>> from winit_cuda._dispatch.items import planned_item
        >>> from winit_cuda._dispatch.planned import PlannedFills
        >>> from winit_cuda._fills.elementwise import NORMAL
        >>> item = planned_item(NORMAL, torch.float32, 6, (0.0, 1.0))
        >>> planned = PlannedFills([("w", (2, 3), item)])
        >>> w = torch.empty(2, 3)
        >>> found, others = planned.of([torch.empty(3, 2), w], [0, 0])
        >>> others
        [0]
        >>> found.run(winit.key(0))
        >>> key = winit.fold_in(winit.key(0), "w")
        >>> torch.equal(w, winit.normal_(torch.empty(2, 3), key=key))
        True
    """

    def __init__(self, fills: Sequence[PlannedItem | None]) -> None:
        self._fills = backend.loaded.PlannedFills(exchange, ORDINARY, list(fills))

    def of(self, tensors: list[torch.Tensor], numbers: list[int]) -> tuple[NamedFills, list[int]]:
        """Of each tensor i fill numbers[i], where it is what that is for; the places of others."""
        found, others = self._fills.of(tensors, numbers)
        fit = tensors
        if others:
            left = set(others)
            fit = [tensor for i, tensor in enumerate(tensors) if i not in left]
        if any(map(_is_neg, fit)) or any(map(_is_inference, fit)):  # DLPack does not say
            odd = {id(tensor) for tensor in fit if tensor.is_neg() or tensor.is_inference()}
            pairs = zip(tensors, numbers, strict=True)
            return self.of(tensors, [-1 if id(one) in odd else number for one, number in pairs])
        return NamedFills(found, fit), others
