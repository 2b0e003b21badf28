"""An extension of griffe, which reads the docstrings: "Example:" heads a section of examples.

griffe's own name for it is "Examples:"; under another name the prompts would be read as quotations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from griffe import Object


class Examples(griffe.Extension):
    """Give the section the name that griffe knows."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Look at the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
