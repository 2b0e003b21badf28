"""The parameters of a model under the names that a plan knows them by.

What wrappers put into a name (`_orig_mod.`, `_fsdp_wrapped_module.`) comes off, so that a model has
the same names compiled, sharded and wrapped. A tied parameter has one name, the first, with the
others beside it. A parametrized weight has its own name, not those of what it is computed from;
under `spectral_norm`, it is the tensor that was there before.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import ParametrizationList

from .._core.torch_internals import (
    forward_pre_hooks,
    has_right_inverse,
    own_buffers,
    own_modules,
    own_parameters,
    spectral_norm_types,
    weight_norm_types,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What a wrapper calls the module that it wraps, and whose name for it is not used otherwise.
_WRAPPERS = frozenset(
    {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_fpw_module"}
)
# Those call it `module`, as users do, too.
_CALL_IT_MODULE = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class Slot(NamedTuple):
    """A parameter of a model."""

    name: str
    """The name in the model without its wrappers."""
    tensor: torch.Tensor
    owner: nn.Module
    """The module that has it."""
    aliases: tuple[str, ...] = ()
    """Other names of the same parameter."""
    is_computed: bool = False
    """Whether it is a parametrized weight, computed from other tensors."""
    around: tuple[nn.Module, ...] = ()
    """The modules around its owner, the innermost first."""

    def seen(self) -> torch.Tensor:
        """What the module itself sees under the name."""
        leaf = _step(self)
        if leaf in getattr(self.owner, "parametrizations", ()):
            return _computed(self.owner, leaf)
        return self.tensor

    @property
    def can_be_assigned(self) -> bool:
        """Whether what a parametrized weight is computed from can be found from its values."""
        parametrizations: Any = self.owner.parametrizations
        return all(map(has_right_inverse, parametrizations[_step(self)]))

    def check(self, values: torch.Tensor) -> None:
        """Raise what `assign` would, before anything is written."""
        parametrizations: Any = self.owner.parametrizations
        with torch.no_grad():
            for each in reversed(parametrizations[_step(self)]):
                values = each.right_inverse(values)

    def assign(self, values: torch.Tensor) -> None:
        """Set a parametrized weight: its parametrizations find the tensors that give the values."""
        leaf = _step(self)
        parametrizations: Any = self.owner.parametrizations
        if any(isinstance(each, weight_norm_types) for each in parametrizations[leaf]):
            # Of rows of zeros, v g / |v| is 0 / 0; both v and g are 0 there.
            values = values.masked_fill(values.isnan(), 0)
        with torch.no_grad():
            setattr(self.owner, leaf, values)


# Slot(*fields) in half of the time: without the step through Python that named tuples take.
make_slot: Callable[[tuple[Any, ...]], Slot] = partial(tuple.__new__, Slot)

# The names of modules, and those around them.
Modules = list[tuple[str, nn.Module, tuple[nn.Module, ...]]]


def slots(model: nn.Module, is_wanted: Callable[[str], bool] = lambda _: True) -> list[Slot]:
    """Every parameter once, in the order of the model.

    A parametrized weight that cannot be assigned gives way to what it is computed from, unless its
    own name is wanted.
    """
    found: dict[int | tuple[int, str], Slot] = {}
    inside: set[nn.Module] = set()
    for prefix, module, around in modules_of(model):
        for slot in own_slots(prefix, module, around, inside, is_wanted):
            _add(found, slot)
    return list(found.values())


def buffer_slots(model: nn.Module) -> list[Slot]:
    """Every buffer once, those of parametrizations included, in the order of the model."""
    found: dict[int | tuple[int, str], Slot] = {}
    for prefix, module, _ in modules_of(model):
        for slot in buffers_of(prefix, module):
            _add(found, slot)
    return list(found.values())


def buffers_of(prefix: str, module: nn.Module) -> Iterator[Slot]:
    """The buffers of a module."""
    for step, tensor in own_buffers(module).items():
        if tensor is not None:
            yield Slot(_joined(prefix, step), tensor, module)


def _add(found: dict[int | tuple[int, str], Slot], slot: Slot) -> None:
    same = found.setdefault(identity(slot), slot)
    if same is not slot:
        found[identity(slot)] = with_alias(same, slot.name)


def identity(slot: Slot) -> int | tuple[int, str]:
    """What two slots of one parameter share."""
    # A computed one is computed anew under each name of its module.
    return (id(slot.owner), _step(slot)) if slot.is_computed else id(slot.tensor)


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, without those that compute parametrized weights, in the model's order."""
    seen: set[int] = set()
    for name, module, _ in modules_of(model):
        is_part = "parametrizations" in name.split(".")
        if not is_part and id(module) not in seen:
            seen.add(id(module))
            yield name, module


