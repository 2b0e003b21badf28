"""From DTensors to local memory and shards: real ones, of FSDP2 and tensor parallelism among them.

The ranks are those of one process (`meshes`).
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import dtensors
from meshes import as_each_rank, coordinates, fake_group, mesh_at, numbered, taken
from winit_cuda import Shard, Shards
from winit_cuda._core.torch_internals import strided_blocks
from winit_cuda._distributed import dtensor as dtensor_module
from winit_cuda._distributed.dtensor import local_part

S, Replicate, Partial = dtensors.Shard, dtensors.Replicate, dtensors.Partial
Strided = dtensors.Strided

fake_ranks = pytest.mark.usefixtures("fake_ranks")


def dtensor(shape, mesh, placements, local=None):
    """A DTensor of numbered elements, or one that claims to have this local tensor."""
    whole = numbered(shape).float()
    made = dtensors.distributed(whole, mesh, placements)
    return made if local is None else with_local(made, local)


def with_local(made, local):
    return dtensors.DTensor(local, made._spec, requires_grad=False)


@fake_ranks
def test_the_local_memory_itself():
    for coordinate in coordinates((2, 2)):
        made = dtensor((6, 5), mesh_at((2, 2), coordinate), [S(-1), S(0)])
        local, shard = local_part("fill_", made)
        assert type(local) is torch.Tensor
        assert local.data_ptr() == made._local_tensor.data_ptr()
        assert shard == Shard((6, 5), (3 * coordinate[1], 3 * coordinate[0]))
        parameter = nn.Parameter(made)
        with torch.enable_grad():
            local, _ = local_part("fill_", parameter)
        assert local.data_ptr() == parameter._local_tensor.data_ptr()
        assert not local.requires_grad


@fake_ranks
def test_its_own_device():
    """An offloaded tensor is not on the device of its mesh."""
    mesh = mesh_at((2,), (1,))
    made = dtensor((6,), mesh, [S(0)], torch.empty(3, device="meta"))
    assert mesh.device_type == "cpu"
    assert local_part("fill_", made).local.is_meta


@fake_ranks
def test_what_is_still_being_received():
    made = dtensor((8,), mesh_at((4,), (1,)), [S(0)])
    gathered = made.redistribute(placements=[Replicate()], async_op=True)
    assert type(gathered._local_tensor) is not torch.Tensor
    local, shard = local_part("fill_", gathered)
    assert type(local) is torch.Tensor
    assert shard == Shard((8,), (0,))


@fake_ranks
@dtensors.needs_strided
def test_several_boxes():
    made = dtensor((24, 2), mesh_at((2,), (1,)), [Strided(0, split_factor=3)])
    local, shard = local_part("fill_", made)
    assert isinstance(shard, Shards)
    assert [box.offsets for box in shard.boxes] == [(4, 0), (12, 0), (20, 0)]
    assert torch.equal(taken(numbered((24, 2)).float(), tuple(local.shape), shard), local)


@fake_ranks
@dtensors.needs_strided
def test_strided_shards_are_not_taken_for_plain_ones():
    """Some releases of torch say that the two are equal, so that nothing may be kept under them."""
    mesh = mesh_at((2,), (1,))
    for placement, first in ((S(0), 12), (Strided(0, split_factor=3), 4), (S(0), 12)):
        _, shard = local_part("fill_", dtensor((24,), mesh, [placement]))
        assert shard.boxes_of((12,))[0].offsets == (first,)


@fake_ranks
def test_an_order_of_its_own():
    """A DTensor may say that the second dimension of the mesh shards it first."""
    spec_type = type(dtensor((4,), mesh_at((1,), (0,)), [S(0)])._spec)
    entry = getattr(pytest.importorskip(spec_type.__module__), "ShardOrderEntry", None)
    if entry is None:
        pytest.skip("torch before 2.10 has one order")
    for coordinate in coordinates((2, 3)):
        made = dtensor((12,), mesh_at((2, 3), coordinate), [S(0), S(0)])
        spec = spec_type(
            made._spec.mesh,
            made._spec.placements,
            tensor_meta=made._spec.tensor_meta,
            shard_order=(entry(0, (1, 0)),),
        )
        _, shard = local_part(
            "fill_", dtensors.DTensor(made._local_tensor, spec, requires_grad=False)
        )
        assert shard == Shard((12,), (4 * coordinate[1] + 2 * coordinate[0],))


# ------------------------------------------------------------------------- FSDP2


@pytest.mark.filterwarnings("ignore")  # of FSDP2, where there is no accelerator
@pytest.mark.parametrize(
    ("shape", "names"),
    [((3,), "f"), ((3, 2), "ft"), ((2, 4), "ft"), ((2, 3), "rf"), ((2, 3, 2), "rft")],
)
def test_rows_of_fsdp2(shape, names):
    """Replicated or not, over tensor parallelism or not, the part is what FSDP2 left.

    It is, or all ranks raise; which is for one size, on one of the meshes.
    """
    if "t" in names and dtensors.Strided is None:
        pytest.skip("FSDP2 of torch 2.4 has no placement for rows of tensor parallelism")
    plan = {"0": dtensors.ColwiseParallel(), "1": dtensors.RowwiseParallel()}
    widths = (12, 7, 9, 1)
    if "t" in names and torch.__version__ < (2, 8):  # they have no others here
        widths = (24,)
    outcomes = {width: [] for width in widths}
    for own, mesh in as_each_rank(shape, names):
        for width, found in outcomes.items():
            model = nn.Sequential(nn.Linear(5, width), nn.Linear(width, 6))
            for parameter in model.parameters():
                parameter.data.copy_(numbered(parameter.shape))
            if "t" in own:
                dtensors.parallelize(model, mesh[own["t"]], plan)
            over = tuple(own[name] for name in names if name != "t")
            dtensors.fully_shard(model, mesh=mesh[over if len(over) > 1 else over[0]])
            for name, parameter in model.named_parameters():
                found.append((name, outcome(parameter)))
    for width, found in outcomes.items():
        expected = {"0.weight", "0.bias"} if width == 7 and shape[-2:] == (3, 2) else set()
        doubtful = {name for name, result in found if result == "doubtful"}
        if not strided_blocks and "t" in names and width % math.prod(shape[-2:]):
            expected = doubtful & {"0.weight", "0.bias"}
        assert doubtful == expected
        assert {result for name, result in found if name in expected} <= {"doubtful"}
        assert {result for _, result in found} <= {"equal", "doubtful"}


@dtensors.needs_strided
@pytest.mark.filterwarnings("ignore")  # of FSDP2, where there is no accelerator
def test_rows_of_fsdp2_over_a_fused_weight():
    """Three matrices in one weight, each divided by tensor parallelism; the same on every rank."""
    outcomes = {"alone": [], "sharded": []}
    for own, mesh in as_each_rank((2, 2), "ft"):
        model = nn.Linear(1, 24, bias=False)
        fused = [Strided(0, split_factor=3)]
        model.weight = nn.Parameter(dtensor((24, 1), mesh[own["t"]], fused))
        outcomes["alone"].append(outcome(model.weight))
        dtensors.fully_shard(model, mesh=mesh[own["f"]])
        outcomes["sharded"].append(outcome(model.weight))
    assert outcomes == {"alone": ["equal"] * 4, "sharded": ["doubtful"] * 4}


def outcome(parameter):
    try:
        local, shard = local_part("fill_", parameter)
    except ValueError as error:
        return "doubtful" if "pytorch#168134" in str(error) else "other"
    shard.check("fill_", local.shape)
    whole = numbered(parameter.shape).float()
    return "equal" if torch.equal(taken(whole, tuple(local.shape), shard), local) else "other"


# ------------------------------------------------------------------------- errors


@fake_ranks
@pytest.mark.parametrize("kind", ["sum", "avg"])
def test_partial_sums(kind):
    mesh = mesh_at((2, 2), (1, 0))
    made = dtensor((4,), mesh, [Partial(kind), S(0)])
    with pytest.raises(ValueError, match=r"^fill_: tensor must be without Partial placements") as e:
        local_part("fill_", made)
    assert "Partial" in str(e.value).partition("got ")[2]
    assert "in mesh dimension 0 of 2 ranks" in str(e.value)


@fake_ranks
def test_a_partial_sum_of_one_rank_is_whole():
    made = dtensor((4,), mesh_at((1, 2), (0, 1)), [Partial(), S(0)])
    assert local_part("fill_", made).shard == Shard((4,), (2,))


@fake_ranks
def test_unknown_placements():
    class Odd(S):
        """It may shard in a way of its own."""

    made = dtensor((4,), mesh_at((2,), (1,)), [S(0)])
    made._spec.placements = (Odd(0),)
    with pytest.raises(TypeError, match="of placements Shard and Replicate for its 1 dimensions"):
        local_part("fill_", made)


@fake_ranks
def test_all_ranks_in_one_process():
    """Torch's mode for it has a tensor and a coordinate for each rank."""
    local = pytest.importorskip("torch.distributed._local_tensor")  # since torch 2.10
    with local.LocalTensorMode(4):
        mesh = dtensors.DeviceMesh("cpu", torch.arange(4))
        made = dtensors.distributed(numbered((8,)), mesh, [S(0)])
        with pytest.raises(TypeError, match=r"^fill_: tensor must be what one rank has"):
            local_part("fill_", made)


