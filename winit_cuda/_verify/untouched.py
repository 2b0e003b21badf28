"""A model and generators that are afterwards as they were, whatever runs in between."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from .._core.global_generators import generators_kept
from .._core.torch_internals import is_dtensor, local_tensor, own_buffers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Give a model and the generators of torch, Python and NumPy back what they had.

    Of the model these are the buffers, the training flags, which parameters get gradients, and the
    gradients: it has none meanwhile.
    """
    devices = {tensor.device for tensor in model.parameters() if tensor.is_cuda}
    torchs = torch.random.fork_rng(devices)
    with torchs, generators_kept(), _kept_flags(model), _kept_buffers(model):
        yield


@contextlib.contextmanager
def _kept_flags(model: nn.Module) -> Iterator[None]:
    """Training flags, and whether parameters get gradients and which they have."""
    modes = [(module, module.training) for module in model.modules()]
    leaves = [each for each in model.parameters() if each.is_leaf]
    kept = [(each, each.requires_grad, each.grad) for each in leaves]
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


@contextlib.contextmanager
def _kept_buffers(model: nn.Module) -> Iterator[None]:
    """Running statistics and the like: their values, and which of them there are."""
    there = [(module, dict(own_buffers(module))) for module in model.modules()]
    tensors = {id(one): one for _, own in there for one in own.values() if one is not None}
    kept = [(one, one.detach().clone()) for one in tensors.values() if not one.is_meta]
    try:
        yield
    finally:
        for module, own in there:
            buffers = own_buffers(module)
            for name in buffers.keys() - own.keys():
                del buffers[name]
            for name, tensor in own.items():
                if buffers.get(name) is not tensor:
                    buffers[name] = tensor
        with torch.no_grad(), contextlib.ExitStack() as stack:  # one that fails keeps no other
            for tensor, values in kept:
                stack.callback(_put_back, tensor, values)


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
