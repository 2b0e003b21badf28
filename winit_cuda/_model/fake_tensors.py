"""What reading a constructor needs of torch's private names; nothing else in `_model` has any.

Fake tensors have a shape, a dtype, a device and a storage with an identity, but no memory.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
    in_kernel_invocation_manager,
)
from torch.nn.parameter import UninitializedParameter
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from .._core.torch_internals import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = ["NEED_VALUES", "FakeMode", "TorchDispatchMode"]

# What an operator raises on fake tensors where its result depends on values.
NEED_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)


class _Marked(torch.Tensor):
    _is_param = True


_PARAMETER_KIND: Any = type(nn.Parameter)
_IS_INSTANCE = _PARAMETER_KIND.__instancecheck__
_SEEM_LAZY = isinstance(torch.empty(0, device="cpu").as_subclass(_Marked), UninitializedParameter)
"""Whether parameters of other classes are instances of a lazy one's class, as in torch 2.4."""

_DETACH = torch.ops.aten.detach.default
_CREATIONS = frozenset(
    {
        torch.ops.aten.empty.memory_format,
        torch.ops.aten.ones.default,
        torch.ops.aten.zeros.default,
    }
)


class FakeMode(FakeTensorMode):  # type: ignore[no-untyped-call]
    """The mode in which new tensors are fake; real ones may take part.

    Tensors bring it along where modes do not reach, in other threads and where modes are switched
    off. So it sees what the mode above it does not.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.watching_thread: int | None = None
        """The thread in which the mode above hands on an operator."""
        self.has_missed_writes = False
        self.made: dict[int, torch.Tensor | weakref.ref[torch.Tensor]] | None = None
        """The tensors of the mode by their identity, where they are to be made real.

        `Module.to` swaps no parameter that has a weak reference, nor one that a view of it or what
        is computed from it still holds on to. So parameters, which are made by `detach`, are kept
        themselves, and all others by weak references.
        """
        blank: Any = self.from_tensor(torch.empty(0, device="cpu"))
        self.attributes = {*vars(blank), "_is_param", "cls_to_become"}
        """What fake tensors have of attributes that real ones have not."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, and note a write that comes from elsewhere."""
        if schema(func).is_mutable and self.watching_thread != get_ident():
            self.has_missed_writes = True
        found = self._run(func, types, args, kwargs or {})
        for tensor in found if isinstance(found, (tuple, list)) else (found,):
            if is_fake(tensor):
                self.keep(tensor, may_be_swapped=func is _DETACH)
        return found

    def keep(self, tensor: torch.Tensor, *, may_be_swapped: bool) -> None:
        """Count a fake tensor among those that the mode has made, where it counts them."""
        if self.made is None:
            return
        known = self.made.get(id(tensor))
        if known is tensor or (isinstance(known, weakref.ref) and known() is tensor):
            return
        self.made.pop(id(tensor), None)  # of one that is gone: the new one goes to the end
        self.made[id(tensor)] = tensor if may_be_swapped else weakref.ref(tensor)

    def _run(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        # Of each parameter; torch's mode comes to the same by way of a cache, which takes longer.
        if func in _CREATIONS:
            device = kwargs.get("device") or torch._C._get_default_device()  # noqa: SLF001
            return self._on_meta(func, args, {**kwargs, "device": "meta"}, device)
        if func is _DETACH and is_fake(args[0]) and not has_constant(args[0]):
            return self._on_meta(func, args, kwargs, args[0].device)
        return super().__torch_dispatch__(func, types, args, kwargs)

    def _on_meta(self, func: Any, args: Any, kwargs: Any, device: Any) -> torch.Tensor:
        with in_kernel_invocation_manager(self):
            made = func(*args, **kwargs)
        return FakeTensor(self, made, device)

    def living(self) -> list[torch.Tensor]:
        """The tensors that somebody still refers to, in the order of making.

        The mode keeps no more of them.
        """
        made, self.made = self.made or {}, None
        references = []
        while made:
            each = made.popitem()[1]
            references.append(each if isinstance(each, weakref.ref) else weakref.ref(each))
            del each
        found = [tensor for each in references[::-1] if (tensor := each()) is not None]
        for tensor in found:
            tensor._fix_weakref()  # type: ignore[attr-defined]  # noqa: SLF001
        return found


def is_fake(value: object) -> bool:
    """Whether it is a tensor without memory."""
    return isinstance(value, FakeTensor)


def has_constant(tensor: Any) -> bool:
    """Whether torch keeps the value of a fake tensor, as it does of `torch.tensor(1.0)`."""
    return tensor.constant is not None


def as_fake(mode: Any, tensor: torch.Tensor) -> torch.Tensor:
    """A fake tensor like a real one."""
    with without_modes():
        made: torch.Tensor = mode.from_tensor(tensor)
    mode.keep(made, may_be_swapped=False)
    return made


def keep_parameter(tensor: Any) -> None:
    """Have its mode keep a fake tensor that became a parameter in another way than others."""
    tensor.fake_mode.keep(tensor, may_be_swapped=True)


def become_real(fake: Any, real: Any) -> None:
    """Make a fake tensor a real one wherever it is referred to, with its attributes and hooks.

    As `torch.utils.swap_tensors`, but weak references, of which LSTM has some, stay right, too.

    Raises:
        RuntimeError: Something in torch holds on to it, as autograd does.
    """
    if fake._use_count() > 1:  # noqa: SLF001
        raise RuntimeError("something in torch holds on to it, as a graph of autograd does")
    hooks, later_hooks = fake._backward_hooks, fake._post_accumulate_grad_hooks  # noqa: SLF001
    vars(real).update(
        (name, each) for name, each in vars(fake).items() if name not in fake.fake_mode.attributes
    )
    fake.__class__, real.__class__ = real.__class__, fake.__class__
    fake.__dict__, real.__dict__ = real.__dict__, fake.__dict__
    torch._C._swap_tensor_impl(fake, real)  # noqa: SLF001
    if hooks:
        fake._backward_hooks = hooks  # noqa: SLF001
    if later_hooks:
        fake._post_accumulate_grad_hooks = later_hooks  # noqa: SLF001


@contextmanager
def none_lazy() -> Iterator[None]:
    """Let fake parameters seem lazy in no torch: `weight_norm` and `spectral_norm` refuse them."""

    def is_instance(kind: Any, value: Any) -> bool:
        return bool((_IS_INSTANCE if kind is nn.Parameter else type.__instancecheck__)(kind, value))

    if _SEEM_LAZY:
        _PARAMETER_KIND.__instancecheck__ = is_instance
    try:
        yield
    finally:
        if _SEEM_LAZY:
            _PARAMETER_KIND.__instancecheck__ = _IS_INSTANCE


def without_modes() -> AbstractContextManager[Any]:
    """Real tensors, as if no mode were active."""
    return _disable_current_modes()


def without_functions() -> AbstractContextManager[Any]:
    """Calls that no function mode sees."""
    return torch._C.DisableTorchFunction()  # noqa: SLF001


def storage_address(storage: torch.UntypedStorage) -> int:
    """What identifies a storage as long as it lives."""
    address: int = storage._cdata  # noqa: SLF001
    return address


def forget(mode: Any) -> None:
    """Drop the mode's weak references to tensors: `Module.to` swaps none that has any."""
    mode.fake_tensor_converter.meta_converter.tensor_memo.clear()
