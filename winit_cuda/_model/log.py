"""What a constructor did: every operator that created or wrote a storage, in order.

A tensor is known by its storage and where its elements lie in it, not as an object: views, detached
tensors and parameters of one memory are one thing here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from .._core.torch_internals import schema

if TYPE_CHECKING:
    from collections.abc import Callable

# Operators that write all of a tensor without a look at what it held.
_OVERWRITE = frozenset(
    {
        "bernoulli_",
        "cauchy_",
        "exponential_",
        "fill_",
        "geometric_",
        "log_normal_",
        "normal_",
        "random_",
        "uniform_",
        "zero_",
    }
)
# In training they update the running statistics, which their schemas do not say.
BATCH_NORMS = frozenset(f"aten::{kind}_batch_norm" for kind in ("native", "cudnn", "miopen"))

# The name of a step that is an initializer, called with a tensor.
INITIALIZER = "initializer"
# The name of a step from which a tensor stands in the place of one with memory. Its values are
# known, but no law is read of them, and no plan has them.
STAND_IN = "stand-in"


class Layout(NamedTuple):
    """Where the elements of a tensor lie in its storage, in elements of its dtype."""

    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def last(self) -> int:
        """Where the last element lies."""
        steps = zip(self.shape, self.stride, strict=True)
        return self.offset + sum((size - 1) * stride for size, stride in steps)

    @property
    def is_injective(self) -> bool:
        """Whether no two elements lie in one place, as they do in an expanded tensor."""
        reach = 0
        for stride, size in sorted(zip(self.stride, self.shape, strict=True)):
            if size > 1:
                if stride <= reach:
                    return False
                reach += (size - 1) * stride
        return True

    @property
    def is_dense(self) -> bool:
        """Whether it has every element between its first and its last, once."""
        steps = zip(self.stride, self.shape, strict=True)
        expected = 1
        for stride, size in sorted(step for step in steps if step[1] != 1):
            if stride != expected:
                return False
            expected *= size
        return True


@dataclass(frozen=True, slots=True)
class View:
    """A tensor: a storage, by its number in the log, and where in it the elements lie."""

    storage: int
    dtype: torch.dtype
    layout: Layout

    @property
    def numel(self) -> int:
        """How many elements it has."""
        return math.prod(self.layout.shape)

    def meets(self, other: View) -> bool:
        """Whether the two may have an element in common."""
        if self.storage != other.storage or not self.numel or not other.numel:
            return False
        if self.dtype.itemsize != other.dtype.itemsize:
            return True
        one, two = self.layout, other.layout
        return one.offset <= two.last and two.offset <= one.last

    def covers(self, other: View) -> bool:
        """Whether it surely has all elements of the other."""
        same = self.storage == other.storage and self.dtype.itemsize == other.dtype.itemsize
        if not same or self.layout == other.layout or not other.numel:
            return same
        one, two = self.layout, other.layout
        return one.is_dense and one.offset <= two.offset and two.last <= one.last


@dataclass(frozen=True)
class Outside:
    """A tensor with memory, which the constructor got from elsewhere."""

    tensor: torch.Tensor


class Line(NamedTuple):
    """A line of code."""

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number} in {self.function}"


@dataclass(eq=False)
class Step:
    """One operator, or one of torch.nn.init's functions that is known as a whole."""

    name: str
    operator: Any
    """torch's operator; None for a function known as a whole."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: list[View]
    writes: list[View]
    line: Line | None
    """Where the user's code was."""
    scheme: tuple[str, dict[str, Any]] | None = None
    """The function of torch.nn.init that called the operator, with its arguments."""
    is_random: bool = False
    index: int = -1
    default_dtype: torch.dtype = torch.float32
    """Torch's when it ran, which decides what `arange(4) / 3` is."""

    @property
    def reads(self) -> list[View]:
        """All tensors among the arguments."""
        return views((self.args, self.kwargs))

    @property
    def _inputs(self) -> list[View]:
        """The tensors among the arguments but for those that it is to write."""
        if not schema(self.operator).is_mutable:
            return []  # what it writes is new
        given = {name: value for name, value in self.kwargs.items() if name != "out"}
        return views((self.args if "out" in self.kwargs else self.args[1:], given))

    @property
    def overwrites(self) -> bool:
        """Whether what it writes does not depend on what was there."""
        if self.operator is None:
            return True
        if f"aten::{self.name}" in BATCH_NORMS:
            return False
        if any(read.meets(write) for read in self._inputs for write in self.writes):
            return False  # as in clamp(w, -1, 1, out=w)
        if self.name in _OVERWRITE:
            return True
        if self.name == "copy_":
            return all(view.storage != self.writes[0].storage for view in views(self.args[1:]))
        return not schema(self.operator).is_mutable or "out" in self.kwargs


