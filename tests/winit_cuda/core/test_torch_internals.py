"""The undocumented names of torch do what winit_cuda takes them for."""

from __future__ import annotations

import torch
from torch._subclasses import FakeTensorMode
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode

from winit_cuda._core import torch_internals


def test_dispatch_modes():
    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    assert torch_internals.dispatch_modes() == 0
    with Mode(), Mode():
        assert torch_internals.dispatch_modes() == 2


def test_transforms():
    seen = []

    def function(x):
        seen.append(torch_internals.transforms_active())
        return x.sum()

    torch.func.vmap(function)(torch.ones(2, 3))
    torch.func.grad(function)(torch.ones(3))
    function(torch.ones(3))
    assert seen == [True, True, False]


def test_increment_version():
    tensor = torch.zeros(2)
    for version in (1, 2):
        torch_internals.increment_version((tensor,))
        assert tensor._version == version


def test_kinds_of_tensors():
    class Named(torch.Tensor):
        pass

    plain = torch.zeros(2)
    assert not torch_internals.dispatches_itself(plain)
    assert not torch_internals.dispatches_itself(torch.nn.Parameter(plain))
    assert not torch_internals.dispatches_itself(plain.as_subclass(Named))
    assert torch_internals.dispatches_itself(TwoTensor(plain, plain))
    assert not torch_internals.is_tracing_tensor(plain)
    assert not torch_internals.is_dtensor(plain)
    with FakeTensorMode():
        assert torch_internals.is_tracing_tensor(torch.zeros(2))
    assert torch_internals.is_zero_tensor(torch._efficientzerotensor(2))
    assert not torch_internals.is_zero_tensor(plain)


def test_torch_has_the_names():
    """Where one goes, the code falls back in silence: this is where it is noticed."""
    for name in ("_len_torch_dispatch_stack", "_are_functorch_transforms_active"):
        assert hasattr(torch._C, name)
    if torch.version.cuda is not None:
        assert hasattr(torch._C, "_cuda_getCurrentRawStream")
