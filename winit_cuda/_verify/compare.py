"""The comparison of stored tensors with what a plan gives, in tiles that are filled once more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from .._distributed.shard import Shard
from .._fills.structured import DeltaOrthogonalFill, OrthogonalFill, SparseFill
from .._initializers.boxes import narrowed
from .._model.fill import fill
from .._model.slots import Slot
from .stored import tiles
from .tensor_statistics import tiles as chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .._keys.keys import Key
    from .._model.entries import Entry
    from .stored import Stored, Tile

# Elements of a tile, and of the tiles that are filled in one call: 4 MiB and 8 MiB of float32.
_TILE = 1 << 20
_TOGETHER = 1 << 21
# Enough to tell one seed from another.
_PROBE = 1 << 10

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}

Box = tuple[tuple[int, ...], tuple[int, ...]]


class Item(NamedTuple):
    """A stored tensor with the entry that it is to follow."""

    name: str
    entry: Entry
    stored: Stored
    is_exact: bool = True
    """Whether the values are to have the planned bits; else they may differ by rounding."""


@dataclass
class Finding:
    """What was seen of one tensor, or of this process's part of it."""

    boxes: tuple[Box, ...]
    """Which part that is."""
    elements: int = 0
    """How many elements were compared."""
    count: int = 0
    """How many of them differ."""
    index: int = -1
    """The row-major index, in the whole, of the first that differs; -1 for none."""
    found: float | complex = 0.0
    """Its value."""
    planned: float | complex = 0.0
    """What the plan gives it."""
    deviation: float = 0.0
    """By how much the bits of what is equal up to rounding are off, at most: |found - planned|."""
    reason: str = ""
    """Why it cannot be compared."""

    @property
    def is_equal(self) -> bool:
        """Whether it has the planned values."""
        return not (self.count or self.reason)


def is_exact(entry: Entry) -> bool:
    """Whether a plan gives every bit of an entry; orthogonal ones and computed ones it does not."""
    if entry.program is not None:
        return entry.program.is_data
    matrices = (OrthogonalFill, DeltaOrthogonalFill)
    return not any(isinstance(each, matrices) for each in _fills(entry))


def is_random(entry: Entry) -> bool:
    """Whether the values depend on the seed."""
    if entry.program is not None:
        return bool(entry.program.keys)
    return any(getattr(each, "is_random", False) for each in _fills(entry))


def _fills(entry: Entry) -> Iterator[object]:
    if entry.law is not None:
        yield entry.law.fill
    for piece in entry.pieces:
        yield piece.initializer.law(piece.sizes).fill


def compare(
    items: Iterable[Item],
    key: Key,
    tolerance: float,
    *,
    as_planned: bool = False,
    is_probe: bool = False,
) -> dict[str, Finding]:
    """What each tensor has and the plan gives with a key.

    Args:
        items: The tensors, of different names.
        key: What a run was given as its seed.
        tolerance: What rounding may change where the bits are not promised, relative to the
            largest value.
        as_planned: Whether the values are those of the planned dtype, rounded to the one at hand.
        is_probe: Whether the first few elements will do.
    """
    findings: dict[str, Finding] = {}
    batch: list[tuple[Item, Tile]] = []
    size = 0
    for item in items:
        boxes = tuple((part.offsets, part.sizes) for part in item.stored.parts)
        finding = findings[item.name] = Finding(boxes)
        if not _may_be_planned(item):
            dtype = str(item.stored.dtype).removeprefix("torch.")
            finding.reason = f"is {dtype}, planned is {item.entry.dtype}"
            continue
        if item.entry.program is not None:
            _compare_computed(item, key, tolerance, finding)
            continue
        for tile in _tiles(item, is_probe):
            if batch and size + tile.numel > _TOGETHER:
                _compare_batch(batch, key, tolerance, findings, as_planned)
                batch, size = [], 0
            batch.append((item, tile))
            size += tile.numel
    _compare_batch(batch, key, tolerance, findings, as_planned)
    return findings


