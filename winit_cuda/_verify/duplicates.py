"""Parameters with the same values that are not tied, and keys that a plan gives out twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .._core.torch_internals import is_dtensor, local_tensor
from .findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .._model.entries import Entry
    from .tensor_statistics import Statistics


def repeated_keys(entries: Iterable[Entry]) -> dict[str, list[Finding]]:
    """By name, the entries that draw with a key that another one, or a piece, has drawn with.

    Of one key, two laws of the same kind give the same values but for scale.
    """
    owners: dict[str, str] = {}
    found: dict[str, list[Finding]] = {}
    for entry in entries:
        for key in _keys_drawn_with(entry):
            owner = owners.setdefault(key, entry.name)
            if owner != entry.name:
                text = f"the key of {owner}, so the same draws"
                found.setdefault(entry.name, []).append(Finding("repeated key", text, "odd"))
    return found


def _keys_drawn_with(entry: Entry) -> list[str]:
    law = entry.law
    keys = [entry.key_name or entry.name] if law is not None and law.fill.is_random else []
    keys += [
        piece.key_name
        for piece in entry.pieces
        if piece.initializer.law(piece.sizes).fill.is_random
    ]
    return list(dict.fromkeys(keys))


def equal_tensors(
    tensors: Mapping[str, torch.Tensor], statistics: Mapping[str, Statistics]
) -> dict[str, str]:
    """From the name of a tensor to the first one with the same values, bit for bit or -0 for 0.

    Constant tensors are left out, and so are those with NaN. Statistics that are exact choose the
    candidates, whose values are then compared where they are. DTensors are compared with DTensors
    of the same placements.
    """
    groups: dict[object, list[str]] = {}
    for name, tensor in tensors.items():
        own = statistics[name]
        if own.is_finite and own.low < own.high:
            numbers = own.low, own.high, own.zeros
            groups.setdefault((tensor.shape, tensor.dtype, _place(tensor), numbers), []).append(
                name
            )
    same: dict[str, str] = {}
    for names in groups.values():
        firsts: list[str] = []
        for name in names:
            first = next((one for one in firsts if _equal(tensors[one], tensors[name])), None)
            if first is None:
                firsts.append(name)
            else:
                same[name] = first
    return same


def _place(tensor: Any) -> object:
    """What two tensors must have in common to be compared."""
    return (tensor.device_mesh, tensor.placements) if is_dtensor(tensor) else tensor.device


def _equal_values(first: torch.Tensor, second: torch.Tensor) -> bool:
    try:
        return torch.equal(first, second)
    except RuntimeError:  # torch 2.4 compares no float8
        return torch.equal(first.float(), second.float())


def _equal(first: Any, second: Any) -> bool:
    if not is_dtensor(first):
        return _equal_values(first, second)
    mesh = first.device_mesh
    equal = _equal_values(local_tensor(first), local_tensor(second))
    if mesh.get_coordinate() is None:
        return equal
    answer = torch.tensor(int(equal), device=mesh.device_type)
    for dim in range(mesh.ndim):
        group = mesh.get_group(dim)
        torch.distributed.all_reduce(answer, torch.distributed.ReduceOp.MIN, group=group)
    return bool(answer)


def same_values(first: str, planned: Sequence[Entry | None]) -> list[Finding]:
    """The finding for a tensor with the values of another, with both entries of the plan, if any.

    Where both are planned to be the same, as copies or as fixed matrices, that is as it should be.
    """
    text = f"the same values as {first}, but not tied to it"
    if not all(entry is not None and entry.is_planned for entry in planned):
        return [Finding("same values", text, "odd")]
    keys = [_keys_drawn_with(entry) for entry in planned if entry]
    is_computed = any(entry.program is not None for entry in planned if entry)
    return [] if keys[0] == keys[1] or is_computed else [Finding("same values", text)]