@dataclass
class Log:
    """All steps, and which of them write a storage."""

    steps: list[Step] = field(default_factory=list)
    writers: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    nbytes: dict[int, int] = field(default_factory=dict)
    """The size of each storage."""
    warnings: list[str] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Append a step."""
        step.index = len(self.steps)
        self.steps.append(step)
        for storage in {view.storage for view in step.writes}:
            self.writers[storage].append(step.index)

    def writes_of(self, view: View, before: int) -> tuple[Step | None, list[Step]]:
        """The last step that wrote all of a tensor anew, and those that wrote in it later."""
        later: list[Step] = []
        for index in reversed(self.writers[view.storage]):
            step = self.steps[index]
            if index >= before or not any(written.meets(view) for written in step.writes):
                continue
            if step.overwrites and any(written.covers(view) for written in step.writes):
                return step, later[::-1]
            later.append(step)
        return None, later[::-1]

    def needed(self, view: View, before: int) -> list[Step]:
        """The steps from which a tensor's values follow, in order."""
        found: set[int] = set()
        todo = [(view, before)]
        done = set()
        while todo:
            wanted, limit = todo.pop()
            if (wanted, limit) in done:
                continue
            done.add((wanted, limit))
            base, later = self.writes_of(wanted, limit)
            if base is None:  # a storage that was never written whole has its allocation
                later = self._allocation(wanted.storage, limit) + later
            for step in later if base is None else [base, *later]:
                if step.index not in found:
                    found.add(step.index)
                    todo += [(read, step.index) for read in self._sources(step)]
        return [self.steps[index] for index in sorted(found)]

    def _allocation(self, storage: int, before: int) -> list[Step]:
        return [self.steps[index] for index in self.writers[storage][:1] if index < before]

    @staticmethod
    def _sources(step: Step) -> list[View]:
        """What a step reads, but for the tensor that it writes over."""
        if not step.overwrites:
            return step.reads
        return [view for view in step.reads if view not in step.writes]


def box_of(view: View, part: View) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Offsets and sizes of a part among the elements of a tensor; None where it is no box."""
    shape, stride = view.layout.shape, view.layout.stride
    if not view.layout.is_dense:
        return None
    offsets, sizes = [0] * len(shape), [1] * len(shape)
    left = part.layout.offset - view.layout.offset
    dims = [dim for dim in range(len(shape)) if shape[dim] > 1]
    for dim in sorted(dims, key=lambda dim: -stride[dim]):
        offsets[dim], left = divmod(left, stride[dim])
    own = [each for each in zip(part.layout.shape, part.layout.stride, strict=True) if each[0] > 1]
    place = -1
    for size, step in own:
        found = [dim for dim in dims if stride[dim] == step]
        if len(found) != 1 or found[0] <= place or offsets[found[0]] + size > shape[found[0]]:
            return None
        place = found[0]
        sizes[place] = size
    return tuple(offsets), tuple(sizes)


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Nested arguments with each value replaced by that of a function."""
    if isinstance(value, (tuple, list)):
        return type(value)([mapped(function, each) for each in value])
    if isinstance(value, dict):
        return {key: mapped(function, each) for key, each in value.items()}
    return function(value)


def views(value: Any) -> list[View]:
    """All tensors of the log in nested arguments."""
    if isinstance(value, View):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (tuple, list)):
        return []
    return [view for each in value for view in views(each)]
