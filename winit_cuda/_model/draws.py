"""The law of what one step of a constructor draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._initializers.elementwise import Normal, TruncNormal, Uniform
from .._initializers.structured import Dirac, Eye, Orthogonal, Sparse
from .log import INITIALIZER

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._initializers.base import Initializer
    from .log import Step, View


class NoLawError(Exception):
    """A tensor's values have no law that is known here."""


def drawn(step: Step, view: View) -> Initializer:
    """The law of what a step draws into a tensor.

    Raises:
        NoLawError: It is none that is known here.
    """
    name, args, kwargs = step.name, step.args, step.kwargs

    def number(index: int, key: str, default: float) -> float:
        value = args[index] if len(args) > index else kwargs.get(key, default)
        if not isinstance(value, (int, float)):
            raise NoLawError(f"by {name} with tensors")
        return float(value)

    try:
        if step.operator is None:
            if name == "trunc_normal_":
                return TruncNormal(**kwargs)
            own: Initializer | None = kwargs.get(INITIALIZER)
            if isinstance(own, (Normal, Uniform, TruncNormal)):
                return own
            if step.writes[0].layout != view.layout:
                raise NoLawError(f"by {name} of a larger tensor")
            if own is not None:
                return own
            kinds: dict[str, Callable[..., Initializer]] = {
                "orthogonal_": Orthogonal,
                "sparse_": Sparse,
                "dirac_": Dirac,
                "eye_": Eye,
            }
            return kinds[name](**kwargs)
        if name == "normal_":
            return Normal(number(1, "mean", 0.0), number(2, "std", 1.0))
        if name == "uniform_":
            return Uniform(number(1, "from", 0.0), number(2, "to", 1.0))
        if name == "normal":
            return Normal(number(0, "mean", 0.0), number(1, "std", 1.0))
    except ValueError as error:
        raise NoLawError(str(error)) from error
    if name in ("randn", "randn_like"):
        return Normal()
    if name in ("rand", "rand_like"):
        return Uniform()
    raise NoLawError(f"by {name}")
