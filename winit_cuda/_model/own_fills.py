"""Calls of this package's functions in a constructor, which torch sees as one operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._initializers.elementwise import Constant, Normal, TruncNormal, Uniform, Zeros
from .._initializers.structured import DeltaOrthogonal, Dirac, Eye, Orthogonal, Sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._initializers.base import Initializer

OPERATOR = "winit_cuda::fill_"

# By the name of the fill: how many numbers it takes, and the initializer of them.
_KINDS: dict[str, tuple[int, Callable[..., Initializer]]] = {
    "constant": (1, Constant),
    "delta_orthogonal": (1, DeltaOrthogonal),
    "dirac": (1, lambda groups: Dirac(int(groups))),
    "eye": (0, Eye),
    "normal": (2, Normal),
    "sparse": (2, Sparse),
    "trunc_normal": (4, TruncNormal),
    "uniform": (2, Uniform),
    "zeros": (0, Zeros),
}


def initializer_of(args: Sequence[Any]) -> Initializer | None:
    """What a call of the operator writes; None for what no initializer says, such as a part."""
    fill, numbers, structure = args[2], args[3:7], tuple(args[7])
    if fill == "orthogonal" and len(structure) == 2:
        return Orthogonal(numbers[0], *structure)
    if structure or fill not in _KINDS or isinstance(numbers[0], complex):
        return None
    count, kind = _KINDS[fill]
    return kind(*numbers[:count])
