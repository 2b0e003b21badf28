"""A plan read from a constructor: the entries of all parameters and buffers, and their keys.

Each draw has the key of the first parameter that has it. Tensors with the same elements of one draw
are copies, and have the same key; those with other elements of it are independent, and each has its
own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from torch.nn.parameter import is_lazy

from .._core.checks import warn
from .._core.torch_internals import is_dtensor
from .._initializers.elementwise import Zeros
from .._initializers.structured import DeltaOrthogonal, Dirac, Eye, Orthogonal, Sparse
from .coding import program
from .draws import NoLawError
from .entries import LAZY, NEVER_WRITTEN, Entry, Piece
from .laws import Reader, Reading, constant_value
from .log import INITIALIZER, Step
from .slots import Slot, buffer_slots, slots
from .trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from torch import nn

    from .log import Layout, Log, View
    from .trace import Tracer

# A step that draws, and which elements of what it draws.
_Draw = tuple[int, "Layout | None"]

_STRUCTURED = (Orthogonal, DeltaOrthogonal, Sparse, Dirac, Eye)


class _Found(NamedTuple):
    """What was read of a parameter or buffer."""

    slot: Slot
    is_buffer: bool
    view: View | None
    """The tensor in the log."""
    reading: Reading
    steps: tuple[Step, ...] = ()
    """The steps that compute it, where it has no law."""
    note: str = ""


class Model(NamedTuple):
    """What a constructor has made."""

    log: Log
    parameters: list[tuple[Slot, View | None]]
    buffers: list[tuple[Slot, View | None]]
    others: Sequence[tuple[Slot, View | None]] = ()
    """Tensors that are neither, but are to be read, too."""


def look_at(model: nn.Module, tracer: Tracer) -> Model:
    """The parameters and buffers of a model, as long as its trace lasts.

    Raises:
        RuntimeError: The constructor has divided them: what a rank has of a draw is no law.
    """
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_dtensor(tensor):
            raise RuntimeError(
                f"plan: {name} is a DTensor, but a plan is of whole tensors: leave fully_shard and "
                "the like out of the factory, and divide a model that is made on meta"
            )
    parameters = [(slot, tracer.known(slot.tensor)) for slot in slots(model, lambda _: False)]
    buffers = [(slot, tracer.known(slot.tensor)) for slot in buffer_slots(model)]
    return Model(tracer.log, parameters, buffers)


def entries_of(factory: Callable[[], Any]) -> list[Entry]:
    """The entries of the model that a factory makes."""
    with trace(factory) as (model, tracer):
        made = look_at(model, tracer)
    return read(made)


def read(made: Model, function: str = "plan") -> list[Entry]:
    """The entries of parameters, buffers and others, in this order; warnings name the function."""
    log = made.log
    for message in dict.fromkeys(log.warnings):
        warn(f"{function}: {message}")
    reader = Reader(log)

    def found(tensors: Sequence[tuple[Slot, View | None]], is_buffer: bool) -> list[_Found]:
        return [_read(reader, log, _Found(s, is_buffer, v, Reading(None))) for s, v in tensors]

    names: dict[_Draw, str] = {}
    planned = _settled(log, found(made.parameters, False) + found(made.buffers, True))
    entries = _entries(log, planned, names)
    if made.others:
        others = _beside(log, planned, found(made.others, True), names)
        entries += _entries(log, others, names)
    return entries


def _beside(
    log: Log, planned: list[_Found], others: list[_Found], names: dict[_Draw, str]
) -> list[_Found]:
    """The other tensors beside those that are planned, which stay as they are."""
    memory = {each.view.storage for each in planned if each.view is not None}

    def beside(each: _Found) -> _Found:
        if each.view is None or each.view.storage in memory or not each.steps:
            return each
        if _conflicts(log, [*planned, each]):
            laws = _with_laws(log, planned, names)
            steps = tuple(laws.needed(each.view, len(laws.steps)))
            from_laws = each._replace(steps=steps)
            if not _conflicts(log, [*planned, from_laws]):
                return from_laws
            note = "has elements of a draw of which a parameter has a part, too"
            return _Found(each.slot, True, each.view, Reading(None), note=note)
        return each

    return [beside(each) for each in _settled(log, planned + others)[len(planned) :]]


def _with_laws(log: Log, planned: list[_Found], names: dict[_Draw, str]) -> Log:
    """The log with the law of each tensor, under its key, in the place of its last write.

    So what is computed from its values then is computed from those that its law gives it.
    """
    steps = list(log.steps)
    for view, reading in ((each.view, each.reading) for each in planned):
        if view is None or reading.draw is None or reading.pieces:
            continue
        base, later = log.writes_of(view, len(steps))
        last = later[-1] if later else base
        if last is None or not all(view.covers(written) for written in last.writes):
            continue
        given = {INITIALIZER: reading.initializer}
        steps[last.index] = Step(
            INITIALIZER,
            None,
            (view,),
            given,
            [view],
            [view],
            last.line,
            is_random=True,
            index=last.index,
        )
        names[last.index, view.layout] = names[reading.draw, reading.region]
    return replace(log, steps=steps)


def _entries(log: Log, found: list[_Found], names: dict[_Draw, str]) -> list[Entry]:
    """The entries, with keys named by those that have a law first."""
    entries = {i: _entry(each, names) for i, each in enumerate(found) if not each.steps}
    entries |= {i: _computed(log, each, names) for i, each in enumerate(found) if each.steps}
    return [entries[i] for i in range(len(found))]


def _read(reader: Reader, log: Log, found: _Found) -> _Found:
    view = found.view
    if view is None:
        return found._replace(note=LAZY if is_lazy(found.slot.tensor) else "on meta")
    if view.numel == 0:
        return found._replace(reading=Reading(Zeros()))
    try:
        reading = _fitting(reader.read(view), view.layout.shape)
    except NoLawError as error:
        steps = tuple(log.needed(view, len(log.steps)))
        return found._replace(steps=steps, note=f"computed {error}{_where(log, view)}")
    note = NEVER_WRITTEN if reading.initializer is None else ""
    return found._replace(reading=reading, note=note)


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
        if (
            not isinstance(law, Orthogonal)
            or law.batch_dims
            or shape != (1,) * leading + region.shape
        ):
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
        if constant is None or part.reading.initializer != law  # Zeros() is not Constant(-0.0)
    )
    return replace(reading, initializer=law, scheme=None, pieces=pieces)


def _readings(reading: Reading) -> Iterator[Reading]:
    """The reading and those of its pieces that have a draw."""
    if reading.draw is not None:
        yield reading
    for part in reading.pieces:
        yield from _readings(part.reading)


def _settled(log: Log, found: list[_Found]) -> list[_Found]:
    """The same, but computed where tensors have a part of their elements in common."""
    while wrong := _conflicts(log, found):
        note = "computed with others from one draw"
        for i in wrong:
            view = found[i].view
            steps = () if view is None else tuple(log.needed(view, len(log.steps)))
            found[i] = found[i]._replace(reading=Reading(None), steps=steps, note=note)
    return found


def _conflicts(log: Log, found: list[_Found]) -> set[int]:
    """Those whose law would not give them the elements that others have of the same draw."""
    uses: dict[int, list[tuple[int, Reading]]] = {}
    for i, each in enumerate(found):
        for reading in _readings(each.reading):
            if reading.draw is not None:
                uses.setdefault(reading.draw, []).append((i, reading))
    played = {step.index for each in found for step in each.steps if step.is_random}
    wrong: set[int] = set()
    for draw, shared in uses.items():
        first = {reading.region: reading for _, reading in reversed(shared)}
        regions = [region for region in first if region is not None]
        if draw in played:  # there the whole has the key
            whole = log.steps[draw].writes[0].layout
            agree = regions == [whole] and not any(reading.is_flipped for _, reading in shared)
        else:
            pairs = ((one, two) for place, one in enumerate(regions) for two in regions[:place])
            agree = not any(_meet(one, two) for one, two in pairs)
        if not agree or any(r.is_flipped != first[r.region].is_flipped for _, r in shared):
            wrong.update(i for i, _ in shared)
    return wrong


def _meet(one: Layout, two: Layout) -> bool:
    return one.offset <= two.last and two.offset <= one.last


class _Names:
    """The names of the keys of one parameter's draws: those of the first that has the draw."""

    def __init__(self, name: str, names: dict[_Draw, str]) -> None:
        self._name, self._names, self._own = name, names, 0

    def of(self, draw: int, region: Layout | None) -> str:
        """The name for a draw, or a part of one."""
        name = f"{self._name}#{self._own}" if self._own else self._name
        known = self._names.setdefault((draw, region), name)
        self._own += known == name
        return known


