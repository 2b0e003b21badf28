"""The programs under examples/, run as their users run them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from initializers import needs_core

pytest.importorskip("torch.distributed.fsdp", reason="needs torch.distributed")
pytest.importorskip("torch.distributed.tensor", reason="needs DTensor")

FSDP2 = Path(__file__).resolve().parents[2] / "examples" / "fsdp2.py"


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


def printed(processes: list[subprocess.Popen[str]]) -> str:
    """What the first of them printed, once all have ended well."""
    outputs = []
    try:
        for process in processes:
            output, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
            outputs.append(output)
    finally:
        for process in processes:
            process.kill()
    assert not any(outputs[1:])
    return outputs[0]


@needs_core
@pytest.mark.skipif(not hasattr(torch.distributed.fsdp, "fully_shard"), reason="needs FSDP2")
def test_fsdp2_does_not_depend_on_the_number_of_processes() -> None:
    """One and two at once; they say the same weights and losses, and have learned something."""
    runs = [started(FSDP2, world) for world in (1, 2)]
    alone, together = map(printed, runs)
    weights, *losses = alone.splitlines()
    assert re.fullmatch("weights [0-9a-f]{64}", weights)
    assert together.splitlines()[0] == weights
    pattern = r"loss of step \d+ (\d+\.\d{6})\n"
    ours = [float(loss) for loss in re.findall(pattern, together)]
    first, last = (float(loss) for loss in re.findall(pattern, alone))
    assert len(losses) == len(ours) == 2
    assert ours[0] == pytest.approx(first, rel=0, abs=1e-5)
    assert last < first / 2
