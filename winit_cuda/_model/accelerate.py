"""Existing code on our kernels: `torch.nn.init` and the random methods of tensors filled by ours.

Torch's functions and methods have hooks while a block or an installation lasts. Each call decides
for itself: whether it is this thread's, whether autograd or an onlooker has to see torch's own, and
whether ours takes the arguments. What is left goes to torch, errors included.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.overrides import handle_torch_function

from .. import init
from .._core import torch_init
from .._core.checks import WrongTypeError, is_from_below, unfit
from .._core.torch_internals import dispatches_itself, has_torch_function, is_dtensor, is_watched
from .._dispatch.single import fill
from .._fills.elementwise import NORMAL, UNIFORM
from .hooks import FunctionHook, MethodHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._fills.fill import Fill

# Constants are not among them: there ours is torch's `fill_`.
FUNCTIONS = (
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
)
# As they are when this package is imported; others may stand in their place when a block begins.
_TORCH_S = {name: getattr(torch.nn.init, name) for name in FUNCTIONS}

METHODS: dict[str, tuple[Fill, tuple[str, str]]] = {
    "normal_": (NORMAL, ("mean", "std")),
    "uniform_": (UNIFORM, ("from", "to")),
}

_Function = TypeVar("_Function", bound="Callable[..., Any]")
_Tensor, _Parameter = torch.Tensor, torch.nn.Parameter
_is_grad_enabled = torch.is_grad_enabled


class _Thread(threading.local):
    blocks = 0
    """How many blocks of `accelerate()` this thread is in."""


class _Hooks:
    """The hooks of the process, which are there as long as anybody wants them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._users = 0
        self._hooks: list[FunctionHook | MethodHook] = []
        self.installed = False

    def acquire(self) -> None:
        with self._lock:
            if self._users == 0:
                self._put()
            self._users += 1

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._remove()

    def install(self) -> None:
        with self._lock:
            if not self.installed:
                self.acquire()
                self.installed = True

    def uninstall(self) -> None:
        with self._lock:
            if self.installed:
                self.installed = False
                self.release()

    def _put(self) -> None:
        try:
            for name in FUNCTIONS:
                self._hooks.append(_hooked_function(name))
            for name in METHODS:
                self._hooks.append(_hooked_method(name))
        except BaseException:
            self._remove()
            raise

    def _remove(self) -> None:
        while self._hooks:
            self._hooks.pop().remove()


_hooks = _Hooks()
_thread = _Thread()


class Block(contextlib.ContextDecorator):
    """What `accelerate()` returns; it may be entered again, also while it lasts."""

    def __enter__(self) -> None:
        """Begin a block of this thread."""
        _hooks.acquire()
        _thread.blocks += 1

    def __exit__(self, *_: object) -> None:
        """End it, whatever was raised in it."""
        _thread.blocks -= 1
        _hooks.release()

    def __call__(self, func: _Function) -> _Function:
        """Have each call of a function be a block.

        Raises:
            TypeError: `func` does its work after the call has returned.
        """
        for is_later, kind in _LATER.items():
            if is_later(func):
                requirement = "an ordinary function; enter a block inside of this one"
                raise unfit("accelerate", "func", requirement, f"{kind} {func!r}", WrongTypeError)
        return super().__call__(func)


_LATER: dict[Callable[[object], bool], str] = {
    inspect.isgeneratorfunction: "the generator function",
    inspect.iscoroutinefunction: "the coroutine function",
    inspect.isasyncgenfunction: "the asynchronous generator function",
}


def accelerate() -> Block:
    """A context in which code that uses torch's initializers is filled by those of winit_cuda.

    `torch.nn.init` as it stands, however its functions were imported, and `Tensor.normal_` and
    `Tensor.uniform_`, also of `.data`, have the values of `winit_cuda.init` with a key from the
    generator: `torch.manual_seed(0)` rules. Blocks act on the thread that enters them; they may be
    nested, left by exceptions, and used as a decorator of functions, but not of generators and
    coroutines. Afterwards torch is as it was.

    Autograd stays torch's: outside of `torch.no_grad()` a leaf that requires grad raises, and what
    has a history records the fill. Errors stay torch's: what winit_cuda refuses goes to torch,
    which fills or raises as ever. Torch's own also run where it compiles, traces or transforms the
    code, under a TorchDispatchMode, for fake tensors, and for subclasses of Tensor that override
    torch's functions or operators, except DTensor. `torch.randn` and other functions that make
    tensors stay torch's, as do constants.

    Example:
        >>> import torch, winit_cuda as winit
        >>> with winit.accelerate():
        ...     _ = torch.manual_seed(0)
        ...     layer = torch.nn.Linear(64, 64)
        >>> _ = torch.manual_seed(0)
        >>> expected = winit.kaiming_uniform_(torch.empty(64, 64), a=5**0.5)
        >>> torch.equal(layer.weight, expected)
        True
    """
    return Block()


