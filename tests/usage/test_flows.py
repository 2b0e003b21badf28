"""Models from meta to weights: sharded, then filled by name, each rank its own part.

What is expected goes the other way: the same model on one device, filled whole, then sharded by
the same calls. The ranks are those of one process (`meshes`). None is seeded as another.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import winit_cuda as winit
from decoder import EXPERTS, KEY, WIDTH, Decoder, fill
from initializers import needs_core
from meshes import as_each_rank

fsdp = pytest.importorskip("torch.distributed.fsdp")
api = pytest.importorskip("torch.distributed.tensor")
debug = pytest.importorskip("torch.distributed.tensor.debug")
parallel = pytest.importorskip("torch.distributed.tensor.parallel")
checkpoint = pytest.importorskip("torch.distributed.checkpoint")
wrappers = pytest.importorskip("torch.distributed.algorithms._checkpoint.checkpoint_wrapper")

pytestmark = [
    needs_core,
    pytest.mark.skipif(not hasattr(fsdp, "fully_shard"), reason="torch has no FSDP2"),
    pytest.mark.filterwarnings("ignore:FSDP"),  # misses an accelerator
    # torch 2.9 takes an equal mesh of an earlier group for this one.
    pytest.mark.filterwarnings("ignore:You are attempting to slice a submesh"),
]

MESHES = {
    "FSDP2": {"shard": 3},
    "TP": {"tp": 2},
    "FSDP2 + TP": {"shard": 2, "tp": 2},
    "HSDP": {"replicate": 2, "shard": 2},
    "HSDP + TP": {"replicate": 2, "shard": 2, "tp": 2},
}


def parallelized(model, mesh):
    """Tensor and sequence parallelism; the tied weights are two after it, and are tied again."""
    plan = {
        "embedding": parallel.RowwiseParallel(input_layouts=api.Replicate()),
        "output": parallel.ColwiseParallel(output_layouts=api.Replicate()),
        "norm": parallel.SequenceParallel(),
        "layers.*.attention_norm": parallel.SequenceParallel(),
        "layers.*.mlp_norm": parallel.SequenceParallel(),
        "layers.*.attention.qkv": parallel.ColwiseParallel(),
        "layers.*.attention.out": parallel.RowwiseParallel(),
        "layers.*.mlp.up": parallel.ColwiseParallel(),
        "layers.*.mlp.down": parallel.RowwiseParallel(),
    }
    plan = {name: style for name, style in plan.items() if getattr(model, name, model) is not None}
    parallel.parallelize_module(model, mesh, plan, src_data_rank=None)
    model.tie()


def sharded(model, names, mesh, **options):
    """The model, divided as the dimensions of the mesh say."""
    if {"tp", "shard"} <= set(names) and torch.__version__ < (2, 10):
        pytest.skip("the placements of this torch do not tell the rows that do not divide evenly")
    if "tp" in names:
        parallelized(model, mesh[names["tp"]])
    for block in model.layers.values():
        block.mlp = wrappers.checkpoint_wrapper(block.mlp)
    if "shard" in names:
        data = tuple(names[name] for name in ("replicate", "shard") if name in names)
        for block in model.layers.values():
            fsdp.fully_shard(block, mesh=mesh[data], **options)
        fsdp.fully_shard(model, mesh=mesh[data], **options)
    return model


def from_meta(make, names, mesh, **options):
    with torch.device("meta"):
        model = make()
    return sharded(model, names, mesh, **options).to_empty(device="cpu")


def filled_whole():
    """A model that is not divided; one key makes it."""
    model = Decoder()
    for name, weight in model.named_parameters():
        fill(name, weight)
    return model


def names_and_weights(model):
    """As in the model before it was wrapped."""
    for name, weight in model.named_parameters():
        yield name.replace("_checkpoint_wrapped_module.", ""), weight


def local(weight):
    with torch.no_grad():
        return weight.to_local() if isinstance(weight, api.DTensor) else weight


def assert_same(model, expected):
    found, wanted = dict(names_and_weights(model)), dict(names_and_weights(expected))
    assert found.keys() == wanted.keys()
    for name, weight in wanted.items():
        # What is orthogonal agrees to rounding.
        tolerance = 1e-6 if "qkv.weight" in name or "experts" in name else 0.0
        mine, theirs = local(found[name]), local(weight)
        assert mine.shape == theirs.shape, name
        assert torch.allclose(mine, theirs, rtol=0, atol=tolerance), name


def fill_by_name(model, aliases=None):
    """Fill all parameters, and see that nothing else happens to them."""
    before = dict(model.named_parameters())
    versions = {name: weight._version for name, weight in before.items()}
    trained = {name: weight.requires_grad for name, weight in before.items()}
    communication = debug.CommDebugMode()
    with communication:
        for name, weight in names_and_weights(model):
            assert fill((aliases or {}).get(name, name), weight) is weight
    assert communication.get_total_counts() == 0
    after = dict(model.named_parameters())
    assert after.keys() == before.keys()
    for name, weight in after.items():
        assert weight is before[name]
        assert weight._version > versions[name]
        assert weight.requires_grad is trained[name]
        assert weight.is_leaf
        assert weight.grad_fn is None


@pytest.mark.parametrize("flow", MESHES)
def test_filling_the_parts_is_dividing_the_whole(flow):
    sizes = MESHES[flow]
    for rank, (names, mesh) in enumerate(as_each_rank(tuple(sizes.values()), tuple(sizes))):
        torch.manual_seed(rank)
        model = from_meta(Decoder, names, mesh)
        fill_by_name(model)
        assert_same(model, sharded(filled_whole(), names, mesh))
        assert model.output.weight is model.embedding.weight
        assert sum(name.endswith("embedding.weight") for name, _ in model.named_parameters()) == 1


def test_offloaded_to_the_cpu(monkeypatch):
    """Of a mesh of GPUs, which there need not be: a mesh of CPUs says that it is one."""
    policy = fsdp.CPUOffloadPolicy(pin_memory=False)
    for names, mesh in as_each_rank((3,), ("shard",)):
        model = from_meta(Decoder, names, mesh, offload_policy=policy)
        with monkeypatch.context() as patched:
            for weight in model.parameters():
                mesh_of_it = weight.device_mesh
                name = "_device_type" if hasattr(mesh_of_it, "_device_type") else "device_type"
                patched.setattr(mesh_of_it, name, "cuda")
                assert mesh_of_it.device_type == "cuda"
            fill_by_name(model)
        assert {local(weight).device.type for weight in model.parameters()} == {"cpu"}
        assert_same(model, sharded(filled_whole(), names, mesh, offload_policy=policy))


def stage_of(model, stage):
    """What one of two pipeline stages has, under the names of the whole; the rest is cut away."""
    del model.layers[str(1 - stage)]
    if stage:
        model.embedding = None
    else:
        model.norm = model.output = None
    return model


def test_pipeline_stages():
    """Seeds of their own do not matter; the tied weight is in both, so it needs its one name."""
    for rank, (names, mesh) in enumerate(as_each_rank((2, 2), ("pipeline", "shard"))):
        torch.manual_seed(rank)
        stage = mesh[names["pipeline"]].get_local_rank()
        model = from_meta(lambda at=stage: stage_of(Decoder(), at), names, mesh)
        fill_by_name(model, {"output.weight": "embedding.weight"})
        assert_same(model, sharded(stage_of(filled_whole(), stage), names, mesh))


def test_a_plan_in_place_of_names():
    """Made of the whole model on meta, it fills stages of it, wrapped and sharded as they are."""
    rules = {
        "*norm.weight": winit.Ones(),
        "*bias": winit.Zeros(),
        "*qkv.weight": winit.Orthogonal(chunks=3),
        "*.mlp.*": winit.KaimingNormal(),
        "*": winit.Normal(std=0.02),
    }
    with torch.device("meta"):
        plan = winit.plan(Decoder(), rules)
    whole = Decoder()
    plan.run(whole, seed=3)
    for names, mesh in as_each_rank((2, 2, 2), ("pipeline", "shard", "tp")):
        stage = mesh[names["pipeline"]].get_local_rank()
        model = from_meta(lambda at=stage: stage_of(Decoder(), at), names, mesh)
        communication = debug.CommDebugMode()
        with communication:
            plan.run(model, seed=3, strict=False)
        assert communication.get_total_counts() == 0
        expected = Decoder()
        expected.load_state_dict(whole.state_dict())
        assert_same(model, sharded(stage_of(expected, stage), names, mesh))


def expert_parallel(model, names, mesh):
    """Experts by their number over one dimension of the mesh, by columns over the other."""
    for block in model.layers.values():
        mine = api.distribute_tensor(
            block.experts.detach(), mesh[names["expert"]], [api.Shard(0)], src_data_rank=None
        )
        block.experts = nn.Parameter(mine)

    def by_columns(weight):
        return api.Shard(2) if weight.ndim == 3 else None

    return sharded(model, names, mesh, shard_placement_fn=by_columns)


def test_experts_by_number():
    for names, mesh in as_each_rank((2, 3), ("shard", "expert")):
        with torch.device("meta"):
            model = Decoder()
        model = expert_parallel(model, names, mesh).to_empty(device="cpu")
        fill_by_name(model)
        assert_same(model, expert_parallel(filled_whole(), names, mesh))
        # An expert is a matrix of its own, which a rank may as well have by itself.
        first = mesh[names["expert"]].get_local_rank() * EXPERTS // 3
        key = winit.fold_in(KEY, "layers.1.experts")
        one = winit.orthogonal_(torch.empty(WIDTH, WIDTH), key=winit.split(key, EXPERTS)[first])
        columns = one.chunk(2, 1)[mesh[names["shard"]].get_local_rank()]
        assert torch.allclose(local(model.layers["1"].experts)[0], columns, rtol=0, atol=1e-6)


def test_heads_of_a_fused_weight():
    """Each rank has rows of the queries, of the keys and of the values."""
    strided = pytest.importorskip("torch.distributed.tensor.placement_types")._StridedShard
    whole = filled_whole().layers["0"].attention.qkv.weight.detach()
    for rank, (_, mesh) in enumerate(as_each_rank((4,), ("tp",))):
        placements = [strided(0, split_factor=3)]
        weight = api.distribute_tensor(
            torch.empty(whole.shape), mesh, placements, src_data_rank=None
        )
        fill("layers.0.attention.qkv.weight", weight)
        expected = torch.cat([matrix.chunk(4)[rank] for matrix in whole.chunk(3)])
        assert torch.allclose(local(weight), expected, rtol=0, atol=1e-6)


def test_writes_to_slices_are_lost():
    """A slice of the dimension that is divided is gathered, into memory of its own."""
    for _, mesh in as_each_rank((2,), ("shard",)):
        zeros = torch.zeros(6, 4)
        weight = api.distribute_tensor(zeros, mesh, [api.Shard(0)], src_data_rank=None)
        for slice_of in (lambda w: w[:4], lambda w: w.chunk(3)[1], lambda w: w[0]):
            slice_of(weight).fill_(1.0)
            winit.ones_(slice_of(weight))
            assert local(weight).count_nonzero() == 0
        winit.ones_(weight[:, :2])
        assert local(weight).tolist() == [[1.0, 1.0, 0.0, 0.0]] * 3


def test_writes_to_gathered_copies_are_lost():
    """FSDP2 has them in the place of the parameters until it shards again."""
    for names, mesh in as_each_rank((2,), ("shard",)):
        model = from_meta(Decoder, names, mesh)
        fill_by_name(model)
        weight = model.embedding.weight
        model.unshard()
        winit.ones_(model.embedding.weight)
        model.reshard()
        assert model.embedding.weight is weight
        assert_same(model, sharded(filled_whole(), names, mesh))


def fill_rows(weight, begin, end, fill, **options):
    """As docs/distributed.md has it."""
    local = weight.detach().to_local()
    first = weight.device_mesh.get_local_rank() * len(local)
    a, b = (min(max(row, begin), end) for row in (first, first + len(local)))
    part = winit.Shard((end - begin, weight.shape[1]), (a - begin, 0))
    fill(local[a - first : b - first], shard=part, **options)


def test_rows_with_a_law_of_their_own():
    blocks = ((0, 4), (4, 5), (5, 12))
    whole = torch.cat([winit.normal_(torch.empty(b - a, 3), std=b, key=KEY) for a, b in blocks])
    for rank, (_, mesh) in enumerate(as_each_rank((4,), ("shard",))):
        empty = torch.zeros(12, 3)
        divided = api.distribute_tensor(empty, mesh, [api.Shard(0)], src_data_rank=None)
        weight = nn.Parameter(divided)
        for begin, end in blocks:
            fill_rows(weight, begin, end, winit.normal_, std=end, key=KEY)
        assert torch.equal(local(weight), whole.chunk(4)[rank])


# ---------------------------------------------------------- as torchtitan calls its init_weights


class Titan(Decoder):
    """Methods of the model fill it, by torch's functions, in their order; there are no names."""

    def __init__(self):
        super().__init__(is_tied=False)
        self.register_buffer("rotations", self.make_rotations(), persistent=False)

    def make_rotations(self):
        return torch.polar(torch.ones(8, 3), torch.outer(torch.arange(8.0), 0.1 ** torch.arange(3)))

    def init_weights(self, buffer_device=None):
        with torch.device(buffer_device or self.rotations.device):
            self.rotations = self.make_rotations()
        nn.init.normal_(self.embedding.weight)
        for number, block in self.layers.items():
            block.attention_norm.reset_parameters()
            block.mlp_norm.reset_parameters()
            std = 0.02 / (2 * (int(number) + 1)) ** 0.5
            for linear in (block.attention.qkv, block.mlp.up):
                nn.init.trunc_normal_(linear.weight, mean=0.0, std=0.02)
            for linear in (block.attention.out, block.mlp.down):
                nn.init.trunc_normal_(linear.weight, mean=0.0, std=std)
            for linear in (block.attention.qkv, block.mlp.down):
                nn.init.zeros_(linear.bias)
            nn.init.xavier_normal_(block.experts)
        self.norm.reset_parameters()
        std = self.output.weight.shape[1] ** -0.5
        nn.init.trunc_normal_(self.output.weight, mean=0.0, std=std, a=-3 * std, b=3 * std)