@fake_ranks
def test_a_local_shape_that_the_placements_do_not_give():
    made = dtensor((6, 2), mesh_at((2,), (1,)), [S(0)], torch.empty(4, 2))
    with pytest.raises(ValueError, match=r"^fill_: tensor must be of local shape \(3, 2\) at \(1,"):
        local_part("fill_", made)
    empty = dtensor((6, 2), mesh_at((2,), (1,)), [S(0)], torch.empty(0, 2))
    with pytest.raises(ValueError, match=r"got \(0, 2\) of a DTensor of shape \(6, 2\)"):
        local_part("fill_", empty)


@fake_ranks
@dtensors.needs_strided
def test_doubtful_rows_are_an_error_on_every_rank():
    messages = set()
    for coordinate in coordinates((3, 2)):
        made = dtensor((7,), mesh_at((3, 2), coordinate), [Strided(0, split_factor=2), S(0)])
        with pytest.raises(ValueError, match=r"^fill_: tensor must be of a size in dim") as caught:
            local_part("fill_", made)
        messages.add(str(caught.value))
    assert len(messages) == 1


@fake_ranks
@dtensors.needs_strided
def test_an_ordinary_shard_may_have_been_the_last(monkeypatch):
    """FSDP2 of torch 2.10 and 2.11 says no more of itself over a strided shard."""
    fused, mesh = Strided(0, split_factor=3), mesh_at((2, 2), (0, 1))
    monkeypatch.setattr(dtensor_module, "hides_strides", True)
    with pytest.raises(ValueError, match=r"of a size in dimension 0 .*pytorch#168134"):
        local_part("fill_", dtensor((24, 4), mesh, [S(0), fused]))
    for placements in ([S(1), fused], [Replicate(), fused], [fused, S(1)]):
        local_part("fill_", dtensor((24, 4), mesh, placements))
    local_part("fill_", dtensor((24, 4), mesh_at((1, 2), (0, 1)), [S(0), fused]))
    monkeypatch.setattr(dtensor_module, "hides_strides", False)
    local_part("fill_", dtensor((24, 4), mesh, [S(0), fused]))


