"""A model of fake tensors made real: every tensor that its constructor has left gets memory.

A tensor becomes another one in its place, so whatever refers to it is right at once: parameters,
lists, closures, caches. One real storage stands for each that the trace knows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .._core.checks import warn, wrong
from .fake_tensors import become_real, is_fake
from .read import look_at, read
from .slots import Slot
from .trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from .entries import Entry
    from .log import View

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_STORAGES = (torch.UntypedStorage, torch.TypedStorage)


@dataclass(frozen=True)
class Traced:
    """A model on fake tensors, with what its tensors are to hold."""

    model: nn.Module
    slots: list[Slot]
    """Its parameters and buffers, then the other tensors that need values of their own."""
    entries: list[Entry]
    """Those of the slots."""
    planned: int
    """How many of them are parameters and buffers."""
    empty: set[int]
    """The identities of those that are to be filled: others have values, or memory of these."""
    _living: dict[int, tuple[torch.Tensor, View]]
    """All fake tensors that something refers to, in the order of making, by their identity."""
    _names: dict[int, str]
    _function: str
    """Which one errors name."""
    _nbytes: dict[int, int]

    def become_real(self, on_meta: Collection[torch.Tensor] = ()) -> None:
        """Give all tensors but those on meta memory, which nothing has written yet."""
        without = set(map(id, on_meta))
        storages: dict[int, Any] = {}
        latest_first = list(self._living.values())[::-1]
        # What is computed from others holds on to them, and so do views, which are made later.
        for fake, view in sorted(latest_first, key=lambda each: each[0].is_leaf):
            self._make_real(fake, view, None if id(fake) in without else storages)

    def _make_real(self, fake: torch.Tensor, view: View, storages: dict[int, Any] | None) -> None:
        try:
            if storages is None:
                become_real(fake, _on_meta(fake, view))
                return
            if view.storage not in storages:
                size = self._nbytes[view.storage]
                made = torch.empty(size, dtype=torch.uint8, device=fake.device)
                storages[view.storage] = made.untyped_storage()
            become_real(fake, _like(fake, view, storages[view.storage]))
        except (RuntimeError, AssertionError) as error:  # torch asserts that it has CUDA
            raise _cannot(self._function, self._names, fake, str(error)) from error


def _like(fake: torch.Tensor, view: View, storage: Any) -> torch.Tensor:
    """A tensor in this memory as a fake one is in its own."""
    real = torch.empty(0, dtype=view.dtype, device=fake.device)
    return _as(fake, real.set_(storage, *view.layout))


def _on_meta(fake: torch.Tensor, view: View) -> torch.Tensor:
    _, shape, stride = view.layout
    return _as(fake, torch.empty_strided(shape, stride, dtype=view.dtype, device="meta"))


def _as(fake: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """A tensor with what a fake one is to autograd."""
    if isinstance(fake, nn.Parameter):
        return nn.Parameter(made, fake.requires_grad)
    return made.requires_grad_(fake.requires_grad)


def traced(factory: Callable[[], Any], function: str) -> Traced:
    """Construct a model on fake tensors, and read it; errors name the function."""
    with trace(factory, is_to_be_real=True) as (model, tracer):
        _check_is_made(function, model, factory)
        made = look_at(model, tracer)
        living = tracer.mode.living()
        living += [
            _span(tensor) for tensor in living if not tracer.view(tensor).layout.is_injective
        ]
    found = _reachable(model)
    names = {id(tensor): path for path, tensor in found}
    _check(function, living, found, names)
    _warn_of_history(function, living, names)
    views = {id(tensor): (tensor, tracer.view(tensor)) for tensor in living}
    own = [*made.parameters, *made.buffers]
    claimed = _Claimed()
    empty = claimed.of_each([slot.tensor for slot, _ in own], views)
    # Those of parametrizations, which follow from the weights.
    claimed.of_each([*model.parameters(), *model.buffers()], views)
    others = _others(model, views, claimed, names, {slot.name for slot, _ in own})
    slots = [slot for slot, _ in (*own, *others)]
    empty |= {id(slot.tensor) for slot, _ in others}
    entries = read(made._replace(others=others), function)
    return Traced(model, slots, entries, len(own), empty, views, names, function, made.log.nbytes)


def _check_is_made(function: str, model: nn.Module, factory: Callable[[], Any]) -> None:
    """Raise where a factory hands out what exists, as `lambda: model` does."""
    tensors = [*model.parameters(), *model.buffers()]
    if not tensors or any(map(is_fake, tensors)):
        return
    # New modules may have tensors that exist, as `Embedding.from_pretrained` makes them. Only a
    # factory that hands out modules that exist hands out the same ones again.
    if _modules_with_tensors(model) & _modules_with_tensors(factory()):
        requirement = "a callable that makes the model (initialize takes one that exists)"
        raise wrong(function, "factory", requirement, factory)


def _modules_with_tensors(model: nn.Module) -> set[nn.Module]:
    names = [name for name, _ in (*model.named_parameters(), *model.named_buffers())]
    return {model.get_submodule(name.rpartition(".")[0]) for name in names}


def _span(tensor: torch.Tensor) -> torch.Tensor:
    """All memory of a tensor that has elements more than once, as an expanded one, each once."""
    dims = zip(tensor.shape, tensor.stride(), strict=True)
    size = 1 + sum((size - 1) * stride for size, stride in dims)
    return tensor.detach().as_strided((size,), (1,))


class _Claimed:
    """The memory of tensors that are filled."""

    def __init__(self) -> None:
        self._views: dict[int, list[View]] = defaultdict(list)

    def is_new(self, view: View) -> bool:
        """Whether the view has memory that none before has; from now on it is claimed.

        A view that has an element twice claims nothing: its `_span` does.
        """
        views = self._views[view.storage]
        is_empty = view.numel == 0 or not view.layout.is_injective
        if is_empty or any(each.covers(view) for each in views):
            return False
        views.append(view)
        return True

    def of_each(
        self, tensors: list[torch.Tensor], views: dict[int, tuple[torch.Tensor, View]]
    ) -> set[int]:
        """The identities of those that are new, the largest first."""
        known = {id(tensor): views[id(tensor)][1] for tensor in tensors if id(tensor) in views}
        largest_first = sorted(known.items(), key=lambda each: -each[1].numel)
        return {identity for identity, view in largest_first if self.is_new(view)}


def _cannot(function: str, names: dict[int, str], tensor: Any, reason: str) -> RuntimeError:
    what = names.get(id(tensor))
    if what is None:
        what = f"a tensor of shape {tuple(tensor.shape)} that no attribute has"
    return RuntimeError(f"{function}: {what} cannot be made real: {reason}")


def _check(
    function: str,
    living: list[torch.Tensor],
    found: list[tuple[str, Any]],
    names: dict[int, str],
) -> None:
    """Raise, before anything is changed, where a tensor cannot be made a real one."""
    known = {id(tensor) for tensor in living}
    for _, each in found:
        if is_fake(each) and id(each) not in known:
            reason = "it is one of another plan or build, which the constructor has kept or called"
            raise _cannot(function, names, each, reason)
        if isinstance(each, _STORAGES) and each.device.type == "meta":
            reason = "it is the storage of a tensor, keep the tensor instead"
            raise _cannot(function, names, each, reason)
    for tensor in living:
        if tensor.is_meta:
            raise _cannot(function, names, tensor, "it is on meta")
        if tensor.layout is not torch.strided or tensor.is_conj() or tensor.is_neg():
            raise _cannot(function, names, tensor, "its memory is not laid out by strides")
        if tensor.is_leaf and tensor.grad is not None:
            raise _cannot(function, names, tensor, "it has a gradient")


def _warn_of_history(function: str, living: list[torch.Tensor], names: dict[int, str]) -> None:
    """Tell of tensors that autograd knows the history of, which goes with the trace."""
    for tensor in living:
        if not tensor.is_leaf and id(tensor) in names:
            name = names[id(tensor)]
            warn(f"{function}: {name} is computed from parameters, and has no gradient to them")


def _others(
    model: nn.Module,
    living: dict[int, tuple[torch.Tensor, View]],
    claimed: _Claimed,
    names: dict[int, str],
    used: set[str],
) -> list[tuple[Slot, View | None]]:
    """The tensors with memory of their own that are neither parameters nor buffers."""
    others: list[tuple[Slot, View | None]] = []
    for tensor, view in sorted(living.values(), key=lambda each: -each[1].numel):
        if claimed.is_new(view):
            name = names.get(id(tensor), "")
            if not name or name in used:  # as by a dict with dots in its keys
                name = f"#{len(others)}"
            used.add(name)
            others.append((Slot(name, tensor, model), view))
    return others


def _reachable(model: nn.Module) -> list[tuple[str, Any]]:
    """The tensors and storages that modules, lists and dicts have, each with its first path."""
    todo: list[tuple[str, Any]] = [("", model)]
    seen = {id(model)}
    found: list[tuple[str, Any]] = []
    for path, value in todo:  # which grows
        for name, each in _parts(value):
            if id(each) in seen:
                continue
            seen.add(id(each))
            step = f"{path}.{name}" if path else str(name)
            if isinstance(each, (torch.Tensor, *_STORAGES)):
                found.append((step, each))
            elif isinstance(each, (nn.Module, list, tuple, dict)):
                todo.append((step, each))
    return found


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, nn.Module):
        for name, each in vars(value).items():
            yield from each.items() if name in _REGISTRIES else ((name, each),)
    else:
        yield from value.items() if isinstance(value, dict) else enumerate(value)