def init_weights(model):
    torch.manual_seed(5)
    with torch.no_grad():
        model.init_weights(buffer_device="cpu")
    return model


def test_init_weights_of_torchtitan(monkeypatch):
    """Its ranks are seeded alike: they draw the same keys, one after the other."""
    for name in ("normal_", "trunc_normal_", "xavier_normal_", "zeros_", "ones_"):
        monkeypatch.setattr(nn.init, name, getattr(winit, name))
    whole = init_weights(Titan())
    after = torch.get_rng_state()
    for names, mesh in as_each_rank((2, 2), ("shard", "tp")):
        model = from_meta(Titan, names, mesh)
        before = dict(model.named_parameters())
        init_weights(model)
        assert torch.equal(torch.get_rng_state(), after)
        for name, weight in model.named_parameters():
            assert weight is before[name]
            assert weight.is_leaf
        assert torch.equal(model.rotations, whole.rotations)
        expected = Titan()
        expected.load_state_dict(whole.state_dict())
        assert_same(model, sharded(expected, names, mesh))


# ------------------------------------------------------------------------------ checkpoints


def state_of(model):
    return {name: weight.detach() for name, weight in names_and_weights(model)}


def saved(folder, sizes):
    """The steps of `torch.distributed.checkpoint.save`, each for all ranks: plans, one plan, files.

    The function itself takes a rank through all steps at once, so the ranks would have to be there
    together.
    """
    planners, writers, plans = [], [], []
    for names, mesh in as_each_rank(tuple(sizes.values()), tuple(sizes)):
        model = from_meta(Decoder, names, mesh)
        fill_by_name(model)
        planners.append(checkpoint.DefaultSavePlanner())
        planners[-1].set_up_planner(state_of(model), is_coordinator=not plans)
        writers.append(checkpoint.FileSystemWriter(folder))
        writers[-1].set_up_storage_writer(not plans)
        plans.append(writers[-1].prepare_local_plan(planners[-1].create_local_plan()))
    plans, metadata = planners[0].create_global_plan(plans)
    written = []
    for planner, writer, plan in zip(
        planners, writers, writers[0].prepare_global_plan(plans), strict=True
    ):
        written.append(writer.write_data(planner.finish_plan(plan), planner).wait())
    writers[0].finish(metadata, written)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")  # a rank loads by itself
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # by torch's own use
@pytest.mark.parametrize(("one", "other"), [("FSDP2", "FSDP2 + TP"), ("FSDP2 + TP", "HSDP")])
def test_a_checkpoint_is_what_filling_gives(tmp_path, one, other):
    """Saved from one mesh and loaded in another."""
    saved(tmp_path, MESHES[one])
    for names, mesh in as_each_rank(tuple(MESHES[other].values()), tuple(MESHES[other])):
        model, loaded = from_meta(Decoder, names, mesh), from_meta(Decoder, names, mesh)
        fill_by_name(model)
        for weight in loaded.parameters():
            local(weight).fill_(7.0)
        checkpoint.load(state_of(loaded), checkpoint_id=tmp_path, no_dist=True)
        assert_same(model, loaded)