def test_ranks_outside_of_the_mesh():
    """They have a part without elements, and raise what the others raise."""
    with fake_group(rank=5, world=6):
        mesh = dtensors.DeviceMesh("cpu", torch.arange(4).view(2, 2), mesh_dim_names=("a", "b"))
        made = dtensor((6, 2), mesh, [S(0), Replicate()])
        local, shard = local_part("fill_", made)
        assert (local.shape, local.dtype, shard) == ((0, 0), torch.float32, Shard((6, 2), (0, 0)))
        with pytest.raises(ValueError, match="without Partial"):
            local_part("fill_", dtensor((6, 2), mesh, [S(0), Partial()]))
        mesh = dtensors.DeviceMesh("cpu", torch.arange(6)[:5].view(5, 1), mesh_dim_names=("c", "d"))
        made = dtensor((7,), mesh, [S(0), Replicate()])
        local, shard = local_part("fill_", made)
        assert (local.shape, shard) == ((0,), Shard((7,), (0,)))


@fake_ranks
def test_nothing_is_sent_or_computed():
    """Neither collectives nor operators run, whatever the size."""
    seen = []

    class Seen(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    mesh = mesh_at((2, 2), (0, 1))
    made = dtensor((6, 4), mesh, [S(0), S(1)])
    parameter = nn.Parameter(made)
    with dtensors.CommDebugMode() as counts, Seen():
        local_part("fill_", made)
        local_part("fill_", parameter)
    assert counts.get_total_counts() == 0
    assert seen == []
