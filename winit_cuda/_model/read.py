"""A plan read from a constructor: the entries of all parameters and buffers, and their keys.

Each draw has the key of the first parameter that has it. Tensors with the same elements of one draw
are copies, and have the same key; those with other elements of it are independent, and each has its
own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from .._core.checks import warn
from .._initializers.structured import Dirac, Eye, Orthogonal, Sparse
from .entries import NEVER_WRITTEN, Entry, Piece
from .fake_tensors import is_fake
from .laws import NoLawError, Reader, Reading, constant_value
from .slots import Slot, buffer_slots, slots
from .trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .._initializers.base import Initializer
    from .log import Layout, Log, View

_STRUCTURED = (Orthogonal, Sparse, Dirac, Eye)


class _Found(NamedTuple):
    """What was read of a parameter or buffer."""

    slot: Slot
    view: View | None
    reading: Reading
    note: str
    is_buffer: bool


def entries_of(factory: Callable[[], Any]) -> list[Entry]:
    """The entries of the model that a factory makes."""
    with trace(factory) as (model, tracer):
        all_slots = [(slot, False) for slot in slots(model)]
        all_slots += [(slot, True) for slot in buffer_slots(model)]
        views = [tracer.view(slot.tensor) if is_fake(slot.tensor) else None
                 for slot, _ in all_slots]  # fmt: skip
    for message in dict.fromkeys(tracer.log.warnings):
        warn(f"plan: {message}")
    reader = Reader(tracer.log)
    found = [
        _read(reader, tracer.log, slot, view, is_buffer)
        for (slot, is_buffer), view in zip(all_slots, views, strict=True)
    ]
    found = _without_conflicts(found)
    names: dict[tuple[int, Layout | None], str] = {}
    return [_entry(each, names) for each in found]


def _read(reader: Reader, log: Log, slot: Slot, view: View | None, is_buffer: bool) -> _Found:
    if view is None:
        note = "on meta" if slot.tensor.is_meta else "data of the constructor"
        return _Found(slot, None, Reading(None), note, is_buffer)
    try:
        reading = _fitting(reader.read(view), view.layout.shape)
        note = NEVER_WRITTEN if reading.initializer is None else ""
        return _Found(slot, view, reading, note, is_buffer)
    except NoLawError as error:
        return _Found(slot, view, Reading(None), f"computed {error}{_where(log, view)}", is_buffer)


def _where(log: Log, view: View) -> str:
    """The line that wrote a tensor last."""
    base, later = log.writes_of(view, len(log.steps))
    steps = [*([] if base is None else [base]), *later]
    return f", {steps[-1].line}" if steps and steps[-1].line else ""


def _fitting(reading: Reading, shape: tuple[int, ...]) -> Reading:
    """The reading with laws that take the shapes of the tensor and its pieces.

    Raises:
        NoLawError: There is none.
    """
    law, scheme, region = reading.initializer, reading.scheme, reading.region
    if isinstance(law, _STRUCTURED) and region is not None and region.shape != shape:
        leading = len(shape) - len(region.shape)
        if not isinstance(law, Orthogonal) or shape != (1,) * leading + region.shape:
            raise NoLawError("by a matrix of another shape")
        law = replace(law, batch_dims=leading)
    try:
        if scheme is not None and law is not None and scheme.law(shape) == law.law(shape):
            law = scheme
        elif law is not None:
            law.law(shape)
    except ValueError as error:
        if scheme is None:
            raise NoLawError(str(error)) from error
    constant = constant_value(law)
    pieces = tuple(
        replace(part, reading=_fitting(part.reading, part.sizes))
        for part in reading.pieces
        if constant is None or constant_value(part.reading.initializer) != constant
    )
    return replace(reading, initializer=law, scheme=None, pieces=pieces)


def _readings(reading: Reading) -> Iterator[Reading]:
    """The reading and those of its pieces that have a draw."""
    if reading.draw is not None:
        yield reading
    for part in reading.pieces:
        yield from _readings(part.reading)


def _without_conflicts(found: list[_Found]) -> list[_Found]:
    """The same, but no law where two tensors have a part of their elements in common."""
    uses: dict[int | None, list[tuple[int, Reading]]] = {}
    for i, each in enumerate(found):
        for reading in _readings(each.reading):
            uses.setdefault(reading.draw, []).append((i, reading))
    wrong: set[int] = set()
    for shared in uses.values():
        first = {reading.region: reading for _, reading in reversed(shared)}
        regions = [region for region in first if region is not None]
        lone = all(
            not _meet(one, two) for place, one in enumerate(regions) for two in regions[:place]
        )
        if not lone or any(r.is_flipped != first[r.region].is_flipped for _, r in shared):
            wrong.update(i for i, _ in shared)
    note = "computed with others from one draw"
    return [
        each._replace(reading=Reading(None), note=note) if i in wrong else each
        for i, each in enumerate(found)
    ]


def _meet(one: Layout, two: Layout) -> bool:
    return one.offset <= two.last and two.offset <= one.last


def _entry(found: _Found, names: dict[tuple[int, Layout | None], str]) -> Entry:
    slot, own = found.slot, 0

    def key_name(reading: Reading) -> str:
        nonlocal own
        if reading.draw is None:
            return slot.name
        name = slot.name if own == 0 else f"{slot.name}#{own}"
        known = names.setdefault((reading.draw, reading.region), name)
        own += known == name
        return known

    reading = found.reading
    base = key_name(reading)
    pieces = []
    for part in reading.pieces:
        law: Initializer | None = part.reading.initializer
        if law is not None and not part.reading.pieces:
            pieces.append(Piece(part.offsets, part.sizes, law, key_name(part.reading)))
    dtype = str(slot.tensor.dtype).removeprefix("torch.")
    entry = Entry(
        slot.name,
        tuple(slot.tensor.shape),
        dtype,
        reading.initializer,
        slot.aliases,
        "" if base == slot.name else base,
        tuple(pieces),
        found.is_buffer,
    )
    if entry.is_planned:
        return entry
    note = "partly unset" if pieces else found.note
    return replace(entry, note=note, pieces=(), key_name="")
