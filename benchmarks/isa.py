"""The instruction sets that the core can be held to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from winit_cuda._core import backend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def usable() -> list[str]:
    """Those of this build and processor, the best one first; none without a core."""
    return list(reversed(backend.loaded.build_info()["simd"])) if backend.loaded else []


@contextmanager
def forced(isa: str) -> Iterator[None]:
    """A context in which the core uses this instruction set; with "", the one it uses anyway."""
    if not isa:
        yield
        return
    core = backend.loaded
    before = core.build_info()["simd_active"]
    core.set_simd(isa)
    try:
        yield
    finally:
        core.set_simd(before)


def of_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of rows of results, those of the instruction set that was measured first."""
    return [row for row in rows if row.get("isa") == rows[0].get("isa")]
