"""Parts of a matrix against the whole, as they are measured and written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from winit_cuda.benchmarks import shards

import winit_cuda
from initializers import needs_core

if TYPE_CHECKING:
    from pathlib import Path

MATRIX = (256, 512)


def test_parts_are_as_large_as_they_are_called() -> None:
    found = {part.name: part for part in shards.parts(MATRIX)}
    assert len(found) == 15
    assert found["whole"].shape == MATRIX
    for name, part in found.items():
        words = name.split()
        count = int(words[0].partition("/")[2]) if "/" in words[0] else 8
        assert part.shape[0] * part.shape[1] == MATRIX[0] * MATRIX[1] / (name == "whole" or count)
        if name.endswith("rows"):
            assert part.shape[1] == MATRIX[1]
        if name.endswith("columns"):
            assert part.shape[0] == MATRIX[0]
    sizes = {"2 boxes by rows": 2, "16 boxes by columns": 16, "2x2 boxes": 4, "4x4 boxes": 16}
    for name, boxes in sizes.items():
        shard = found[name].shard
        assert isinstance(shard, winit_cuda.Shards)
        assert len(shard.boxes) == boxes
    assert {found["2x2 boxes"].shape, found["4x4 boxes"].shape} == {(128, 128)}


@needs_core
def test_results_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shards, "MATRICES", (MATRIX,))
    monkeypatch.setattr(shards, "FUNCTIONS", {"sparse_": (0.5,)})
    monkeypatch.setattr(shards, "SECONDS", 0.0)
    assert shards.main([str(tmp_path)]) == 0
    (data,), (page,) = tmp_path.glob("*.json"), tmp_path.glob("*.md")
    read = json.loads(data.read_text())
    rows = read["rows"]
    assert [row["part"] for row in rows] == [part.name for part in shards.parts(MATRIX)]
    assert rows[0]["share"] == 1.0
    assert all(row["work"]["rounds"] == shards.LEAST_ROUNDS for row in rows)
    assert read["machine"]["torch"] == torch.__version__
    assert "| whole | 256x512 |" in page.read_text()
    assert "## sparse_ of 256x512" in page.read_text()


@pytest.mark.skipif(shards.peak_of(lambda: None) is None, reason="needs /proc and glibc")
@needs_core
def test_the_peak_is_what_a_call_had() -> None:
    # The kernel counts pages roughly, and more so beside other processes.
    peaks = [shards.peak_of(lambda: torch.ones(1 << 23)) or 0 for _ in range(5)]
    assert any(15 << 21 < peak < 5 << 23 for peak in peaks)
