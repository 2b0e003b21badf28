"""What a verification has found: a verdict, a table, JSON."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .._model.match import listed
from .._model.table import aligned, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEADER = ("name", "dtype", "differ", "first", "value", "planned", "of seed")
_MOST_ROWS = 20


@dataclass(frozen=True)
class Difference:
    """A tensor that has not the planned values."""

    name: str
    dtype: str
    """That of the tensor at hand."""
    shape: tuple[int, ...]
    """That of the whole tensor."""
    count: int
    """How many elements differ."""
    index: int
    """The row-major index of the first of them, in the whole tensor; -1 where none was compared."""
    found: float | complex
    """The value there."""
    planned: float | complex
    """The value that the plan gives there."""
    seeds: tuple[int, ...] = ()
    """Those of the other seeds named whose weights it has."""
    reason: str = ""
    """Why it cannot have the planned values at all, as with another shape."""

    @property
    def position(self) -> tuple[int, ...]:
        """The indices of the first element that differs, one in each dimension."""
        rest, steps = self.index, []
        for size in reversed(self.shape):
            rest, step = divmod(rest, size)
            steps.append(step)
        return tuple(reversed(steps))


@dataclass(frozen=True)
class Verification:
    """Whether tensors have the weights that a plan gives with a seed.

    `winit_cuda.verify` makes it. `print` shows the verdict, then each tensor that differs, and what
    was not compared.
    """

    seed: str
    """The seed, or the key, in words."""
    matched: tuple[str, ...] = ()
    """Names of tensors with the planned bits."""
    close: dict[str, float] = field(default_factory=dict)
    """Of tensors whose bits are not promised, those with the planned values up to rounding, each
    with its largest deviation."""
    rounded: dict[str, str] = field(default_factory=dict)
    """Of those in `matched` and `close`, the ones that were filled in the planned dtype and cast
    afterwards, with the dtype that they have."""
    different: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()
    """Names that only the plan has."""
    extra: tuple[str, ...] = ()
    """Names that only the model or the checkpoint has."""
    unplanned: dict[str, str] = field(default_factory=dict)
    """Names of tensors that the plan has no values for, each with why; they are not compared."""
    constant: int = 0
    """How many of the tensors that match have these values whatever the seed, such as zeros."""
    elements: int = 0
    """How many elements were compared."""
    dtypes: dict[str, int] = field(default_factory=dict)
    """How many tensors there are of each dtype."""
    is_strict: bool = True
    """Whether names that are missing or extra count."""

    @property
    def ok(self) -> bool:
        """Whether nothing differs, something was compared, and no name is missing or extra."""
        is_whole = not (self.is_strict and (self.missing or self.extra))
        return is_whole and not self.different and bool(self.matched or self.close)

    @property
    def verdict(self) -> str:
        """One line that says it."""
        same = len(self.matched) + len(self.close)
        of_seed = f"the planned weights of {self.seed}"
        if self.ok:
            return f"ok: {same:,} tensors, {self.elements:,} elements, have {of_seed}"
        if self.different:
            total = same + len(self.different)
            return f"different: {len(self.different):,} of {total:,} tensors do not have {of_seed}"
        if not same:
            return "nothing was compared: no name of the plan is there"
        return f"incomplete: {same:,} tensors have {of_seed}, but names do not agree"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON has; numbers that it lacks are words, such as "nan"."""
        described = {"ok": self.ok, "verdict": self.verdict, **asdict(self)}
        described["different"] = [
            {**one, "found": _number(one["found"]), "planned": _number(one["planned"])}
            for one in described["different"]
        ]
        return described

    def __str__(self) -> str:
        lines = [self.verdict]
        if self.different:
            rows = [_row(one) for one in self.different[:_MOST_ROWS]]
            lines += ["", *aligned([_HEADER, *rows], heads=2)]
            more = len(self.different) - len(rows)
            lines += [f"... and {more:,} more", ""] if more else [""]
        seeds = sorted({seed for one in self.different for seed in one.seeds})
        if seeds:
            names = [one.name for one in self.different if one.seeds]
            lines.append(f"of seed {', '.join(map(str, seeds))}: {_listed(names)}")
        if self.constant:
            lines.append(f"the same for every seed: {self.constant:,} of those that match")
        if self.close:
            most = max(self.close.values())
            lines.append(f"equal up to rounding, by {most:.2g} at most: {_listed(self.close)}")
        left_over = {
            "filled in the planned dtype, then cast": self.rounded,
            "missing": self.missing,
            "not in the plan": self.extra,
            "not compared": [f"{name} ({why})" for name, why in self.unplanned.items()],
        }
        lines += [f"{what}: {_listed(names)}" for what, names in left_over.items() if names]
        if self.dtypes:
            counts = (f"{count:,} {name}" for name, count in self.dtypes.items())
            lines.append(f"dtypes: {', '.join(counts)}")
        return "\n".join(lines)


def _row(one: Difference) -> tuple[str, ...]:
    name = printable(one.name)
    if one.reason:
        return name, one.dtype, printable(one.reason), "", "", "", ""
    seeds = ", ".join(map(str, one.seeds))
    counts = f"{one.count:,} of {math.prod(one.shape):,}"
    values = repr(one.found), repr(one.planned)
    return name, one.dtype, counts, str(list(one.position)), *values, seeds


def _listed(names: Iterable[str]) -> str:
    return listed(list(names))


def _number(value: Any) -> Any:
    is_number = isinstance(value, (bool, int, float)) and math.isfinite(value)
    return value if is_number else str(value)
