"""Other code in the place of torch's functions and methods, and torch's own back again.

A function keeps its object and gets another code object, so that every name it was imported under
is reached: torch's own modules, dictionaries of functions, partials. A method is set on
`torch.Tensor`, which has it from its base, and deleted again.
"""

from __future__ import annotations

import functools
import inspect
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

_HOOK = "the hook"

originals: dict[str, Callable[..., Any]] = {}
"""Torch's functions by name, with their own code; what `torch.compile` takes."""

# The hook is a constant of the code. As a global name of torch's module it would be missing for a
# thread that has just entered the function when another one takes the hook away. But dynamo takes
# no function for a constant, so it is led past.
_CODE = """
def {name}({parameters}):
    if torch.compiler.is_dynamo_compiling():
        from {module} import originals
        return originals["{name}"]({parameters})
    hook = "{hook}"
    return hook({parameters})
"""


class FunctionHook:
    """A function of torch that calls another one in its place, with all arguments in order."""

    def __init__(self, function: FunctionType, make: Callable[[Callable[..., Any]], Any]) -> None:
        """`make` gives the hook; it gets torch's function as it was."""
        self._function, self._own = function, function.__code__
        # Without the defaults, because it gets all arguments.
        own = FunctionType(function.__code__, function.__globals__, function.__name__)
        originals[function.__name__] = own
        self._code = _calling(function, make(own))
        function.__code__ = self._code

    def remove(self) -> None:
        """Give the function its code back, unless somebody else has changed it since."""
        if self._function.__code__ is self._code:
            self._function.__code__ = self._own


def _calling(function: FunctionType, hook: object) -> CodeType:
    """Code with the signature of a function, which calls `hook`."""
    code = _template(function, function.__code__)
    return code.replace(co_consts=tuple(hook if each == _HOOK else each for each in code.co_consts))


@functools.cache  # it takes most of the time of a block that does nothing
def _template(function: FunctionType, own: CodeType) -> CodeType:
    parameters = ", ".join(inspect.signature(function).parameters)
    text = _CODE.format(name=function.__name__, parameters=parameters, module=__name__, hook=_HOOK)
    namespace: dict[str, Any] = {}
    exec(text, namespace)  # a signature can be made in no other way
    code: CodeType = namespace[function.__name__].__code__
    return code.replace(  # where `inspect.getsource` and TorchScript read the source
        co_filename=own.co_filename, co_firstlineno=own.co_firstlineno
    )


class MethodHook:
    """A method of `torch.Tensor` in the place of the one it has."""

    def __init__(self, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
        """`make` gives the hook; it gets the method as it was."""
        self._name, self._before = name, vars(torch.Tensor).get(name)
        self._hook = make(getattr(torch.Tensor, name))
        setattr(torch.Tensor, name, self._hook)

    def remove(self) -> None:
        """Take the method away, unless somebody else has put another one over it."""
        if vars(torch.Tensor).get(self._name) is not self._hook:
            return
        if self._before is None:
            delattr(torch.Tensor, self._name)
        else:
            setattr(torch.Tensor, self._name, self._before)
