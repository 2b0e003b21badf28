"""Models of FSDP2 whose parameters are gathered when they are filled."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributed import fsdp
from torch.distributed.device_mesh import init_device_mesh

import winit_cuda as winit
from initializers import needs_core
from meshes import as_each_rank

pytestmark = [
    needs_core,
    pytest.mark.skipif(not hasattr(fsdp, "fully_shard"), reason="torch has no FSDP2"),
]


def layers():
    return nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))


@pytest.mark.usefixtures("fake_ranks")
@pytest.mark.parametrize("name", ["plan", "build"])
def test_a_factory_that_divides_its_model(name):
    def factory():
        return fsdp.fully_shard(layers(), mesh=init_device_mesh("cpu", (1,)))

    ways = {"plan": winit.plan, "build": lambda factory: winit.build(factory, 0)}
    with pytest.raises(RuntimeError, match=rf"^{name}: 0.weight is a DTensor, .*leave fully_shard"):
        ways[name](factory)


@pytest.mark.parametrize(
    "fill",
    [lambda model: winit.initialize(model, 0), lambda model: winit.plan(layers).run(model, 0)],
    ids=["initialize", "run"],
)
def test_after_a_forward(fill):
    wanted = dict(winit.build(layers, 0).named_parameters())
    for rank, (_, mesh) in enumerate(as_each_rank((2,), ("data",))):
        model = layers()
        fsdp.fully_shard(model[0], mesh=mesh)
        fsdp.fully_shard(model, mesh=mesh)
        model(torch.ones(1, 6))  # which leaves the root's parameters gathered
        fill(model)
        model.reshard()
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter.to_local(), wanted[name].chunk(2)[rank]), name