def unwrapped(name: str) -> str:
    """A name of a state dict without the steps into wrapped modules."""
    return ".".join(step for step in name.split(".") if step not in _WRAPPERS)


def with_alias(slot: Slot, name: str) -> Slot:
    """The slot of a tensor that has a further name."""
    if name in (slot.name, *slot.aliases):
        return slot
    return slot._replace(aliases=(*slot.aliases, name))


def is_plain(module: nn.Module) -> bool:
    """Whether what a module has cannot be under a parametrization or the older `spectral_norm`."""
    return not (
        forward_pre_hooks(module)
        or "parametrizations" in own_modules(module)
        or isinstance(module, ParametrizationList)
    )


def own_slots(
    prefix: str,
    module: nn.Module,
    around: tuple[nn.Module, ...],
    inside: set[nn.Module],
    is_wanted: Callable[[str], bool],
) -> list[Slot]:
    """The parameters of a module, some maybe twice.

    Those of the modules `inside` are computed from others; the set grows.
    """
    found: list[Slot] = []
    if module in inside:
        return found
    if "parametrizations" in own_modules(module) and parametrize.is_parametrized(module):
        parametrizations: Any = module.parametrizations
        for name, own in parametrizations.items():
            path = _joined(prefix, name)
            if _is_before(own):
                inside.add(own)
                found.append(Slot(path, own.original, module, around=around))
                continue
            slot = Slot(path, _computed(module, name), module, (), True, around)
            if slot.can_be_assigned or is_wanted(slot.name):
                inside.add(own)
                found.append(slot)
    for name, tensor in own_parameters(module).items():
        if tensor is not None:
            path = f"{prefix}.{name}" if prefix else name
            found.append(make_slot((path, tensor, module, (), False, around)))
    return found


def modules_of(model: nn.Module) -> Modules:
    """Every module, under all of its names, without the steps into wrapped modules.

    A module that is inside of itself has no names from there on, as it would have them without end.
    """
    found: Modules = []

    def add(name: str, module: nn.Module, around: tuple[nn.Module, ...]) -> None:
        found.append((name, module, around))
        children = own_modules(module)
        if not children:
            return
        chain = (module, *around)
        calls_it_module = isinstance(module, _CALL_IT_MODULE)
        for step, child in children.items():
            if child is not None and child not in chain:
                is_wrapped = step in _WRAPPERS or (calls_it_module and step == "module")
                add(name if is_wrapped else _joined(name, step), child, chain)

    add("", model, ())
    return found


def _is_before(parametrizations: Any) -> bool:
    """Whether what a weight is computed from is the weight as it was before."""
    return len(parametrizations) == 1 and isinstance(parametrizations[0], spectral_norm_types)


def reaching(chain: Any, place: int) -> torch.Tensor:
    """What reaches one of the parametrizations of a weight from those before it."""
    with _evaluated(chain):
        if place == 0:
            original: torch.Tensor = chain.original
            return original
        values: Any = chain[0](*_originals(chain))
        for each in list(chain)[1:place]:
            values = each(values)
        return cast("torch.Tensor", values)


def _originals(chain: Any) -> list[torch.Tensor]:
    names = [f"original{place}" for place in range(0 if chain.is_tensor else chain.ntensors)]
    return [getattr(chain, name) for name in names or ("original",)]


def _computed(module: Any, name: str) -> torch.Tensor:
    """The values of a parametrized weight."""
    with _evaluated(module.parametrizations[name]):
        values: torch.Tensor = getattr(module, name)
    return values


@contextmanager
def _evaluated(chain: nn.Module) -> Iterator[None]:
    """Leave alone what a forward pass of parametrizations changes."""
    inside = [each for each in chain.modules() if each.training]
    for each in inside:  # in training, spectral_norm goes on with its power iteration
        each.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for each in inside:
            each.training = True


def _step(slot: Slot) -> str:
    """What the owner calls it."""
    return slot.name.rpartition(".")[2]


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
