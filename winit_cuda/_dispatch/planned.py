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
from .._core.target import DOUBTS, ORDINARY, exchange
from .._core.torch_internals import increment_version, writes_are_seen
from .items import Item

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._keys.keys import Key

# The names of a fill's tensor and its key, the shape of the tensor, and the item, in which the
# address is 0.
PlannedItem = tuple[str, str, tuple[int, ...], Item]
# Number of the owner, how many tensors of fills come before it, name and tensor.
Other = tuple[int, int, "str | None", Any]


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
    names: list[str]
    """Of the tensors."""
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
        fills: Each with the name of its tensor.
        doubts: Functions of a tensor. No fill is for one of which one of them is not False.

    Example:
        >>> import torch, winit_cuda as winit
        >>> from winit_cuda._dispatch.items import planned_item
        >>> from winit_cuda._dispatch.planned import PlannedFills
        >>> from winit_cuda._fills.elementwise import NORMAL
        >>> item = planned_item(NORMAL, torch.float32, 6, (0.0, 1.0))
        >>> planned = PlannedFills([("0.w", "key of w", (2, 3), item)])
        >>> w = torch.empty(2, 3)
        >>> found, others = planned.of([("0", {"v": torch.empty(3), "w": w})])
        >>> [name for _, _, name, _ in others]
        ['0.v']
        >>> found.run(winit.key(0))
        >>> key = winit.fold_in(winit.key(0), "key of w")
        >>> torch.equal(w, winit.normal_(torch.empty(2, 3), key=key))
        True
    """

    def __init__(
        self,
        fills: Sequence[PlannedItem],
        doubts: tuple[Callable[[torch.Tensor], object], ...] = (),
    ) -> None:
        self._fills = backend.loaded.PlannedFills(
            exchange, ORDINARY, (*DOUBTS, *doubts), list(fills)
        )

    def of(
        self, owners: list[tuple[str, dict[str, torch.Tensor | None] | None]]
    ) -> tuple[NamedFills, list[Other]]:
        """Find the tensors of fills among those that the owners have under their names.

        All others are told, in their order. None in place of the tensors is among them.
        """
        *found, others = self._fills.of(owners)
        return NamedFills(*found), others
