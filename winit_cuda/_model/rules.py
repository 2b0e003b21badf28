"""Rules: which initializer a parameter has, by its name or by the module that owns it.

Rules are looked at in order, and the first that matches decides.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._core.checks import WrongTypeError, WrongValueError, wrong
from .._initializers.base import Initializer
from .rule_files import read

Modules = tuple[nn.Module, ...]
Pattern = str | re.Pattern[str] | type[nn.Module] | tuple[type[nn.Module], ...]
# From the name and the parameter to its initializer, or None to leave it to later rules. By type of
# modules, also from the owner and the modules around it.
Chooser = (
    Callable[[str, torch.Tensor], Initializer | None]
    | Callable[[str, torch.Tensor, Modules], Initializer | None]
)
Choice = Initializer | Chooser
Rules = Mapping[Any, Choice] | Iterable[tuple[Pattern, Choice]]


class Rule:
    """One rule, with whether it ever decided."""

    def __init__(self, pattern: Any, choice: Any) -> None:
        self.pattern, self._choice = pattern, choice
        self.is_idle = True
        self._types = _types(pattern)
        if isinstance(pattern, str):
            self._matches: Any = re.compile(fnmatch.translate(pattern)).match
        elif isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
            self._matches = pattern.fullmatch
        elif not self._types:
            requirement = "a glob, a compiled regular expression or a type of modules"
            raise wrong("plan", "a pattern of rules", requirement, pattern, TypeError)
        if not callable(choice) or type(choice) is Initializer or isinstance(choice, type):
            requirement = "an initializer such as Zeros(), or a function that chooses one"
            received = choice.__name__ if isinstance(choice, type) else choice
            raise wrong("plan", f"the rule of {self}", requirement, received, TypeError)

    def initializer(self, name: str, tensor: torch.Tensor, modules: Modules) -> Initializer | None:
        """What the rule says of a parameter, whose owner is the first of the modules, if known."""
        if self._types:
            if not (modules and isinstance(modules[0], self._types)):
                return None
        elif self._matches(name) is None:
            return None
        found: Any = self._choice
        if not isinstance(found, Initializer):
            found = self._called(found, name, tensor, modules)
        if found is None:
            return None
        if not isinstance(found, Initializer) or type(found) is Initializer:
            what = f"what the rule of {self} returns for {name}"
            requirement = "an initializer such as Zeros(), or None"
            raise wrong("plan", what, requirement, found, TypeError)
        self.is_idle = False
        return found

    def _called(self, choose: Any, name: str, tensor: torch.Tensor, modules: Modules) -> Any:
        try:
            return choose(name, tensor, modules) if self._types else choose(name, tensor)
        except (WrongValueError, WrongTypeError):
            raise  # of a preset: it says what is wrong itself
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            message = f"plan: the rule of {self} failed for {name}, {reason}"
            raise RuntimeError(message) from error

    def __str__(self) -> str:
        names = ", ".join(one.__name__ for one in self._types)
        return names or (repr(self.pattern) if isinstance(self.pattern, str) else str(self.pattern))


def chosen(
    rules: list[Rule], name: str, tensor: torch.Tensor, modules: Modules
) -> Initializer | None:
    """What the first rule says that matches a parameter."""
    for rule in rules:
        found = rule.initializer(name, tensor, modules)
        if found is not None:
            return found
    return None


def parsed(rules: Rules | str | Path) -> list[Rule]:
    """The rules of a mapping, of pairs, or of a JSON or TOML file."""
    given: Any = read(Path(rules)) if isinstance(rules, (str, Path)) else rules
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        return [Rule(pattern, choice) for pattern, choice in pairs]
    except (TypeError, ValueError) as error:
        if str(error).startswith("plan: "):
            raise
        raise wrong("plan", "rules", "a mapping or pairs of a pattern and an initializer", rules,
                    TypeError) from error  # fmt: skip


def _types(pattern: Any) -> tuple[type[nn.Module], ...]:
    """The types of a pattern by type; none of another."""
    types = pattern if isinstance(pattern, tuple) else (pattern,)
    are_types = all(isinstance(one, type) and issubclass(one, nn.Module) for one in types)
    return types if are_types else ()