def _may_be_planned(item: Item) -> bool:
    """Whether the dtype may have the planned values: no draw is cast to integers or complex."""
    stored, planned = item.stored.dtype, getattr(torch, item.entry.dtype)
    if stored == planned:
        return True
    if stored.is_complex or planned.is_complex:
        return stored.is_complex and planned.is_complex
    return stored.is_floating_point or not is_random(item.entry)


def _tiles(item: Item, is_probe: bool) -> Iterator[Tile]:
    """The tiles of a tensor, such that none computes much more than its own elements."""
    order: Sequence[int] | None = None
    kinds = set(map(type, _fills(item.entry)))
    if kinds & {OrthogonalFill, DeltaOrthogonalFill} or (SparseFill in kinds and item.entry.pieces):
        order = ()  # a part costs about as much as the whole
    elif SparseFill in kinds:
        order = (1,)  # which rows are zero is chosen for a whole column
    for part in item.stored.parts:
        for tile in tiles(part, _PROBE if is_probe else _TILE, order):
            yield tile
            if is_probe:
                return


def _compare_batch(
    batch: list[tuple[Item, Tile]],
    key: Key,
    tolerance: float,
    findings: dict[str, Finding],
    as_planned: bool,
) -> None:
    """Fill the tiles by one call, and compare; a tile that cannot be filled spoils no other."""
    batch = [(item, tile) for item, tile in batch if not findings[item.name].reason]
    try:
        planned = _filled(batch, key, as_planned)
    except (TypeError, ValueError) as error:
        if len(batch) > 1:
            for each in batch:
                _compare_batch([each], key, tolerance, findings, as_planned)
            return
        name = batch[0][0].name
        reason = str(error).removeprefix("verify: ").removeprefix(f"{name}: ")
        findings[name].reason = reason
        return
    for (item, tile), values in zip(batch, planned, strict=True):
        allowed = None if item.is_exact else tolerance
        _note(findings[item.name], item, tile, values.to(item.stored.dtype), allowed)


def _filled(batch: list[tuple[Item, Tile]], key: Key, as_planned: bool) -> list[torch.Tensor]:
    """What the plan gives in the tiles."""
    pairs, shards = [], {}
    owner = nn.Module()  # none that the values could be assigned through
    for number, (item, tile) in enumerate(batch):
        stored = item.stored
        dtype = getattr(torch, item.entry.dtype) if as_planned else stored.dtype
        # A run fills no tensor twice, so tiles of one have names of their own.
        name = item.name if len(batch) == 1 else f"{item.name}[{number}]"
        values = torch.empty(tile.sizes, dtype=dtype, device=stored.device)
        pairs.append((Slot(name, values, owner), item.entry))
        if tile.sizes != item.entry.shape:
            shards[name] = Shard(item.entry.shape, tile.offsets)
    fill(pairs, key, shards, caller="verify")
    return [slot.tensor for slot, _ in pairs]


def _compare_computed(item: Item, key: Key, tolerance: float, finding: Finding) -> None:
    """Compare with values that a program computes as a whole."""
    program = item.entry.program
    if program is None:
        return
    whole = program.values(key).reshape(item.entry.shape)
    allowed = None if item.is_exact else tolerance
    scale = _largest(whole)
    for part in item.stored.parts:
        for tile in tiles(part, _TILE):
            values = narrowed(whole, tile.offsets, tile.sizes)
            values = values.to(device=item.stored.device, dtype=item.stored.dtype)
            _note(finding, item, tile, values, allowed, scale)


