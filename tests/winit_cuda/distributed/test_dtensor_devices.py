"""DTensors on CUDA devices: the memory is filled where it is, and the CPU's generator rules."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit
from dtensors import DTensor, Shard, distributed
from initializers import ORTHOGONAL, every_random, needs_core
from meshes import mesh_at

pytestmark = [pytest.mark.usefixtures("fake_ranks"), needs_core]

OTHER = 1
"""Which rank of two the process is: the one with the lower half of the rows."""


def lower_rows(shape, device):
    """The DTensor and its local tensor, which need not be on the device of the mesh."""
    mesh = mesh_at((2,), (OTHER,))
    made = distributed(torch.empty(shape), mesh, [Shard(0)])
    local = torch.full((shape[0] // 2, *shape[1:]), 7.0, device=device)
    return DTensor(local, made._spec, requires_grad=False), local


def equal(initializer, local, expected):
    tolerance = 1e-6 if initializer.name in ORTHOGONAL else 0.0
    return torch.allclose(local.cpu(), expected, rtol=0, atol=tolerance)


@every_random
def test_filled_where_it_is(machine, initializer):
    """A device seeded apart does not rule: the ranks are to agree."""
    weight, local = lower_rows(initializer.shape, "cuda:0")
    assert weight.device_mesh.device_type == "cpu"
    torch.cuda.default_generators[0].manual_seed(torch.initial_seed() + 1)
    there = torch.cuda.default_generators[0].get_state()
    state = torch.get_rng_state()
    assert initializer(weight) is weight
    after = torch.get_rng_state()
    torch.set_rng_state(state)
    whole = initializer(initializer.empty())
    assert equal(initializer, local, whole[whole.shape[0] // 2 :])
    assert torch.equal(torch.get_rng_state(), after)
    assert torch.equal(torch.cuda.default_generators[0].get_state(), there)
    assert machine is None or machine.core.launches


def test_offloaded_from_the_device_of_its_mesh(machine):
    """As FSDP2 does with a CPUOffloadPolicy: nothing of it is on the device then."""
    weight, local = lower_rows((6, 5), "cpu")
    mesh = weight.device_mesh
    name = "_device_type" if hasattr(mesh, "_device_type") else "device_type"  # before torch 2.10
    before = mesh.device_type
    setattr(mesh, name, "cuda")
    try:
        assert weight.device_mesh.device_type == "cuda"
        torch.manual_seed(4)
        winit.normal_(weight)
    finally:
        setattr(mesh, name, before)
    torch.manual_seed(4)
    assert torch.equal(local, winit.normal_(torch.empty(6, 5))[3:])
    assert machine is None or machine.core.launches == []


@pytest.mark.usefixtures("machine")
def test_a_graph_draws_anew():
    weight, local = lower_rows((6, 5), "cuda:0")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        winit.normal_(weight)
    values = []
    for _ in range(2):
        graph.replay()
        values.append(local.cpu())
    assert not torch.equal(*values)
