"""The functions of `torch.nn.init` that fill where the core does not.

Bound when this package is imported: whoever puts ours in their place later, one by one or the whole
module, does not make ours call themselves. Nor does `accelerate()`, which changes the functions
that are bound here: while one runs, `thread.runs_torch` says so.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from types import FunctionType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from torch.nn import init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

__all__ = ["CODES", "constant_", "normal_", "orthogonal_", "sparse_", "trunc_normal_", "uniform_"]


CODES = {name: each.__code__ for name, each in vars(init).items() if isinstance(each, FunctionType)}
"""The code that is on the stack while one of them runs, accelerated or not."""


class _Thread(threading.local):
    runs_torch = False
    """Whether torch's own functions run on this thread, and nothing is to take their place."""


thread = _Thread()


@contextlib.contextmanager
def torch_s_own() -> Iterator[None]:
    """A context in which torch's functions are torch's, accelerated or not."""
    before = thread.runs_torch
    thread.runs_torch = True
    try:
        yield
    finally:
        thread.runs_torch = before


def _own(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    @functools.wraps(function)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with torch_s_own():
            return function(*args, **kwargs)

    return run


constant_ = _own(init.constant_)
normal_ = _own(init.normal_)
orthogonal_ = _own(init.orthogonal_)
sparse_ = _own(init.sparse_)
trunc_normal_ = _own(init.trunc_normal_)
uniform_ = _own(init.uniform_)
