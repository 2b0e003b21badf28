"""Fake tensors in the place of all tensors of a model, for as long as its own functions run.

Nothing that they do reaches the model: its tensors are not there to be written, and the modules are
set back as they were.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .fake_tensors import (
    TorchDispatchMode,
    as_fake,
    is_fake,
    storage_address,
    without_functions,
    without_modes,
)
from .log import STAND_IN, Outside, Step
from .trace import written_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .trace import Tracer

_CONTAINERS = (list, dict, set, OrderedDict)
# Others are parts of a whole, or made of several tensors.
_PLAIN = (torch.Tensor, nn.Parameter)


@contextmanager
def stand_ins(model: nn.Module, tracer: Tracer) -> Iterator[None]:
    """Put fake tensors in the place of those of all modules; a block that logs must be active."""
    modules = list(model.modules())
    saved = [_Saved(module) for module in modules]
    made = _StandIns(tracer)
    try:
        with without_functions():  # which would only be slow
            for module in modules:
                for store in (vars(module), *vars(module).values()):
                    made.put_into(store)
        with _Guard(made):
            yield
    finally:
        for each in saved:
            each.restore()


class _Saved:
    """The attributes of a module as they were, and what is in its lists, dicts and sets."""

    def __init__(self, module: nn.Module) -> None:
        self._attributes = vars(module)
        self._values = dict(self._attributes)
        self._contents = [
            (value, value.copy()) for value in self._values.values() if type(value) in _CONTAINERS
        ]

    def restore(self) -> None:
        self._attributes.clear()
        self._attributes.update(self._values)
        for container, content in self._contents:
            container.clear()
            if isinstance(container, list):
                container.extend(content)
            else:
                container.update(content)


class _StandIns:
    """A fake tensor for each real one."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._made: dict[int, torch.Tensor] = {}
        self.storages: set[int] = set()
        """Those of the real ones."""

    def put_into(self, store: Any) -> None:
        """Put those of its tensors in a list or dict, such as the parameters of a module."""
        if type(store) not in _CONTAINERS or isinstance(store, set):
            return
        for key, value in list(store.items() if isinstance(store, dict) else enumerate(store)):
            if isinstance(value, torch.Tensor):
                store[key] = self.of(value)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The one for a tensor, and a step of the log that has its values."""
        if id(tensor) not in self._made:
            self._made[id(tensor)] = self._new(tensor)
        return self._made[id(tensor)]

    def _new(self, tensor: torch.Tensor) -> torch.Tensor:
        if type(tensor) in _PLAIN:
            self.storages.add(storage_address(tensor.untyped_storage()))
            made, values = as_fake(self._tracer.mode, tensor), tensor.detach()
        else:  # the whole of a DTensor, whose values no rank has
            whole = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
            is_parameter = isinstance(tensor, nn.Parameter)
            made = nn.Parameter(whole, tensor.requires_grad) if is_parameter else whole
            with without_modes():
                values = torch.empty_like(whole, device="meta")
        view = self._tracer.view(made)
        clone = torch.ops.aten.clone.default
        step = Step(STAND_IN, clone, (Outside(values),), {}, [view], [view], None)
        self._tracer.log.add(step)
        return made


class _Guard(TorchDispatchMode):
    """Lets nothing write a tensor of the model that was reached in another way."""

    def __init__(self, made: _StandIns) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._made = made

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for tensor in written_by(func, args, kwargs):
            if (
                not is_fake(tensor)
                and storage_address(tensor.untyped_storage()) in self._made.storages
            ):
                raise RuntimeError("a tensor of the model is written that no module names")
        return func(*args, **kwargs)
