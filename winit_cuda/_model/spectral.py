"""The singular vectors that `spectral_norm` keeps of a weight, found anew where the weight is new.

A layer in evaluation divides by u^T W v and iterates no more: with the vectors of another weight
it would have any norm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional
from torch.nn.utils.spectral_norm import SpectralNorm as Hook

from .._core.torch_internals import forward_pre_hooks, own_modules, spectral_norm_types
from .._initializers.elementwise import Normal
from .._keys.keys import Key, fold_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from .entries import Entry
    from .slots import Slot

# Of the parametrization, and of the older function.
_VECTOR = re.compile(r"(.*)parametrizations\.([^.]+)\.0\._[uv]|(.*)_[uv]")

_ITERATIONS = 15  # as torch's constructors do


class Vectors(NamedTuple):
    """Those of one weight: buffers, of which the layer has its singular value."""

    prefix: str
    """What their names begin with."""
    u: torch.Tensor
    v: torch.Tensor
    dim: int
    """The dimension of the weight that is the rows of the matrix."""

    @property
    def names(self) -> tuple[str, str]:
        """Their names in the model."""
        return f"{self.prefix}_u", f"{self.prefix}_v"

    def values(self, weight: torch.Tensor, base: Key) -> tuple[torch.Tensor, torch.Tensor]:
        """Both for a weight, by the power method from a draw with the key of v's name."""
        matrix = weight.detach().movedim(self.dim, 0).flatten(1)
        matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        v = Normal()(matrix.new_empty(matrix.shape[1]), key=fold_in(base, self.names[1]))
        for _ in range(_ITERATIONS):
            u = functional.normalize(matrix @ v, dim=0)
            v = functional.normalize(matrix.mH @ u, dim=0)
        return u, v


def vectors(slot: Slot) -> Vectors | None:
    """The vectors of a weight, if it is that of a `spectral_norm`."""
    owner: Any = slot.owner
    hooks = [each for each in forward_pre_hooks(owner).values() if isinstance(each, Hook)]
    path, _, leaf = slot.name.rpartition(".")
    prefix = f"{path}." if path else ""
    if not slot.is_computed and leaf in getattr(owner, "parametrizations", ()):
        norm = owner.parametrizations[leaf][0]
        if isinstance(norm, spectral_norm_types) and hasattr(norm, "_u"):  # not of one dimension
            step = f"{prefix}parametrizations.{leaf}.0."
            return Vectors(step, norm.get_buffer("_u"), norm.get_buffer("_v"), norm.dim)
    for hook in hooks:  # of the older function
        if leaf == f"{hook.name}_orig":
            own = owner.get_buffer(f"{hook.name}_u"), owner.get_buffer(f"{hook.name}_v")
            return Vectors(prefix + hook.name, *own, hook.dim)
    return None


def vectors_found_anew(entries: Iterable[Entry]) -> set[str]:
    """Names of the vectors that a run does not compute as their entries say, but anew.

    As `stale`, where there is no model: told from the names.
    """
    by_name = {entry.name: entry for entry in entries}
    follow: dict[str, list[bool]] = {}
    names: dict[str, set[str]] = {}
    for name, entry in by_name.items():
        matched = _VECTOR.fullmatch(name)
        if matched is None:
            continue
        weight = f"{matched[1]}{matched[2]}" if matched[2] else f"{matched[3]}_orig"
        if weight in by_name:
            is_of_it = entry.program is not None and bool(entry.keys & by_name[weight].keys)
            follow.setdefault(weight, []).append(is_of_it)
            names.setdefault(weight, set()).add(name)
    return {name for weight, own in names.items() if not all(follow[weight]) for name in own}


def _may_have_norm(owner: nn.Module) -> bool:
    """Whether a module may have a `spectral_norm`."""
    return bool(forward_pre_hooks(owner)) or "parametrizations" in own_modules(owner)


def stale(found: list[tuple[Slot, Entry]]) -> list[tuple[Slot, Entry, Vectors]]:
    """The weights that are filled, whose vectors are not computed of the same draws beside them."""
    owners = {id(slot.owner): slot.owner for slot, _ in found}
    normed = {name for name, owner in owners.items() if _may_have_norm(owner)}
    if not normed:  # of nearly all models
        return []
    programs = {id(slot.tensor): entry.program for slot, entry in found if entry.program}
    pairs = [(slot, entry, vectors(slot)) for slot, entry in found if id(slot.owner) in normed]

    def follows(own: Vectors, entry: Entry) -> bool:
        both = [programs.get(id(own.u)), programs.get(id(own.v))]
        return all(each is not None and entry.keys & set(each.keys) for each in both)

    return [(slot, entry, own) for slot, entry, own in pairs if own and not follows(own, entry)]
