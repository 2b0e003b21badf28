"""A model and generators that are afterwards as they were, whatever runs in between."""

from __future__ import annotations

import collections
import contextlib
import operator
from typing import TYPE_CHECKING, Any

import torch

from .._core.global_generators import generators_kept
from .._core.torch_internals import gradient_hooks, is_dtensor, local_tensor, own_buffers
from .._distributed.fsdp import sharded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# Of a class of its own, a container may not be changed by others as it is by itself. Those that
# torch keeps parameters, buffers, modules and hooks in are of these.
_CONTAINERS = frozenset(
    {dict, collections.OrderedDict, collections.defaultdict, list, set, collections.deque}
)


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Give a model and the generators of torch, Python and NumPy back what they had.

    Of the model these are its modules with their classes, hooks and attributes, the values of the
    buffers, which parameters there are and get gradients, their hooks, and the gradients: it has
    none meanwhile.
    """
    devices = {tensor.device for tensor in model.parameters() if tensor.is_cuda}
    with (
        torch.random.fork_rng(devices),
        generators_kept(),
        _kept_flags(model),
        _kept_values(model),
        _kept_modules(model),
    ):
        yield


@contextlib.contextmanager
def _kept_flags(model: nn.Module) -> Iterator[None]:
    """Training flags, and whether parameters get gradients, which they have, and their hooks."""
    modes = [(module, module.training) for module in model.modules()]
    leaves = [each for each in model.parameters() if each.is_leaf]
    kept = [(each, each.requires_grad, each.grad) for each in leaves]
    hooks = [(each, [dict(own or {}) for own in gradient_hooks(each)]) for each in leaves]
    for parameter in leaves:
        parameter.grad = None
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, requires_grad, gradient in kept:
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)
            parameter.grad = gradient
        for parameter, had in hooks:
            for now, before in zip(gradient_hooks(parameter), had, strict=True):
                if now is not None and _has_changed(now, before):
                    _give_back(now, before)


@contextlib.contextmanager
def _kept_values(model: nn.Module) -> Iterator[None]:
    """Running statistics and the like, which are written in place."""
    there = [each for module in model.modules() for each in dict(own_buffers(module)).values()]
    tensors = {id(each): each for each in there if each is not None and not each.is_meta}
    kept = [(each, each.detach().clone()) for each in tensors.values()]
    try:
        yield
    finally:
        with torch.no_grad(), contextlib.ExitStack() as stack:  # one that fails keeps no other
            for tensor, values in kept:
                stack.callback(_put_back, tensor, values)


@contextlib.contextmanager
def _kept_modules(model: nn.Module) -> Iterator[None]:
    """Classes and attributes of modules, and what these hold: modules and hooks among it."""
    # FSDP2 adds its hooks of state dicts in the first forward pass, and adds them once.
    left = "state_dict" if sharded(model.modules()) else None
    kept = [(module, type(module), _containers(module, left)) for module in model.modules()]
    try:
        yield
    finally:
        with contextlib.ExitStack() as stack:
            for module, kind, containers in kept:
                if type(module) is not kind:  # parametrized ones get a class of their own
                    stack.callback(setattr, module, "__class__", kind)
                for container, had in containers:
                    if _has_changed(container, had):
                        stack.callback(_give_back, container, had)


def _containers(module: nn.Module, left: str | None) -> list[tuple[Any, Any]]:
    """The attributes of a module, and those that are containers, each with a copy.

    Not those that have `left` in their name.
    """
    attributes = vars(module)
    own = [each for name, each in attributes.items() if left is None or left not in name]
    containers = [attributes, *(each for each in own if type(each) in _CONTAINERS)]
    return [(each, each.copy()) for each in containers]


def _has_changed(container: Any, had: Any) -> bool:
    """Whether it has something else than its copy, or in another order."""
    if len(container) != len(had):
        return True
    return not all(map(operator.is_, _flat(container), _flat(had)))


def _give_back(container: Any, had: Any) -> None:
    """Give a container what its copy has."""
    container.clear()
    add = getattr(container, "extend", None) or container.update
    add(had)


def _flat(container: Any) -> Iterator[Any]:
    if not isinstance(container, dict):
        yield from container
        return
    for pair in container.items():
        yield from pair


def _put_back(tensor: torch.Tensor, values: torch.Tensor) -> None:
    if tensor.shape != values.shape or tensor.dtype != values.dtype:
        tensor.data = values
    elif not _is_same(tensor, values):
        tensor.copy_(values)


def _is_same(tensor: torch.Tensor, values: torch.Tensor) -> bool:
    """Whether nothing has changed; a NaN equals any other."""
    if tensor.layout != torch.strided:
        return False
    if is_dtensor(tensor):
        tensor, values = local_tensor(tensor), local_tensor(values)
    if tensor.dtype.itemsize == 1:  # torch 2.4 compares no float8
        tensor, values = tensor.view(torch.uint8), values.view(torch.uint8)
    if torch.equal(tensor, values):
        return True
    both_nan = (tensor != tensor) & (values != values)
    return bool((both_nan | (tensor == values)).all())
