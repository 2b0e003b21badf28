"""Which tensor of a state dict each entry of a plan is about."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from .._core.checks import wrong
from .._model.slots import unwrapped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .._model.entries import Entry

# What a parametrized weight is called. Under `spectral_norm` it is the weight of the plan; its
# vectors beside it tell. Under others it may be anything.
_ORIGINAL = re.compile(r"(parametrizations\.([^.]+)\.)original$")


class Matches(NamedTuple):
    """The names of a state dict, sorted out."""

    prefix: str
    """What stands before the names of the plan."""
    pairs: list[tuple[str, Entry]]
    """Names of the state dict with their entries: of a tied parameter, all that are there."""
    missing: list[Entry]
    extra: list[str]
    """Names behind the prefix that the plan does not have."""
    apart: int
    """How many names have another prefix: those of an optimizer, for one."""


def matches(entries: Iterable[Entry], names: Collection[str], prefix: str | None) -> Matches:
    """Match the names of a state dict, in which wrappers may have left theirs.

    Args:
        entries: Those of the plan.
        names: Those of the state dict.
        prefix: What stands before the names of the model, such as "model."; None to find it.

    Raises:
        ValueError: The names stand behind several prefixes, or none is behind the given one.
    """
    by_name = {name: entry for entry in entries for name in (entry.name, *entry.aliases)}
    own_names = set(names)
    plain = [(_plain(name, own_names), name) for name in names]
    known = {name for name, _ in plain}
    prefix = _found(by_name, known) if prefix is None else unwrapped(prefix)
    behind = [name for name in known if name.startswith(prefix)]
    if behind and prefix and all(name.startswith(".", len(prefix)) for name in behind):
        prefix += "."  # where it was left out
    rest = [(name.removeprefix(prefix), own) for name, own in plain if name.startswith(prefix)]
    if plain and not rest:
        raise wrong("verify", "prefix", f"that of names such as {min(plain)[0]!r}", prefix)
    pairs = [(own, by_name[name]) for name, own in rest if name in by_name]
    seen = {entry.name for _, entry in pairs}
    missing = [entry for entry in by_name.values() if entry.name not in seen]
    return Matches(
        prefix,
        pairs,
        list({entry.name: entry for entry in missing}.values()),
        [own for name, own in rest if name not in by_name],
        len(plain) - len(rest),
    )


def _plain(name: str, names: set[str]) -> str:
    """A name without wrappers, and without what `spectral_norm` makes of it."""
    if _ORIGINAL.sub(r"\g<1>0._u", name) in names:
        name = _ORIGINAL.sub(r"\2", name)
    return unwrapped(name)


def _found(planned: dict[str, Entry], known: set[str]) -> str:
    """The prefix behind which most names of the plan stand."""
    direct = len(known & planned.keys())
    if direct == len(planned):
        return ""
    ends = ((name, dot.end()) for name in known for dot in re.finditer(r"\.", name))
    counts = Counter(name[:end] for name, end in ends if name[end:] in planned)
    most = max(counts.values(), default=0)
    if direct >= most:
        return ""
    best = sorted(prefix for prefix, count in counts.items() if count == most)
    if len(best) > 1:
        both = " and ".join(map(repr, best))
        raise ValueError(f"verify: the names of the plan stand behind {both}; say which as prefix")
    return best[0]
