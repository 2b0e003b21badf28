"""Values that are no law: the steps that compute them, as data.

Steps are only decoded where a program is read or run, by `coding`, which is imported then: it needs
all that reads a constructor.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from .._keys.keys import Key


@dataclass(frozen=True)
class Program:
    """How a tensor's values are computed, from draws and data."""

    text: str
    """Its JSON, from which it is decoded where it runs."""

    @property
    def keys(self) -> list[str]:
        """The names of the keys that its draws have."""
        found = (step.get("key") for step in json.loads(self.text)["steps"])
        return list(dict.fromkeys(name for name in found if name is not None))

    @property
    def is_data(self) -> bool:
        """Whether it only copies values that the constructor had from elsewhere."""
        copies = ("clone", "lift_fresh", "lift_fresh_copy", "_to_copy", "copy_", "detach", "empty")
        names = [step["op"].split(".") for step in json.loads(self.text)["steps"]]
        return all(name[1:2] and name[1] in copies for name in names)

    def renamed(self, name: Callable[[str], str]) -> Program:
        """The same with other names for its keys."""
        described = json.loads(self.text)
        for step in described["steps"]:
            if "key" in step:
                step["key"] = name(step["key"])
        return Program.of(described)

    def values(self, base: Key) -> torch.Tensor:
        """The values for a seed, on the CPU."""
        found: torch.Tensor = _coding().values(json.loads(self.text), base)
        return found

    @staticmethod
    def of(described: Any) -> Program:
        """The program of these objects of JSON."""
        return Program(json.dumps(described, separators=(",", ":")))


def from_described(described: Any) -> Program:
    """The program of JSON that was read.

    Raises:
        TypeError: It is none, or calls what is not on the list.
    """
    try:
        _coding().decoded(described)
    except (LookupError, ArithmeticError, ValueError, AttributeError, RuntimeError) as error:
        raise TypeError(f"no program: {error!r}") from error
    return Program.of(described)


def _coding() -> Any:
    return importlib.import_module(".coding", __package__)
