"""`verify` of DTensors: each rank its part, and one result for all."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pytest
import torch
from torch import nn

import winit_cuda as winit
from dtensors import DTensor, Replicate, Shard, distributed
from initializers import needs_core
from meshes import fake_group, mesh_at
from winit_cuda._verify.compare import compare, together
from winit_cuda._verify.found import of_mapping

pytestmark = needs_core

RULES = {"a": winit.Normal(), "b": winit.Orthogonal(), "c": winit.Sparse(0.5), "d": winit.Zeros()}


@pytest.fixture(scope="module")
def plan():
    shapes = {"a": (7, 5), "b": (6, 4), "c": (10, 3), "d": (4,)}
    model = nn.ParameterDict({name: torch.empty(shape) for name, shape in shapes.items()})
    return winit.plan(model, RULES)


@pytest.fixture
def state(plan):
    model = nn.ParameterDict({entry.name: torch.empty(entry.shape) for entry in plan})
    plan.run(model, seed=3)
    return {name: tensor.detach() for name, tensor in model.items()}


@pytest.mark.parametrize(
    "placements",
    [(Shard(0), Shard(0)), (Shard(0), Replicate()), (Replicate(), Replicate())],
    ids=str,
)
def test_the_ranks_of_a_mesh(placements, plan, state):
    state["a"][5, 1] = state["a"][6, 4] = 9.0
    state["c"][3, 2] = 8.0
    ranks = []
    with fake_group():
        for coordinate in itertools.product(range(2), range(3)):
            mesh = mesh_at((2, 3), coordinate)
            parts = {name: distributed(each, mesh, placements) for name, each in state.items()}
            found = of_mapping(parts, list(plan), True, {}, None)
            assert all(item.stored.is_shared for item in found.items)
            ranks.append(compare(found.items, winit.key(3), 2e-5))
    whole = {name: together([rank[name] for rank in ranks]) for name in state}
    numbers = {name: (one.index, one.count, one.elements) for name, one in whole.items()}
    assert numbers == {"a": (26, 2, 35), "b": (-1, 0, 24), "c": (11, 1, 30), "d": (-1, 0, 4)}
    assert (whole["a"].found, whole["c"].found) == (9.0, 8.0)


def test_one_replica_that_differs(plan, state):
    ranks = []
    with fake_group():
        for index in range(2):
            state["a"][6, 4] += index
            mesh = mesh_at((2,), (index,))
            given = {"a": distributed(state["a"], mesh, [Replicate()])}
            items = of_mapping(given, [plan["a"]], True, {}, None).items
            ranks.append(compare(items, winit.key(3), 2e-5)["a"])
    assert (together(ranks).index, together(ranks).count) == (34, 1)
    assert together(ranks[::-1]) == together(ranks)


PROGRAM = """
import json, os, sys, warnings
import torch
from torch import distributed
from torch.distributed import checkpoint
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
import winit_cuda as winit

torch.set_num_threads(1)
warnings.simplefilter("ignore")
folder, rank = sys.argv[1], int(sys.argv[2])
distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
plan = winit.Plan.load(f"{folder}/plan.json")
whole = torch.load(f"{folder}/state.pt")
state = {name: distribute_tensor(each, mesh, [Shard(0)]) for name, each in whole.items()}
parts = {name: each.to_local() for name, each in state.items()}
shards = {}
for name, each in whole.items():
    first = rank * -(-len(each) // 2)
    shards[name] = winit.Shard(each.shape, (first, *[0] * (each.dim() - 1)))
model = torch.nn.ParameterDict({name: torch.nn.Parameter(each) for name, each in state.items()})
own = {"a": whole["a"]} if rank else {name: whole[name] for name in "bcd"}
results = [
    winit.verify(state, plan, seed=3, seeds=[5]),
    winit.verify(parts, plan, seed=3, seeds=[5], shards=shards, group=distributed.group.WORLD),
    winit.verify(own, plan, seed=3, seeds=[5], group=distributed.group.WORLD),
    winit.verify(model, plan, seed=3, seeds=[5]),
]
checkpoint.save({"model": state}, checkpoint_id=f"{folder}/saved")
print(json.dumps([result.as_dict() for result in results]), flush=True)
distributed.destroy_process_group()
# a thread of gloo may let go of the last tensor later, which Python's end would abort
os._exit(0)
"""


@pytest.mark.skipif(
    not DTensor.__module__.startswith("torch.distributed.tensor"), reason="needs public DTensors"
)
def test_two_processes_get_one_result(plan, state, tmp_path):
    """Of DTensors, of parts, of two stages of a pipeline, and of what they save together."""
    other = nn.ParameterDict({entry.name: torch.empty(entry.shape) for entry in plan})
    plan.run(other, seed=5)
    state["a"] = other["a"].detach()
    state["d"][3] = -0.0
    plan.save(tmp_path / "plan.json")
    torch.save(state, tmp_path / "state.pt")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    processes = [
        subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert not any(process.returncode for process in processes), outputs
    assert len(list((tmp_path / "saved").glob("*.distcp"))) == 2
    first, second = (json.loads(output.splitlines()[-1]) for output, _ in outputs)
    for one, same in zip(first, second, strict=True):
        assert sorted(one) == sorted(same)
        assert one["verdict"] == same["verdict"]
        by_name = {each["name"]: each for each in one["different"]}
        assert by_name == {each["name"]: each for each in same["different"]}
        assert {name: each["seeds"] for name, each in by_name.items()} == {"a": [5], "d": []}
        assert (by_name["a"]["count"], by_name["a"]["index"]) == (35, 0)
        assert (by_name["d"]["count"], by_name["d"]["index"]) == (1, 3)
        assert one["elements"] == 35 + 24 + 30 + 4
        assert one["missing"] == []
    saved = winit.verify(tmp_path / "saved", plan, seed=3, seeds=[5])
    numbers = {one.name: (one.count, one.index, one.seeds) for one in saved.different}
    assert numbers == {"model.a": (35, 0, (5,)), "model.d": (1, 3, ())}
    assert saved.elements == first[0]["elements"]
