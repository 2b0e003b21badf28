"""Files of rules: JSON or TOML, an object of globs and initializers."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

from .._core.checks import wrong
from .._initializers.base import Initializer


def read(path: Path) -> dict[str, Initializer]:
    """The rules of a file: globs with what `Initializer.as_dict` gives, or a bare name."""
    return {
        pattern: _initializer(f"{pattern!r} in {path}", described)
        for pattern, described in _parsed(path).items()
    }


def _initializer(where: str, described: Any) -> Initializer:
    try:
        named = {"initializer": described} if isinstance(described, str) else described
        return Initializer.from_dict(named)
    except (TypeError, ValueError) as error:
        hint = ""
        if isinstance(described, dict) and "initializer" not in described:
            hint = "; a glob with dots needs quotes in TOML"
        raise type(error)(f"plan: {where}: {error}{hint}") from error


def _parsed(path: Path) -> dict[str, Any]:
    """The object that a file has, its globs in their order."""
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() == ".toml":
            found = importlib.import_module("tomllib").loads(text)
        else:
            found = json.loads(text, object_pairs_hook=_without_repetition)
    except ImportError as error:  # Python 3.10
        raise wrong("plan", "rules", "a JSON file before Python 3.11", str(path)) from error
    except (ValueError, RecursionError) as error:  # of either language, or no UTF-8
        reason = f"{error}{_line_of(error, text)}"
        raise wrong("plan", "rules", f"a file of JSON or TOML ({reason})", str(path)) from error
    if not isinstance(found, dict):
        raise wrong("plan", "rules", "a file with one object of globs", str(path))
    return found


def _line_of(error: Exception, text: str) -> str:
    """The line that TOML's parser stopped at, which does not name a key that is there twice."""
    place = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)$", str(error))
    if place is None:
        return ""
    lines = text.rstrip().splitlines()
    number = min(int(place[1] or len(lines)), len(lines))
    return f": {lines[number - 1].strip()}" if lines else ""


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of two members of one name, the first would be lost without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return found