def _blank(found: _Found) -> Entry:
    slot = found.slot
    dtype = str(slot.tensor.dtype).removeprefix("torch.")
    shape = (0,) if is_lazy(slot.tensor) else tuple(slot.tensor.shape)
    return Entry(
        slot.name, shape, dtype, None, slot.aliases, is_buffer=found.is_buffer, note=found.note
    )


def _entry(found: _Found, known: dict[_Draw, str]) -> Entry:
    """The entry of a law."""
    blank, reading = _blank(found), found.reading
    names = _Names(blank.name, known)

    def name(one: Reading) -> str:
        return blank.name if one.draw is None else names.of(one.draw, one.region)

    base = name(reading)
    pieces = tuple(
        Piece(part.offsets, part.sizes, part.reading.initializer, name(part.reading))
        for part in reading.pieces
        if part.reading.initializer is not None and not part.reading.pieces
    )
    key_name = "" if base == blank.name else base
    entry = replace(
        blank, initializer=reading.initializer, key_name=key_name, pieces=pieces, note=""
    )
    if entry.is_planned:
        return entry
    return replace(blank, note="partly unset" if pieces else found.note)


def _computed(log: Log, found: _Found, known: dict[_Draw, str]) -> Entry:
    """The entry of what steps compute."""
    blank = _blank(found)
    names = _Names(blank.name, known)
    keys = {
        step.index: names.of(step.index, step.writes[0].layout)
        for step in found.steps
        if step.is_random
    }
    if found.view is None:
        return blank
    try:
        return replace(blank, program=program(found.steps, log.nbytes, found.view, keys))
    except NoLawError as error:
        return replace(blank, note=f"{found.note}: {error}")
