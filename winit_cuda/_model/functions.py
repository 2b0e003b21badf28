"""What a constructor does with tensors above the operators: copies, values for NumPy, devices."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .fake_tensors import is_fake

if TYPE_CHECKING:
    from collections.abc import Callable

# These hand out the values.
_VALUES = frozenset({torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.__array__})

_SPARSE = nn.init.sparse_.__code__


class FunctionMode(TorchFunctionMode):
    """Has fake tensors copied and read as real ones are; without a GPU, "cuda" is the CPU."""

    def __init__(self, values: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._values = values
        self._has_cuda = torch.cuda.is_available()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if sys._getframe(1).f_code is _SPARSE:  # noqa: SLF001
            # Its loop over columns, which takes 2 ms each and tells nothing new.
            if func is torch.randperm:
                return range(*args)
            if func is torch.Tensor.__setitem__:
                return None
        kwargs = kwargs or {}
        if not self._has_cuda:
            if func is torch.Tensor.cuda:
                return args[0]
            if func is torch.Tensor.to:
                args = tuple(_on_cpu(value) for value in args)
            if "device" in kwargs:
                kwargs = {**kwargs, "device": _on_cpu(kwargs["device"])}
        if args and is_fake(args[0]):
            if func is torch.Tensor.__deepcopy__:
                return _deep_copy(*args)
            if func in _VALUES:
                values = func(self._values(args[0]), *args[1:], **kwargs)
                if hasattr(values, "flags"):
                    values.flags.writeable = False  # a write would be lost: let it raise
                return values
        return func(*args, **kwargs)


def _on_cpu(value: Any) -> Any:
    if isinstance(value, (str, torch.device)) and str(value).startswith("cuda"):
        return torch.device("cpu")
    return value


def _deep_copy(tensor: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
    if id(tensor) in memo:
        found: torch.Tensor = memo[id(tensor)]
        return found
    copy = tensor.detach().clone(memory_format=torch.preserve_format)
    if isinstance(tensor, nn.Parameter):
        copy = nn.Parameter(copy, tensor.requires_grad)
    elif tensor.requires_grad:
        copy.requires_grad_()
    memo[id(tensor)] = copy
    return copy
