"""One of two processes that report on the same DTensors: `report_ranks.py RANK STORE`."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import parallelize_module

import winit_cuda as winit
from dtensors import ColwiseParallel, Replicate, RowwiseParallel, Shard, fully_shard
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
    answer = {
        "statistics": compared(parts, wholes),
        "findings": findings(parts),
        "batches": {"fsdp": batch(sharded(mesh), shift=rank), "tp": batch(parallel(mesh))},
    }
    print(json.dumps(answer), flush=True)
    distributed.destroy_process_group()
    # a thread of gloo may let go of the last tensor later, which Python's end would abort
    os._exit(0)


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
    found = winit.report(model, plan)
    return {row.name: [finding.kind for finding in row.findings] for row in found.parameters}


class Block(nn.Module):
    """Layers that tensor parallelism splits by columns, then by rows, and one that it leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(8, 32)
        self.act = nn.ReLU()
        self.down = nn.Linear(32, 8)
        self.norm = nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x + self.down(self.act(self.up(x))))


def sharded(mesh: Any) -> nn.Module | None:
    """The model under FSDP2, where torch has it for the CPU."""
    model = Block()
    if fully_shard is None or torch.__version__ < (2, 5):
        return None
    fully_shard(model.up, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def parallel(mesh: Any) -> nn.Module:
    """The model in parts of layers, the outputs of one of which are DTensors."""
    ways = {
        "up": ColwiseParallel(use_local_output=False),
        "down": RowwiseParallel(input_layouts=Shard(-1)),
    }
    return parallelize_module(Block(), mesh, ways)


def batch(model: nn.Module | None, shift: float = 0.0) -> dict | None:
    """What a batch does in a model, and in one that is whole."""
    if model is None:
        return None
    whole, plan = winit.build(Block, seed=0), winit.plan(Block)
    plan.run(model, seed=0)
    given = shift + torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    found = [winit.report(each, plan, given) for each in (model, whole)]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert winit.verify(model, plan, seed=0).ok
    # The hooks by which FSDP2 shards for a state dict what a forward pass has gathered are there.
    kinds = [type(parameter) for parameter in model.parameters()]
    model(given)
    assert [type(each) for each in model.state_dict(keep_vars=True).values()] == kinds
    assert found[0].parameters == found[1].parameters
    answers = [
        {layer.name: [layer.std, layer.gradient_std] for layer in each.activity.layers}
        for each in found
    ]
    units = [each.activity.nonlinearities[0].units for each in found]
    return {"split": answers[0], "whole": answers[1], "units": units}


main(int(sys.argv[1]), Path(sys.argv[2]))
