"""The singular vectors that `spectral_norm` keeps of a weight, found anew where the weight is new.

A layer in evaluation divides by u^T W v and iterates no more: with the vectors of another weight
it would have any norm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm as Hook

from .._core.torch_internals import forward_pre_hooks, spectral_norm_types
from .._initializers.elementwise import Normal
from .._keys.keys import Key, fold_in
from .slots import is_plain, reaching

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .entries import Entry
    from .slots import Slot

# Of the parametrization, and of the older function.
_VECTOR = re.compile(r"(.*)parametrizations\.([^.]+)\.\d+\._[uv]|(.*)_[uv]")

_ITERATIONS = 15  # as torch's constructors do


class Vectors(NamedTuple):
    """Those of one weight: buffers, of which the layer has its singular value."""

    prefix: str
    """What their names begin with."""
    u: torch.Tensor
    v: torch.Tensor
    dim: int
    """The dimension of the weight that is the rows of the matrix."""
    chain: Any = None
    """The parametrizations that the weight has, where this one is not the only one."""
    place: int = 0
    """Which of them it is."""

    @property
    def names(self) -> tuple[str, str]:
        """Their names in the model."""
        return f"{self.prefix}_u", f"{self.prefix}_v"

    def weight(self, slot: Slot) -> torch.Tensor:
        """The weight that they belong to."""
        return slot.tensor if self.chain is None else reaching(self.chain, self.place)

    def values(self, weight: torch.Tensor, base: Key) -> tuple[torch.Tensor, torch.Tensor]:
        """Both for a weight, by the power method from a draw with the key of v's name."""
        matrix = weight.detach().movedim(self.dim, 0).flatten(1)
        matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        v = Normal()(matrix.new_empty(matrix.shape[1]), key=fold_in(base, self.names[1]))
        for _ in range(_ITERATIONS):
            u = functional.normalize(matrix @ v, dim=0)
            v = functional.normalize(matrix.mH @ u, dim=0)
        return u, v


def vectors(slot: Slot) -> list[Vectors]:
    """The vectors of a weight, of each `spectral_norm` that it is under, the innermost first."""
    owner: Any = slot.owner
    path, _, leaf = slot.name.rpartition(".")
    prefix = f"{path}." if path else ""
    if isinstance(owner, ParametrizationList):
        return _of_chain(owner, prefix)
    if leaf in getattr(owner, "parametrizations", ()):
        return _of_chain(owner.parametrizations[leaf], f"{prefix}parametrizations.{leaf}.")
    return [
        Vectors(prefix + hook.name, *_buffers(owner, hook.name), hook.dim)
        for hook in forward_pre_hooks(owner).values()  # of the older function
        if isinstance(hook, Hook) and leaf == f"{hook.name}_orig"
    ]


def _of_chain(chain: Any, prefix: str) -> list[Vectors]:
    around = chain if len(chain) > 1 else None
    return [
        Vectors(f"{prefix}{place}.", *_buffers(norm, ""), norm.dim, around, place)
        for place, norm in enumerate(chain)
        if isinstance(norm, spectral_norm_types) and hasattr(norm, "_u")  # not of one dimension
    ]


def _buffers(owner: nn.Module, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    return owner.get_buffer(f"{name}_u"), owner.get_buffer(f"{name}_v")


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


def stale(found: list[tuple[Slot, Entry]]) -> list[tuple[Slot, Entry, Vectors]]:
    """The weights that are filled, whose vectors are not computed of the same draws beside them."""
    owners = {id(slot.owner): slot.owner for slot, _ in found}
    normed = {name for name, owner in owners.items() if not is_plain(owner)}
    if not normed:  # of nearly all models
        return []
    programs = {id(slot.tensor): entry.program for slot, entry in found if entry.program}
    # By the vectors: a weight may be computed from several tensors.
    pairs = {
        id(own.u): (slot, entry, own)
        for slot, entry in found
        if id(slot.owner) in normed
        for own in vectors(slot)
    }

    def follows(own: Vectors, entry: Entry) -> bool:
        both = [programs.get(id(own.u)), programs.get(id(own.v))]
        return all(each is not None and entry.keys & set(each.keys) for each in both)

    return [(slot, entry, own) for slot, entry, own in pairs.values() if not follows(own, entry)]
