"""The old names of the initializers, without the underscore, each with a FutureWarning."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec

from .._core.checks import warn
from . import elementwise, structured, variance_scaling

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_P = ParamSpec("_P")


def _old_name(function: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    new = function.__name__
    old = new.removesuffix("_")

    @functools.wraps(function)
    def deprecated(*args: _P.args, **kwargs: _P.kwargs) -> Tensor:
        message = f"winit_cuda.{old} is the deprecated name of winit_cuda.{new}"
        warn(message, FutureWarning)
        return function(*args, **kwargs)

    deprecated.__name__ = deprecated.__qualname__ = old
    deprecated.__doc__ = f"Deprecated name of `{new}`."
    return deprecated


uniform = _old_name(elementwise.uniform_)
normal = _old_name(elementwise.normal_)
constant = _old_name(elementwise.constant_)
eye = _old_name(structured.eye_)
dirac = _old_name(structured.dirac_)
xavier_uniform = _old_name(variance_scaling.xavier_uniform_)
xavier_normal = _old_name(variance_scaling.xavier_normal_)
kaiming_uniform = _old_name(variance_scaling.kaiming_uniform_)
kaiming_normal = _old_name(variance_scaling.kaiming_normal_)
orthogonal = _old_name(structured.orthogonal_)
sparse = _old_name(structured.sparse_)
