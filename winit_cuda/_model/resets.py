"""The functions by which a model writes its own parameters, run again.

The order is that of constructors: a module's children come first, then the module itself. Those of
a function that is for one module at a time, `_init_weights(module)`, are the modules below it that
have no nearer one, as in transformers.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from .fake_tensors import is_fake
from .frames import described
from .read import Model, read
from .slots import buffer_slots, slots
from .stand_ins import stand_ins
from .trace import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .entries import Entry

# What a module calls to write what is its own.
_OWN = ("reset_parameters", "_reset_parameters")
_EACH = "_init_weights"
# What it calls at last, for all that is in it.
_ALL = ("_init_weights", "init_weights", "initialize_weights", "_initialize_weights")


def entries_of_model(model: nn.Module) -> list[Entry]:
    """The entries of what such functions write in a model, of which nothing is written here.

    Raises:
        RuntimeError: One of them fails on fake tensors.
    """
    parameters = functools.partial(slots, is_wanted=lambda _: False)
    with tracing() as tracer, parametrize.cached(), stand_ins(model, tracer):
        for slot in parameters(model):
            slot.seen()  # parametrized ones are computed once, and then written as others are
        with torch.no_grad():
            _Resets(model).run()
        tracer.end()
        tracer.check_shared()
        made = Model(
            tracer.log,
            [(one, tracer.view(one.seen())) for one in parameters(model) if is_fake(one.tensor)],
            [(one, tracer.view(one.tensor)) for one in buffer_slots(model) if is_fake(one.tensor)],
        )
    return read(made, "initialize")


class _Resets:
    """The functions of a model, each to be called once."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._done: set[nn.Module] = set()
        self._owners: dict[int, nn.Module] = {}
        """By parameter, the first module that has it."""
        for module in model.modules():
            for parameter in module.parameters(recurse=False):
                self._owners.setdefault(id(parameter), module)

    def run(self) -> None:
        self._run("", self._model)

    def _run(self, path: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
        """Run those of a module and of its children.

        Returns:
            The modules that wait for the `_init_weights` of one above.
        """
        if module in self._done or isinstance(module, torch.jit.ScriptModule):
            return []  # the latter has no functions of Python's
        self._done.add(module)
        waiting = []
        for step, child in module.named_children():
            waiting += self._run(f"{path}.{step}" if path else step, child)
        with self._untied(module):
            for name in _OWN:
                _call(path, module, name)
        waiting.append((path, module))
        if _takes(module, _EACH, module):
            for below, each in waiting:
                with self._untied(each):
                    _call(path, module, _EACH, each, of=below)
            waiting = []
        for name in _ALL:
            _call(path, module, name)
        return waiting

    @contextmanager
    def _untied(self, module: nn.Module) -> Iterator[None]:
        """Keep what a module does to its own from weights that a module before it has, too.

        Constructors tie weights when the modules have written theirs, and that of the first stays.
        """
        parameters = vars(module)["_parameters"]
        tied = {
            name: tensor
            for name, tensor in parameters.items()
            if tensor is not None and self._owners.get(id(tensor), module) is not module
        }
        for name, tensor in tied.items():
            parameters[name] = nn.Parameter(torch.empty_like(tensor))
        yield
        for name, tensor in tied.items():
            parameters[name] = tensor


def _takes(module: nn.Module, name: str, *args: Any) -> bool:
    """Whether the class has a function that these arguments suffice for, and none less."""
    # Not of the module itself: wrappers hand on what they do not have to what they wrap.
    if not callable(getattr(type(module), name, None)):
        return False
    signature = inspect.signature(getattr(module, name))
    return _binds(signature, args) and not (args and _binds(signature, ()))


def _binds(signature: inspect.Signature, args: tuple[Any, ...]) -> bool:
    try:
        signature.bind(*args)
    except TypeError:
        return False
    return True


def _call(path: str, module: nn.Module, name: str, *args: nn.Module, of: str = "") -> None:
    if not _takes(module, name, *args):
        return
    try:
        getattr(module, name)(*args)
    except Exception as error:
        what = f"{path or type(module).__name__}.{name}({of})"
        raise RuntimeError(
            f"initialize: {what} failed on fake tensors, {described(error)}"
        ) from error
