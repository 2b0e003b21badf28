"""A constructor run on fake tensors, with a log of what it does.

No code is patched: a dispatch mode above the fake tensors sees every operator, and the frames on
the stack tell which of torch.nn.init's functions called it. What needs values is computed from the
log, by the few steps from which they follow.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from .._core.checks import wrong
from .._core.global_generators import generators_kept
from .._core.torch_internals import schema
from . import frames, replay
from .fake_tensors import (
    NEED_VALUES,
    FakeMode,
    TorchDispatchMode,
    as_fake,
    forget,
    has_constant,
    is_fake,
    none_lazy,
    storage_address,
    without_functions,
    without_modes,
)
from .functions import FunctionMode
from .log import BATCH_NORMS, INITIALIZER, Layout, Line, Log, Outside, Step, View, mapped, views
from .own_fills import OPERATOR, initializer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

# They write what is there, and on fake tensors nothing.
_FILLS = frozenset({"normal_", "uniform_", "fill_", "zero_", "exponential_"})
# They change where a tensor's elements are, or how it is differentiated, and write none.
_LAYOUTS = frozenset({"detach_", "set_", "transpose_", "t_", "squeeze_", "unsqueeze_", "swapaxes_"})
# The value of a tensor of one element; inference mode has another two names for it.
_READS = frozenset({"_local_scalar_dense", "item", "is_nonzero"})
# Results are Python's, so values are needed.
_QUESTIONS = frozenset({"equal", "is_nonzero", "allclose"})


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Logs every operator that creates or writes a storage."""

    def __init__(self, log: Log, mode: FakeMode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log, self.mode = log, mode
        self._numbers: dict[int, int] = {}
        self._shared: list[tuple[torch.Tensor, torch.Tensor, Line | None]] = []
        self._storages: list[Any] = []  # kept, so that no other storage gets the identity of one
        self._whole: FrameType | None = None

    def view(self, tensor: torch.Tensor) -> View:
        """A fake tensor as the log knows it."""
        storage = tensor.untyped_storage()
        address = storage_address(storage)
        number = self._numbers.get(address)
        if number is None:
            number = self._numbers[address] = len(self._storages)
            self._storages.append(storage)
        self.log.nbytes[number] = max(self.log.nbytes.get(number, 0), storage.nbytes())
        layout = Layout(int(tensor.storage_offset()), tuple(tensor.shape), tuple(tensor.stride()))
        return View(number, tensor.dtype, layout)

    def known(self, tensor: torch.Tensor) -> View | None:
        """Any tensor as the log knows it; one with memory as data. None for one on meta or lazy."""
        if is_fake(tensor):
            return self.view(tensor)
        if is_lazy(tensor):
            return None
        return None if tensor.is_meta else self.view(self._data(tensor.detach()))

    def values(self, tensor: torch.Tensor) -> torch.Tensor:
        """The values of a fake tensor, computed by the steps from which they follow."""
        view = self.view(tensor)
        steps = self.log.needed(view, len(self.log.steps))
        if any(step.is_random for step in steps):
            line = frames.stack()[0]
            self.log.warnings.append(
                f"a random value is read, the plan holds for one of it: {line}"
            )
        with without_modes(), without_functions():
            return replay.values(self.log, steps, view)

    def end(self) -> None:
        """Let go of the constructor's frames."""
        self._whole = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.mode.watching_thread = get_ident()
        try:
            return self._dispatch(func, args, kwargs or {})
        finally:
            self.mode.watching_thread = None
            forget(self.mode)

    def _dispatch(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = schema(func).name.removeprefix("aten::")
        if name == "detach" and is_fake(args[0]):
            return func(*args, **kwargs)  # of every parameter, and writes nothing
        line, whole, scheme = frames.stack()
        given = [value for value in _flat((args, kwargs)) if isinstance(value, torch.Tensor)]
        if given and not any(map(is_fake, given)) and not name.startswith("lift"):
            if torch.Tag.nondeterministic_seeded in func.tags:
                self._frozen("torch's generator", line)
            with without_modes():  # tensors with memory stay so
                return func(*args, **kwargs)
        if whole is not None:
            if whole is not self._whole:
                self._add_whole(whole, line)
            self._whole = whole
            if name in _READS and args[0].dtype is torch.bool:
                return False  # nothing is left to be drawn again
            return _on_fakes(func, name, args, kwargs)
        self._whole = None
        if name == OPERATOR and self._add_own(args, line):
            return None
        arguments = mapped(self._argument, (args, kwargs)) if given else (args, kwargs)
        if name.startswith("lift") and not is_fake(args[0]):
            self._shared.append((args[0], arguments[0][0].tensor, line))
        if name in _QUESTIONS:
            return self._computed(func, arguments, line)
        written = written_by(func, args, kwargs)
        if any(not is_fake(tensor) for tensor in written):
            # A tensor with memory, written by values.
            self._computed(func, mapped(self._argument_itself, (args, kwargs)), line)
            return args[0]
        try:
            found = _on_fakes(func, name, args, kwargs)
        except NEED_VALUES:
            return self._computed(func, arguments, line)
        if name not in _LAYOUTS:
            self._add(func, name, arguments, found, written, line, scheme)
        return found

    def _argument(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if is_fake(value):
            return self.view(value)
        with without_modes():  # a copy: whoever has the memory may write to it again
            return Outside(value.detach().clone())

    def check_shared(self) -> None:
        """Raise where memory that became a tensor, of NumPy's say, was written afterwards."""
        for memory, values, line in self._shared:
            with without_modes():
                is_same = torch.equal(_bits(memory), _bits(values))
            if not is_same:
                raise RuntimeError(
                    "plan: memory that is shared with a tensor is written after the tensor was "
                    f"made, which cannot be followed: give torch a copy of it, at {line}"
                )

    def _argument_itself(self, value: Any) -> Any:
        """The same, for an operator that is to write it."""
        if not isinstance(value, torch.Tensor) or is_fake(value):
            return self._argument(value)
        return Outside(value)

    def _add(self, func: Any, name: str, arguments: Any, found: Any, written: Any,
             line: Any, scheme: Any) -> None:  # fmt: skip
        before = len(self._storages)
        writes = [self.view(tensor) for tensor in written]
        results = writes
        if len(written) != 1 or found is not written[0]:
            tensors = found if isinstance(found, (tuple, list)) else (found,)
            results = [self.view(tensor) for tensor in tensors if is_fake(tensor)]
            writes += [view for view in results if view.storage >= before]
        if writes:
            is_random = torch.Tag.nondeterministic_seeded in func.tags
            args, kwargs = arguments
            known = frames.scheme_call(scheme)
            step = Step(name, func, args, kwargs, results, writes, line, known, is_random)
            step.default_dtype = torch.get_default_dtype()
            self.log.add(step)

    def _add_whole(self, frame: FrameType, line: Line | None) -> None:
        name, tensor, numbers = frames.whole_call(frame)
        if is_fake(tensor):
            view = self.view(tensor)
            is_random = name not in ("dirac_", "eye_")
            step = Step(name, None, (view,), numbers, [view], [view], line, None, is_random)
            self.log.add(step)

    def _add_own(self, args: Any, line: Line | None) -> bool:
        """Log a call of this package's, if an initializer says what it writes."""
        initializer = initializer_of(args)
        if initializer is None or not is_fake(args[0]):
            return False
        view = self.view(args[0])
        given = {"initializer": initializer}
        is_random = initializer.law(view.layout.shape).fill.is_random
        self.log.add(Step(INITIALIZER, None, (view,), given, [view], [view], line, None, is_random))
        return True

    def _computed(self, func: Any, arguments: Any, line: Line | None) -> Any:
        """The result of an operator on values."""
        args, kwargs = arguments
        reads = views(arguments)
        steps = {s.index: s for v in reads for s in self.log.needed(v, len(self.log.steps))}
        ordered = [steps[index] for index in sorted(steps)]
        if any(step.is_random for step in ordered):
            self.log.warnings.append(
                f"a random value is read, the plan holds for one of it: {line}"
            )
        with without_modes(), without_functions():
            found = replay.result(self.log, ordered, func, args, kwargs)
        return mapped(self._data, found)

    def _data(self, value: Any) -> Any:
        """A tensor of values as a fake one, whose values the log keeps."""
        if not isinstance(value, torch.Tensor):
            return value
        made = as_fake(self.mode, value)
        view = self.view(made)
        clone = torch.ops.aten.clone.default
        self.log.add(Step("clone", clone, (Outside(value),), {}, [view], [view], frames.stack()[0]))
        return made

    def _frozen(self, generator: str, line: Line | None) -> None:
        self.log.warnings.append(
            f"values are drawn from {generator} outside of the model, "
            f"and are the same for every seed: {line}"
        )


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


@contextmanager
def tracing(*, is_to_be_real: bool = False) -> Iterator[Tracer]:
    """Log what the block does, on fake tensors. Generators are left as they were.

    Where tensors are to be made real, the mode keeps them, and a GPU that is not there is an error,
    as it is of the constructor.
    """
    log = Log()
    mode = FakeMode()
    mode.made = {} if is_to_be_real else None
    tracer = Tracer(log, mode)
    functions = FunctionMode(tracer.values, is_to_be_real=is_to_be_real)
    try:
        with _generators_kept(log), none_lazy(), mode, tracer, functions:
            yield tracer
    finally:
        mode.made = None  # else mode and tensors would keep each other
    if mode.has_missed_writes:
        raise RuntimeError(
            "plan: the constructor writes tensors where torch's dispatch modes do not reach, as in "
            "another thread, and cannot be read"
        )


@contextmanager
def trace(
    factory: Callable[[], Any], *, is_to_be_real: bool = False
) -> Iterator[tuple[nn.Module, Tracer]]:
    """Call a constructor on fake tensors; the block may look at the model as the constructor did.

    Generators are left as they were.
    """
    with tracing(is_to_be_real=is_to_be_real) as tracer:
        model = _made(factory)
        tracer.end()
        tracer.check_shared()
        yield model, tracer


def _made(factory: Callable[[], Any]) -> nn.Module:
    try:
        model = factory()
    except Exception as error:
        raise RuntimeError(
            f"plan: the constructor failed on fake tensors, {frames.described(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise wrong("plan", "what the factory returns", "a torch.nn.Module", model, TypeError)
    return model


@contextmanager
def _generators_kept(log: Log) -> Iterator[None]:
    """Set the generators of the process back, and tell of those that were used."""
    cpu = torch.get_rng_state()
    try:
        with generators_kept() as used:
            yield
        for generator in used:
            log.warnings.append(f"random values of {generator} are the same for every seed")
    finally:
        if not torch.equal(torch.get_rng_state(), cpu):
            log.warnings.append(
                "torch's generator was seeded, or drawn from beside the model: "
                "that has no effect on the plan"
            )
            torch.set_rng_state(cpu)


def _flat(value: Any) -> list[Any]:
    found: list[Any] = []
    mapped(found.append, value)
    return found


def written_by(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors that an operator writes in place."""
    written = []
    for index, name in _written_arguments(func):
        given = args[index] if index < len(args) else kwargs.get(name)
        written += [each for each in _flat(given) if isinstance(each, torch.Tensor)]
    if schema(func).name in BATCH_NORMS and args[5]:
        written += [each for each in args[3:5] if each is not None]
    return written


@functools.cache
def _written_arguments(func: Any) -> list[tuple[int, str]]:
    """Place and name of each argument that an operator writes."""
    arguments = enumerate(schema(func).arguments)
    return [(i, one.name) for i, one in arguments if one.alias_info and one.alias_info.is_write]


def _on_fakes(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """The operator on fake tensors; fills have nothing to do there."""
    if name in _FILLS and is_fake(args[0]) and not has_constant(args[0]):
        return args[0]
    return func(*args, **kwargs)
