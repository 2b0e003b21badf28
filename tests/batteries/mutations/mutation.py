"""A small fault: an exact text of one file, and what stands there instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """A fault: `text` of `file` becomes `replacement`."""

    name: str
    kind: str  # index, rounding, carry, order or version
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]

    @property
    def is_compiled(self) -> bool:
        """Whether the fault is one of the core's."""
        return self.file.startswith("csrc/")

    @property
    def described(self) -> dict[str, str]:
        """The fault as results keep it."""
        names = ("name", "kind", "file", "text", "replacement")
        return {name: getattr(self, name) for name in names}

    def made(self, row: dict[str, object]) -> bool:
        """Whether a row of results is of this fault."""
        return self.described.items() <= row.items()

    def check(self, root: Path) -> None:
        """Raise ValueError where the text does not name one place."""
        found = (root / self.file).read_text(encoding="utf-8").count(self.text)
        if found != 1:
            raise ValueError(f"{self.name}: its text is {found} times in {self.file}, not once")

    def in_python(self, content: str) -> str:
        """The file with the fault."""
        return content.replace(self.text, self.replacement)

    def in_core(self, content: str, number: int) -> str:
        """The file with the fault where `number` is chosen."""
        return content.replace(
            self.text, f"(kMutation == {number} ? ({self.replacement}) : ({self.text}))"
        )
