"""Where the sources are, and how a battery keeps its results: as JSON, with what it ran on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from winit_cuda._command import machine

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, result: Mapping[str, object]) -> None:
    """Write a result with the machine."""
    described = {**result, "machine": machine.describe()}
    path.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
