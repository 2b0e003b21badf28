"""The programs under examples/, run as their users run them."""

from __future__ import annotations

import os
import re
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from initializers import needs_core

pytest.importorskip("torch.distributed.fsdp", reason="needs torch.distributed")
pytest.importorskip("torch.distributed.tensor", reason="needs DTensor")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FSDP2 = EXAMPLES / "fsdp2.py"
PLAN = EXAMPLES / "plan.py"
VERIFY = EXAMPLES / "verify.py"


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def started(script: Path, world: int) -> list[subprocess.Popen[str]]:
    """The processes that torchrun would start, without its own, which takes as long as they do."""
    common = {
        **os.environ,
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            [sys.executable, str(script)],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]


def printed(processes: list[subprocess.Popen[str]]) -> list[str]:
    """The lines of the first of them, once all have ended well; the others say nothing."""
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert not any(process.returncode for process in processes), [errors for _, errors in outputs]
    # Some torch prints how its processes are connected.
    first, *others = (re.sub(r"^\[Gloo\].*\n", "", output, flags=re.M) for output, _ in outputs)
    assert not any(others)
    return first.splitlines()


@needs_core
@pytest.mark.skipif(not hasattr(torch.distributed.fsdp, "fully_shard"), reason="needs FSDP2")
def test_fsdp2_does_not_depend_on_the_number_of_processes() -> None:
    """One and two at once: the same weights and the same loss, which then falls."""
    runs = [started(FSDP2, world) for world in (1, 2)]
    found = []
    for lines in map(printed, runs):
        weights, *losses = lines
        assert re.fullmatch("weights [0-9a-f]{64}", weights)
        pattern = r"loss of step \d+ (\d+\.\d{6})"
        first, last = (float(re.fullmatch(pattern, line)[1]) for line in losses)
        assert last < first / 2
        found.append((weights, first))
    (weights, first), (other_weights, other_first) = found
    assert other_weights == weights
    assert other_first == pytest.approx(first, rel=0, abs=1e-5)


@needs_core
@pytest.mark.skipif(not hasattr(torch.distributed.fsdp, "fully_shard"), reason="imports FSDP2")
def test_a_plan_of_a_constructor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, and sharded by two others at the same time."""
    others = started(PLAN, 2)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    runpy.run_path(str(PLAN), run_name="__main__")
    table, report, weights = capsys.readouterr().out.strip().split("\n\n")
    assert re.search(r"^embedding.weight +Normal\(\), \[0:1\] = Zeros\(\) ", table, flags=re.M)
    assert report == "filled 33 tensors, 213,664 elements"
    assert re.fullmatch("weights [0-9a-f]{64}", weights)
    assert printed(others)[-1] == weights


@needs_core
def test_a_changed_element_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(VERIFY), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok: 13 tensors, 130,432 elements, have the planned weights of seed 7"
    assert "different: 1 of 13 tensors do not have the planned weights of seed 7" in lines
    changed = r"model\.blocks\.1\.down\.weight +bfloat16 +1 of 16,384 +\[3, 200\] +0\.5 .*"
    assert len([line for line in lines if re.fullmatch(changed, line)]) == 1
    assert any(line.startswith("of seed 7: model.embedding.weight") for line in lines)