def _note(
    finding: Finding,
    item: Item,
    tile: Tile,
    planned: torch.Tensor,
    tolerance: float | None,
    scale: float | None = None,
) -> None:
    """Add what a tile shows."""
    found = tile.found().resolve_conj().resolve_neg().contiguous().reshape(-1)
    planned = planned.contiguous().reshape(-1)
    finding.elements += len(found)
    begin = 0
    # Of whole tiles, torch's threads would wait for each other a thousand times in a large model.
    for own, other in zip(chunks(found), chunks(planned), strict=True):
        if not torch.equal(_bits(own), _bits(other)):
            differs = _differs(own, other)
            if tolerance is not None:
                scale = _largest(planned) if scale is None else scale
                differs = _beyond(own, other, differs, tolerance * scale, finding)
            _count(finding, differs, own, other, begin, tile, item.entry.shape)
        begin += len(own)


def _differs(own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    differs = _bits(own) != _bits(other)
    return differs.any(-1) if own.is_complex() else differs


def _count(
    finding: Finding,
    differs: torch.Tensor,
    own: torch.Tensor,
    other: torch.Tensor,
    begin: int,
    tile: Tile,
    shape: tuple[int, ...],
) -> None:
    """Add the elements of a chunk that differ, and where the first of them is."""
    count = int(differs.count_nonzero())
    if not count:
        return
    finding.count += count
    position = int(differs.view(torch.uint8).argmax())
    index = _index(begin + position, tile, shape)
    if finding.index < 0 or index < finding.index:
        finding.index = index
        finding.found, finding.planned = own[position].item(), other[position].item()


def _bits(values: torch.Tensor) -> torch.Tensor:
    """The values as integers: of these, a NaN equals itself, and -0.0 is not 0.0."""
    if values.is_complex():
        values = torch.view_as_real(values)
    return values.view(_BITS[values.element_size()])


def _beyond(
    own: torch.Tensor,
    other: torch.Tensor,
    differs: torch.Tensor,
    allowed: float,
    finding: Finding,
) -> torch.Tensor:
    """Where values differ by more than rounding explains, that of the dtype included."""
    has_spacing = own.is_floating_point() or own.is_complex()
    spacing = torch.finfo(own.dtype).eps if has_spacing else 0.0
    wide = torch.complex128 if own.is_complex() else torch.float64
    planned = other.to(wide)
    apart = (own.to(wide) - planned).abs()
    beyond = differs & ~(apart <= allowed + spacing * planned.abs())  # a NaN is beyond
    within = apart[differs & ~beyond]
    if len(within):
        finding.deviation = max(finding.deviation, float(within.max()))
    return beyond


def _largest(values: torch.Tensor) -> float:
    """The largest finite magnitude, of complex numbers that of a part."""
    if not values.numel():
        return 0.0
    if values.is_complex():
        values = torch.view_as_real(values)
    if values.dtype is not torch.float64:
        values = values.to(torch.float32)
    low, high = values.nan_to_num(0.0, 0.0, 0.0).aminmax()
    return max(-float(low), float(high))


def _index(position: int, tile: Tile, shape: tuple[int, ...]) -> int:
    """The row-major index in the whole tensor of an element of a tile."""
    index, stride = 0, 1
    for dim in reversed(range(len(shape))):
        position, inside = divmod(position, tile.sizes[dim])
        index += (tile.offsets[dim] + inside) * stride
        stride *= shape[dim]
    return index


def together(findings: Sequence[Finding]) -> Finding:
    """What all ranks have seen of one tensor; several may have the same part of it."""
    parts: dict[tuple[Box, ...], Finding] = {}
    for one in findings:
        other = parts.setdefault(one.boxes, one)
        if one.count > other.count:
            parts[one.boxes] = one
    whole = replace(findings[0], boxes=tuple(box for boxes in parts for box in boxes))
    whole.elements = sum(one.elements for one in parts.values())
    whole.count = sum(one.count for one in parts.values())
    whole.deviation = max(one.deviation for one in findings)
    whole.reason = next((one.reason for one in findings if one.reason), "")
    first = min(
        (one for one in findings if one.index >= 0), key=lambda one: one.index, default=whole
    )
    whole.index, whole.found, whole.planned = first.index, first.found, first.planned
    return whole
