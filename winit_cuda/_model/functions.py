"""What a constructor does with tensors above the operators: copies, values for NumPy, devices."""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from torch.overrides import TorchFunctionMode

from .._core.torch_init import CODES
from .fake_tensors import is_fake, keep_parameter, without_modes

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# These hand out the values.
_VALUES = frozenset({torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__})

# Its loop takes 2 ms for each column, and tells nothing new.
_SPARSE = CODES["sparse_"]
_OF_A_COLUMN = frozenset({torch.randperm, torch.Tensor.__setitem__})
_LAZY = frozenset(kind.__new__.__code__ for kind in (UninitializedParameter, UninitializedBuffer))
_MATERIALIZE = UninitializedParameter.materialize.__code__


class FunctionMode(TorchFunctionMode):
    """Has fake tensors copied and read as real ones are; without a GPU, "cuda" is the CPU."""

    def __init__(
        self, values: Callable[[torch.Tensor], torch.Tensor], *, is_to_be_real: bool
    ) -> None:
        super().__init__()
        self._values = values
        self._is_to_be_real = is_to_be_real
        self._has_cuda = is_to_be_real or torch.cuda.is_available()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _OF_A_COLUMN and _caller().f_code is _SPARSE:
            return range(*args) if func is torch.randperm else None
        if not self._has_cuda:
            if func is torch.Tensor.cuda:
                return args[0]
            if func is torch.Tensor.to:
                args = tuple(_on_cpu(value) for value in args)
            if "device" in kwargs:
                kwargs = {**kwargs, "device": _on_cpu(kwargs["device"])}
        if func is torch.empty:
            return _empty(_caller(), args, kwargs)
        if self._is_to_be_real and func is torch.Tensor.detach:
            _check_class(_caller())
        if func is torch.Tensor.__deepcopy__:
            return _deep_copy(*args)
        if func in _VALUES and is_fake(args[0]):
            values = func(self._values(args[0]), *args[1:], **kwargs)
            if hasattr(values, "flags"):
                values.flags.writeable = False  # a write would be lost: let it raise
            return values
        if args and is_lazy(args[0]):
            with without_modes():  # torch 2.4 gives a result the class, but not that of a mode
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def _check_class(frame: FrameType) -> None:
    """Raise where a Parameter of a class of its own is made, which would become a plain one."""
    if frame.f_code is not nn.Parameter.__new__.__code__:
        return
    kind = frame.f_locals["cls"]
    if kind is not nn.Parameter:
        raise RuntimeError(f"parameters of class {kind.__name__} cannot be made real")


def _on_cpu(value: Any) -> Any:
    if isinstance(value, (str, torch.device)) and str(value).startswith("cuda"):
        return torch.device("cpu")
    return value


def _deep_copy(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
    if id(tensor) in memo:
        found: torch.Tensor = memo[id(tensor)]
        return found
    if not is_fake(tensor):
        with without_modes():  # a copy of a tensor with memory has memory, too
            return copy.deepcopy(tensor, memo)
    made = tensor.detach().clone(memory_format=torch.preserve_format)
    if isinstance(tensor, nn.Parameter):
        made = nn.Parameter(made, tensor.requires_grad)
    elif tensor.requires_grad:
        made.requires_grad_()
    memo[id(tensor)] = made
    return made


def _caller() -> FrameType:
    """Who calls the function that a mode sees, beyond the modes above."""
    frame = sys._getframe(2)  # noqa: SLF001
    while frame.f_code.co_name == "__torch_function__" and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _empty(caller: FrameType, args: Any, kwargs: Any) -> torch.Tensor:
    """A new tensor, which may be for a lazy one."""
    if caller.f_code in _LAZY:
        with without_modes():  # it is to have a class of its own, which no fake tensor can
            return torch.empty(*args, **kwargs)
    made = torch.empty(*args, **kwargs)
    return _materialized(caller.f_locals["self"], made) if caller.f_code is _MATERIALIZE else made


def _materialized(lazy: Any, made: torch.Tensor) -> torch.Tensor:
    """Make a lazy tensor the fake one that is to be its data."""
    made = made.detach()  # which is kept so that it may be swapped
    if isinstance(lazy, nn.Parameter):
        made = nn.Parameter(made, lazy.requires_grad)
    torch.utils.swap_tensors(lazy, made)  # type: ignore[no-untyped-call]
    vars(lazy).update(vars(made))  # what it had of attributes
    keep_parameter(lazy)
    lazy.cls_to_become = type(lazy)  # what torch makes of it next
    data: torch.Tensor = lazy.data
    return data
