"""What a run on a GPU gives: a row for each case, and all with what they ran on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .rivals import MEMORY, TORCH, US

if TYPE_CHECKING:
    from winit_cuda._core.backend import BackendInfo

    from ..cases import Case
    from ..measure import Timing


@dataclass(frozen=True)
class GpuRow:
    """The result of a case: every side has a timing, or a note that says why it has none."""

    case: Case
    timings: dict[str, Timing]
    ratios: dict[str, float]
    """Time of the side / time of winit_cuda, the median over the rounds."""
    notes: dict[str, str]
    device: dict[str, float] = field(default_factory=dict)
    """Seconds of a launch alone, captured in a graph, of the plain laws."""

    @property
    def failure(self) -> str:
        """Why winit_cuda has no time; empty where it has one, or the case was left out."""
        note = self.notes.get(US, "")
        return "" if US in self.timings or note.startswith("skipped") else note or "not measured"

    def gigabytes_per_second(self, side: str) -> float | None:
        timing = self.timings.get(side)
        return self.case.bytes / timing.median / 1e9 if timing else None

    @property
    def ratio(self) -> float | None:
        return self.ratios.get(TORCH)

    @property
    def fill_ratio(self) -> float | None:
        return self.ratios.get(MEMORY)

    def of_fill(self, side: str) -> float | None:
        """Time of ``fill_`` / time of the side: the part of the speed of memory that it reaches."""
        if side == US:
            return self.fill_ratio
        fill, other = self.timings.get(MEMORY), self.timings.get(side)
        return fill.median / other.median if fill and other else None


@dataclass(frozen=True)
class GpuReport:
    """The rows of a run, with everything that is needed to judge them."""

    command: str
    dry_run: bool
    complete: bool
    cases: int
    machine: dict[str, object]
    gpu_idle: dict[str, object]
    gpu_at_work: dict[str, object]
    bandwidths: dict[str, float]
    """What memory gives here, in bytes a second, by a copy and by a fill."""
    backend: BackendInfo
    rows: list[GpuRow]

    @property
    def l2_bytes(self) -> int | None:
        size = self.gpu_idle.get("l2_bytes")
        return size if isinstance(size, int) else None

    @property
    def title(self) -> str:
        name = f"{self.gpu_idle.get('name', 'no GPU')}"
        return f"DRY RUN on the CPU ({self.machine['cpu']})" if self.dry_run else name
