"""Ranks of a large model: the parts are right, what is wrong is told, the page says it."""

from __future__ import annotations

import argparse
import json

import pytest
import torch

if torch.__version__ < (2, 10) or not torch.distributed.is_available():
    pytest.skip("no rows of FSDP2 that the ranks do not divide", allow_module_level=True)

from benchmarks.scale import __main__ as scale
from benchmarks.scale import rank as one
from benchmarks.scale.llama import CONFIGS, Llama
from initializers import needs_core

pytestmark = needs_core


@pytest.fixture
def run(monkeypatch):
    """Runs a rank, always the same: torch keeps what it knows of meshes for all of the process."""
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(torch, "set_default_dtype", lambda _: None)
    options = argparse.Namespace(model="tiny", dtype="float32", dp=3, tp=2, threads=1)

    def run(number, arguments=options):
        try:
            return one.run(number, arguments)
        finally:
            torch.distributed.destroy_process_group()

    return run


def test_a_rank_has_its_slices(run):
    found = run(5)
    assert found["different"] == []
    assert found["compared"] == 21
    assert found["collectives"] == 0
    whole = sum(parameter.numel() for parameter in Llama(CONFIGS["tiny"]).parameters())
    assert found["parameters"] == whole
    assert whole / 6 * 0.8 < found["local_elements"] < whole / 6 * 1.2
    assert found["local_bytes"] == 4 * found["local_elements"]


def test_other_slices_are_told(run, monkeypatch):
    monkeypatch.setattr(one, "slice_of", lambda whole, *_: whole[:4])
    assert len(run(5)["different"]) == 21


def test_the_shape_of_llama_405b():
    with torch.device("meta"):
        model = Llama(CONFIGS["405B"])
    sizes = [parameter.numel() for parameter in model.parameters()]
    assert len(sizes) == 1137
    assert round(sum(sizes) / 1e9, 1) == 405.9


def test_the_page_and_the_data(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(scale, "_run", run)
    words = ["--model", "tiny", "--dp", "3", "--tp", "2", "--ranks", "5"]
    assert scale.main([*words, "--output", str(tmp_path)]) == 0
    (data,), (page,) = tmp_path.glob("*.json"), tmp_path.glob("*.md")
    report = json.loads(data.read_text())
    assert [rank["rank"] for rank in report["ranks"]] == [5]
    assert "21 tensors" in page.read_text()
    assert "21 of 21" in capsys.readouterr().out
    monkeypatch.setattr(one, "slice_of", lambda whole, *_: whole[:4])
    assert scale.main(words) == 1
