"""Many models at once: one tensor for each parameter, with a dimension more, its first."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from .._core.checks import count, told_as, wrong
from .._core.torch_internals import is_tracing_tensor
from .._keys.keys import Key, key, split
from .build import all_planned, fill_made
from .entries import Entry
from .fill import fill, fill_members
from .plan import check_arguments
from .rules import Rules
from .slots import Slot
from .spectral import vectors


class Ensemble(NamedTuple):
    """Models of one architecture, in the layout of `torch.func.stack_module_state`.

    `winit_cuda.ensemble` makes it.
    """

    params: dict[str, torch.Tensor]
    """By name, the parameters of all members, stacked in dimension 0."""
    buffers: dict[str, torch.Tensor]
    """By name, their buffers, stacked, too."""
    model: nn.Module
    """The model itself, its parameters and buffers on meta, for `torch.func.functional_call`."""


def ensemble(
    factory: Callable[[], nn.Module],
    n: int,
    seed: int | Key,
    rules: Rules | str | Path | None = None,
    *,
    strict: bool = True,
    device: torch.device | str | int | None = None,
) -> Ensemble:
    """Return n models with weights of their own, as `torch.func.stack_module_state` returns them.

    Member j has the weights of the model initialized alone with its own key:
    `plan(factory).run(factory(), seed=fold_in(key(seed), j))`, the j-th key of
    `split(key(seed), n)`, bit for bit. More members leave the first ones as they are.

    The factory is called once, on fake tensors, and all members are filled by one call of the core
    for each device. Only where weights are parametrized or share memory in parts, it is called
    again, for one instance that is filled n times and copied. A tied parameter is there once, under
    its first name. Tensors that are neither parameters nor buffers are those of member 0.

    Args:
        factory: A callable that makes the model.
        n: How many members, at least 1.
        seed: The seed, or the key itself.
        rules: Initializers that replace those of the constructor, as for `plan`.
        strict: Whether rules that decide nothing are errors; else they are a warning.
        device: Where the stacked tensors are made; None for where the factory makes its own.

    Returns:
        Stacked parameters, stacked buffers, and the model on meta.

    Raises:
        TypeError: `factory` is a Module or not callable, it returns no Module, `n` is not an
            integer, or `seed` neither one nor a Key.
        ValueError: n < 1, a parameter has no values, or a rule is wrong.
        RuntimeError: The factory fails on fake tensors, or there is no memory.

    Example:
        >>> import torch, winit_cuda as winit
        >>> params, buffers, model = winit.ensemble(lambda: torch.nn.Linear(4, 2), n=3, seed=0)
        >>> params["weight"].shape
        torch.Size([3, 2, 4])
        >>> alone = winit.build(lambda: torch.nn.Linear(4, 2), winit.fold_in(winit.key(0), 1))
        >>> torch.equal(params["weight"][1], alone.weight)
        True
        >>> def call(params, buffers, x):
        ...     return torch.func.functional_call(model, (params, buffers), (x,))
        >>> torch.vmap(call, in_dims=(0, 0, None))(params, buffers, torch.ones(5, 4)).shape
        torch.Size([3, 5, 2])
    """
    function = "ensemble"
    given: Any = factory
    if isinstance(given, nn.Module) or not callable(given):
        raise wrong(
            function, "factory", "a callable that makes a torch.nn.Module", given, TypeError
        )
    check_arguments(function, "factory", factory)
    members = count(function, "n", n)
    # Imported where it is needed: it needs torch's fake tensors.
    realize = importlib.import_module(".realize", __package__)
    with told_as(function, "key", "plan"):
        base = seed if isinstance(seed, Key) else key(seed)
        made = realize.traced(factory, function)
    entries = all_planned(function, made.entries, rules, strict)
    own = _own_tensors(made.model)
    stacks = {name: _stack(tensor, members, device) for name, tensor in own.items()}
    keys = split(base, members)  # where the memory does not suffice, nothing has taken time
    planned = list(zip(made.slots, entries, strict=True))[: made.planned]
    if all(_has_own_memory(slot, made.empty) for slot, _ in planned):
        _fill_stacks(planned, stacks, own, keys)
    else:
        made.become_real()
        _copy_members(made, entries, stacks, keys)
        made = realize.traced(factory, function)
        own = _own_tensors(made.model)
    made.become_real(on_meta=list(own.values()))
    for slot, entry in list(zip(made.slots, entries, strict=True))[made.planned :]:
        if id(slot.tensor) in made.empty and not slot.tensor.is_meta:
            fill([(slot, entry)], keys[0], {}, function)
    parameters = dict(made.model.named_parameters())
    for name, parameter in parameters.items():
        stacks[name].requires_grad_(parameter.requires_grad)
    return Ensemble(
        {name: stacks[name] for name in parameters},
        {name: stack for name, stack in stacks.items() if name not in parameters},
        made.model,
    )


def _own_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The parameters and buffers by their first names."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _stack(tensor: torch.Tensor, n: int, device: Any) -> torch.Tensor:
    where = tensor.device if device is None else device
    return torch.empty((n, *tensor.shape), dtype=tensor.dtype, device=where)


def _has_own_memory(slot: Slot, empty: set[int]) -> bool:
    """Whether the values of a tensor are its own, and follow from nothing but its entry."""
    if slot.is_computed or vectors(slot):
        return False
    return (
        id(slot.tensor) in empty or slot.tensor.numel() == 0 or not is_tracing_tensor(slot.tensor)
    )


def _fill_stacks(
    planned: list[tuple[Slot, Entry]],
    stacks: dict[str, torch.Tensor],
    own: dict[str, torch.Tensor],
    keys: Sequence[Key],
) -> None:
    """Fill all members at once."""
    names = {id(tensor): name for name, tensor in own.items()}
    wanted = [
        (slot, entry, stacks[names[id(slot.tensor)]].unbind())
        for slot, entry in planned
        if entry.is_planned
    ]
    owner = nn.Module()  # none that the tensor could be assigned through
    members = [
        ([(Slot(slot.name, tensors[j], owner), entry) for slot, entry, tensors in wanted], base)
        for j, base in enumerate(keys)
    ]
    fill_members(members, {}, "ensemble")


def _copy_members(
    made: Any,
    entries: list[Entry],
    stacks: dict[str, torch.Tensor],
    keys: Sequence[Key],
) -> None:
    """Fill the model for one member after the other."""
    for j, base in enumerate(keys):
        fill_made(made, entries, base)
        for name, tensor in _own_tensors(made.model).items():  # assigning may replace buffers
            stacks[name][j].copy_(tensor.detach())
