"""Rules: which initializer a parameter has, by its name or by the module that owns it.

Rules are looked at in order, and the first that matches decides.
"""

import fnmatch
import importlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._core.checks import wrong
from .._initializers.base import Initializer

Pattern = str | re.Pattern[str] | type[nn.Module]
# From the name and the parameter to its initializer, or None to leave it to later rules.
Choice = Initializer | Callable[[str, torch.Tensor], Initializer | None]
Rules = Mapping[Pattern, Choice] | Iterable[tuple[Pattern, Choice]]


class Rule:
    """One rule, with whether it ever decided."""

    def __init__(self, pattern: Any, choice: Any) -> None:
        self.pattern, self.choice = pattern, choice
        self.is_idle = True
        if isinstance(pattern, str):
            self._matches: Any = re.compile(fnmatch.translate(pattern)).match
        elif isinstance(pattern, re.Pattern):
            self._matches = pattern.fullmatch
        elif not (isinstance(pattern, type) and issubclass(pattern, nn.Module)):
            requirement = "a glob, a compiled regular expression or a type of modules"
            raise wrong("plan", "a pattern of rules", requirement, pattern, TypeError)
        if not callable(choice):
            requirement = "an initializer or a callable that chooses one"
            raise wrong("plan", f"the rule of {pattern!r}", requirement, choice, TypeError)

    def initializer(self, name: str, tensor: torch.Tensor, owner: nn.Module) -> Initializer | None:
        """What the rule says of a parameter; None where it says nothing."""
        if isinstance(self.pattern, type):
            if not isinstance(owner, self.pattern):
                return None
        elif self._matches(name) is None:
            return None
        found: Any = self.choice
        if not isinstance(found, Initializer):
            found = found(name, tensor)
        if found is not None and not isinstance(found, Initializer):
            requirement = "a winit_cuda.Initializer or None"
            what = f"what the rule of {self.pattern!r} returns"
            raise wrong("plan", what, requirement, found, TypeError)
        self.is_idle = self.is_idle and found is None
        return found

    def __str__(self) -> str:
        return repr(self.pattern) if isinstance(self.pattern, str) else str(self.pattern)


def parsed(rules: Rules | str | Path) -> list[Rule]:
    """The rules of a mapping, of pairs, or of a JSON or TOML file."""
    given: Any = _read(Path(rules)) if isinstance(rules, (str, Path)) else rules
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        return [Rule(pattern, choice) for pattern, choice in pairs]
    except (TypeError, ValueError) as error:
        if str(error).startswith("plan: "):
            raise
        raise wrong("plan", "rules", "a mapping or pairs of a pattern and an initializer", rules,
                    TypeError) from error  # fmt: skip


def _read(path: Path) -> dict[str, Initializer]:
    """The rules of a file: patterns with what `Initializer.as_dict` gives, or a bare name."""
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() == ".toml":
        try:
            described = importlib.import_module("tomllib").loads(text)
        except ImportError as error:  # Python 3.10
            raise wrong("plan", "rules", "a JSON file before Python 3.11", str(path)) from error
    else:
        try:
            described = json.loads(text)
        except json.JSONDecodeError as error:
            raise wrong("plan", "rules", f"a file of JSON or TOML ({error})", str(path)) from error
    if not isinstance(described, dict):
        raise wrong("plan", "rules", "a file with one object of patterns", str(path))
    return {
        pattern: Initializer.from_dict({"initializer": one} if isinstance(one, str) else one)
        for pattern, one in described.items()
    }