def install() -> None:
    """Do what `accelerate()` does for all threads of the process, until `uninstall()`.

    Installing twice is installing once.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.install()
        >>> _ = torch.manual_seed(0)
        >>> filled = torch.empty(100).normal_()
        >>> winit.uninstall()
        >>> _ = torch.manual_seed(0)
        >>> torch.equal(filled, winit.normal_(torch.empty(100)))
        True
    """
    _hooks.install()


def uninstall() -> None:
    """End what `install()` began; blocks of `accelerate()` go on. Without it, nothing happens.

    Example:
        >>> import winit_cuda as winit
        >>> winit.uninstall()
    """
    _hooks.uninstall()


def _is_torch_s(tensor: Any) -> bool:
    """Whether torch fills the tensor itself, as if there were no hooks.

    So on the threads that did not ask for them, inside of torch's own functions, where torch or a
    mode looks at the operators, and for classes of tensors that have rules of their own.
    """
    if not (_thread.blocks or _hooks.installed) or torch_init.thread.runs_torch or is_watched():
        return True
    kind = type(tensor)
    if kind is _Tensor or kind is _Parameter:
        return False
    if not isinstance(tensor, _Tensor) or _overrides_torch(tensor):
        return True
    return dispatches_itself(tensor) and not is_dtensor(tensor)


def _overrides_torch(tensor: torch.Tensor) -> bool:
    """Whether the class of a tensor overrides torch's functions; the modes are not asked."""
    return type(tensor).__torch_function__ is not _Parameter.__torch_function__


def _hooked_function(name: str) -> FunctionHook:
    function, ours = _TORCH_S[name], getattr(init, name)

    def make(own: Callable[..., Any]) -> Callable[..., Any]:
        def hook(tensor: Any, *args: Any) -> Any:
            if _is_torch_s(tensor):
                return own(tensor, *args)
            if has_torch_function(tensor):  # a mode, as `torch.device` is one: it calls this again
                return handle_torch_function(function, (tensor,), tensor, *args)
            try:
                return ours(tensor, *args)
            except (TypeError, ValueError, RuntimeError) as error:
                if not is_from_below(name, error):  # a signal handler's
                    raise
            with torch_init.torch_s_own():
                return own(tensor, *args)

        return hook

    return FunctionHook(function, make)


def _hooked_method(name: str) -> MethodHook:
    what, (first, second) = METHODS[name]
    known = {first, second, "generator"}

    def make(own: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            if (
                _is_torch_s(self)
                or (self.requires_grad and _is_grad_enabled())
                or has_torch_function(self)  # torch hands the mode this method, as torch.Tensor's
            ):
                return own(self, *args, **kwargs)
            numbers, generator = args, None
            if not (args or kwargs):
                numbers = (0.0, 1.0)
            elif kwargs:
                generator = kwargs.get("generator")
                rest = (kwargs.get(first, 0.0), kwargs.get(second, 1.0))
                numbers = (*args, *rest[len(args) :])
                given_twice = (first, second)[: len(args)]
                if not known.issuperset(kwargs) or any(each in kwargs for each in given_twice):
                    return own(self, *args, **kwargs)
            elif len(args) < 2:
                numbers = (*args, *(0.0, 1.0)[len(args) :])
            if len(numbers) != 2:
                return own(self, *args, **kwargs)
            try:
                return fill(what, name, self, numbers, generator)
            except (TypeError, ValueError, RuntimeError) as error:
                if not is_from_below(name, error):  # a signal handler's
                    raise
            return own(self, *args, **kwargs)

        # So that it pickles; who reads that without hooks gets torch's.
        method.__module__, method.__qualname__ = torch.__name__, f"Tensor.{name}"
        method.__name__ = name
        method.__doc__ = own.__doc__
        return method

    return MethodHook(name, make)
