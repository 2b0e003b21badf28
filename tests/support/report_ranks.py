"""One of two processes that report on the same DTensors: `report_ranks.py RANK STORE`."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh

import winit_cuda as winit
from dtensors import Replicate, Shard
from dtensors import distributed as distribute
from winit_cuda._verify.tensor_statistics import statistics_of

SHAPES = {"even": (40, 30), "uneven": (41, 30), "replicated": (30, 20), "columns": (30, 5)}


def main(rank: int, store: Path) -> None:
    torch.set_num_threads(1)
    if "lo" in (name for _, name in socket.if_nameindex()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    placements = {"replicated": Replicate(), "columns": Shard(1)}
    generator = torch.Generator().manual_seed(0)
    wholes = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    wholes["again"] = wholes["even"].clone()
    wholes["one row"] = torch.randn(1, 5, generator=generator)  # the second rank has nothing
    parts = {
        name: distribute(whole, mesh, [placements.get(name, Shard(0))])
        for name, whole in wholes.items()
    }
    answer = {"statistics": compared(parts, wholes), "findings": findings(parts)}
    print(json.dumps(answer))
    distributed.destroy_process_group()


def compared(parts: dict, wholes: dict) -> dict:
    """The statistics of DTensors and of whole tensors, as lists."""
    found = [
        [
            [own.count, own.zeros, own.low, own.high, own.mean, own.std, sum(own.histogram)]
            for own in statistics_of(list(tensors.values()), [0.0] * len(tensors))
        ]
        for tensors in (parts, wholes)
    ]
    return dict(zip(parts, zip(*found, strict=True), strict=True))


def findings(parts: dict) -> dict:
    """What a report finds in a model of these DTensors, of which some are spoiled."""
    del parts["one row"]
    model = nn.ParameterDict(parts)
    plan = winit.plan(model, {"*": winit.Normal()})
    plan.run(model, seed=0)
    with torch.no_grad():
        model["replicated"].zero_()
        model["again"].copy_(model["even"])
        if distributed.get_rank() == 1:
            model["columns"].to_local()[2, 1] = torch.nan
    with contextlib.suppress(ValueError):
        winit.report(model, plan, batch="random")
        raise AssertionError("a batch ran through parts of layers")
    found = winit.report(model, plan)
    return {row.name: [finding.kind for finding in row.findings] for row in found.parameters}


main(int(sys.argv[1]), Path(sys.argv[2]))
