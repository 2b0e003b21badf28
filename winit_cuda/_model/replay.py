"""Steps of a log run again, on tensors with memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .log import INITIALIZER, Log, Outside, Step, View, mapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    # Writes what a random step draws, or returns False to leave it to torch's generator.
    Draw = Callable[[Step, "Memory"], bool]

# What a constructor may ask to be computed of its tensors while it runs.
MOST_BYTES = 1 << 30


class Memory:
    """The storages of a log, each with memory once it is needed."""

    def __init__(self, nbytes: Mapping[int, int]) -> None:
        self._nbytes = nbytes
        self._storages: dict[int, Any] = {}

    def tensor(self, view: View) -> torch.Tensor:
        """A tensor of the log, with memory."""
        if view.storage not in self._storages:
            size = self._nbytes[view.storage]
            made = torch.zeros(size, dtype=torch.uint8, device="cpu")
            self._storages[view.storage] = made.untyped_storage()
        offset, shape, stride = view.layout
        empty = torch.empty(0, dtype=view.dtype, device="cpu")
        return empty.set_(self._storages[view.storage], offset, shape, stride)

    def play(self, step: Step) -> None:
        """Run one step again, random ones by torch's generator."""
        if step.operator is None:
            function = step.kwargs.get(INITIALIZER)
            if function is not None:
                function(self.tensor(step.writes[0]))
            else:
                getattr(nn.init, step.name)(self.tensor(step.writes[0]), **step.kwargs)
            return
        if step.name.startswith(("empty", "new_empty")):
            return  # what nothing writes is 0
        args, kwargs = mapped(self.real, (step.args, step.kwargs))
        with torch.no_grad(), _default_dtype(step.default_dtype):
            found = step.operator(*args, **kwargs)
        tensors = found if isinstance(found, (tuple, list)) else (found,)
        results = [tensor for tensor in tensors if isinstance(tensor, torch.Tensor)]
        for view, tensor in zip(step.results, results, strict=True):
            if view.storage not in self._storages:
                self.tensor(view).copy_(tensor)

    def real(self, value: Any) -> Any:
        if isinstance(value, View):
            return self.tensor(value)
        if isinstance(value, Outside):
            return value.tensor
        if isinstance(value, torch.device):
            return torch.device("cpu")
        return None if isinstance(value, torch.Generator) else value


def played(nbytes: Mapping[int, int], steps: Iterable[Step], draw: Draw | None = None) -> Memory:
    """The memory after these steps."""
    memory = Memory(nbytes)
    with torch.autocast("cpu", enabled=False):  # its casts are steps of the log
        for step in steps:
            if draw is None or not step.is_random or not draw(step, memory):
                memory.play(step)
    return memory


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    if before is dtype:
        yield
        return
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def values(log: Log, steps: list[Step], view: View) -> torch.Tensor:
    """The values of a tensor by the steps from which they follow."""
    check_size(log.nbytes, steps)
    with torch.random.fork_rng(devices=[]):
        return played(log.nbytes, steps, _by_step()).tensor(view)


def result(log: Log, steps: list[Step], operator: Any, args: Any, kwargs: Any) -> Any:
    """The result of an operator on values."""
    check_size(log.nbytes, steps)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        memory = played(log.nbytes, steps, _by_step())
        args, kwargs = mapped(memory.real, (args, kwargs))
        return operator(*args, **kwargs)


def _by_step() -> Draw:
    """Seeds of their own for random steps: the same for a step that is read again.

    Else each draw would have the same values, and a constructor that draws until they suit it would
    never end.
    """
    start = int(torch.randint(1 << 62, (), device="cpu"))

    def draw(step: Step, _: Memory) -> bool:
        torch.default_generator.manual_seed(start + step.index)
        return False

    return draw


def check_size(nbytes: Mapping[int, int], steps: Iterable[Step]) -> None:
    """Raise where the steps need more memory than a plan may."""
    storages = {view.storage for step in steps for view in step.writes}
    size = sum(nbytes[storage] for storage in storages)
    if size > MOST_BYTES:
        raise RuntimeError(
            f"plan: the constructor reads a value that takes {size / 2**30:.1f} GiB to compute"
        )
