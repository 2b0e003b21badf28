"""Initializers of DTensors: this rank's memory gets its part of the whole, and nothing is sent.

The ranks are those of one process (`meshes`); what is expected is torch's own part of the whole.
"""

from __future__ import annotations

import contextlib
import itertools

import pytest
import torch
from torch import nn

import dtensors
import winit_cuda as winit
from initializers import Unchanged, needs_core
from meshes import mesh_at
from tensor_parts import INITIALIZERS, KEY, keyed, same
from winit_cuda._core import backend
from winit_cuda._dispatch import many
from winit_cuda._fills import constants, elementwise, structured

S, Replicate, Partial = dtensors.Shard, dtensors.Replicate, dtensors.Partial
Strided = dtensors.Strided
placed = dtensors.distributed

pytestmark = [pytest.mark.usefixtures("fake_ranks"), needs_core]

every = pytest.mark.parametrize(
    "initializer", INITIALIZERS, ids=lambda entry: f"{entry}{entry.shape}"
)
# Of each function one.
ONE_EACH = [
    next(group) for _, group in itertools.groupby(INITIALIZERS, key=lambda entry: entry.name)
]
every_one = pytest.mark.parametrize("initializer", ONE_EACH, ids=str)


def blank(shape, mesh, placements, dtype=torch.float32):
    return placed(torch.full(shape, 7.0).to(dtype), mesh, placements)


def layouts(dimensions):
    """Meshes, coordinates and placements: uneven, empty and strided shards, copies."""
    last = dimensions - 1
    yield mesh_at((4,), (1,)), [S(0)]
    yield mesh_at((16,), (15,)), [S(0)]
    yield mesh_at((3,), (2,)), [S(last)]
    yield mesh_at((2,), (1,)), [Replicate()]
    yield mesh_at((2, 3), (1, 2)), [S(0), S(last)]
    yield mesh_at((2, 2), (1, 0)), [Replicate(), S(-1)]
    yield mesh_at((2, 2, 1), (0, 1, 0)), [S(0), S(0), Partial()]
    if Strided is not None:
        yield mesh_at((2,), (1,)), [Strided(0, split_factor=3)]


@every
@pytest.mark.parametrize("kind", ["ordinary", "watched"])
def test_every_rank_has_its_part_of_the_whole(initializer, kind):
    whole = initializer(initializer.empty(), **keyed(initializer))
    for mesh, placements in layouts(len(initializer.shape)):
        weight = nn.Parameter(blank(initializer.shape, mesh, placements))
        memory, version = weight._local_tensor.data_ptr(), weight._version
        counts = dtensors.CommDebugMode() if kind == "watched" else contextlib.nullcontext()
        with counts:
            assert initializer(weight, **keyed(initializer)) is weight
        if kind == "watched":
            assert counts.get_total_counts() == 0
        assert same(initializer, weight._local_tensor, placed(whole, mesh, placements).to_local())
        assert weight._local_tensor.data_ptr() == memory
        assert weight._version > version
        assert weight.is_leaf
        assert weight.requires_grad


@every_one
def test_without_a_key_all_ranks_draw_alike(initializer):
    """Also where there is nothing to write: no part, or a rank outside of the mesh."""
    torch.manual_seed(5)
    whole = initializer(initializer.empty())
    state = torch.get_rng_state()
    for mesh, placements in (*layouts(len(initializer.shape)), (outside(), [S(0)])):
        torch.manual_seed(5)
        weight = initializer(blank(initializer.shape, mesh, placements))
        assert torch.equal(torch.get_rng_state(), state)
        if mesh.get_coordinate() is not None:
            expected = placed(whole, mesh, placements).to_local()
            assert same(initializer, weight._local_tensor, expected)


def outside():
    """A mesh that the process, rank 0, is not in."""
    return dtensors.DeviceMesh("cpu", torch.tensor([3, 2, 1]))


def test_a_rank_outside_of_the_mesh_writes_nothing():
    # (Before torch 2.10 nothing makes one without dimensions there.)
    for shape in ((6, 5), ()) if torch.__version__ >= (2, 10) else ((6, 5),):
        weight = blank(shape, outside(), [S(0)] if shape else [Replicate()])
        local, version = weight._local_tensor, weight._version
        torch.manual_seed(5)
        winit.normal_(weight)
        state = torch.get_rng_state()
        torch.manual_seed(5)
        winit.normal_(torch.empty(3))
        assert torch.equal(torch.get_rng_state(), state)
        winit.constant_(weight, 3.0)
        assert weight._local_tensor is local
        assert local.numel() == 0
        assert weight._version == version + 2
        with pytest.raises(ValueError, match="std must be"):
            winit.normal_(weight, std=-1.0)


@every_one
@pytest.mark.parametrize("has_key", [True, False])
def test_in_one_graph(initializer, has_key):
    torch._dynamo.reset()
    options = keyed(initializer) if has_key else {}
    compiled = torch.compile(
        lambda weight: initializer(weight, **options), backend="aot_eager", fullgraph=True
    )
    mesh, placements = mesh_at((4,), (1,)), [S(0)]
    for _ in range(2):
        torch.manual_seed(3)
        whole = initializer(initializer.empty(), **options)
        expected = placed(whole, mesh, placements).to_local()
        weight = nn.Parameter(blank(initializer.shape, mesh, placements))
        memory, version = weight._local_tensor.data_ptr(), weight._version
        torch.manual_seed(3)
        assert compiled(weight) is weight
        assert same(initializer, weight._local_tensor, expected)
        assert weight._local_tensor.data_ptr() == memory
        if torch.__version__ >= (2, 5):  # before, no compiled write moves it
            assert weight._version > version


@pytest.mark.parametrize("dynamic", [None, True])
def test_graphs_of_any_size(dynamic):
    """Each size has a graph of its own, since each has other parts."""
    torch._dynamo.reset()
    for fill in (winit.normal_, winit.eye_):
        compiled = torch.compile(fill, backend="aot_eager", fullgraph=True, dynamic=dynamic)
        mesh, placements = mesh_at((3,), (1,)), [S(0)]
        for shape in ((8, 7), (6, 9), (9, 9)):
            torch.manual_seed(3)
            expected = placed(fill(torch.empty(shape)), mesh, placements).to_local()
            weight = blank(shape, mesh, placements)
            torch.manual_seed(3)
            compiled(weight)
            assert torch.equal(weight._local_tensor, expected)


@pytest.mark.parametrize(
    ("dtype", "value"), [(torch.int64, 2**53 + 1), (torch.bool, True), (torch.complex64, 1 + 2j)]
)
def test_constants_of_other_dtypes_in_one_graph(dtype, value):
    torch._dynamo.reset()
    weight = blank((6,), mesh_at((2,), (1,)), [S(0)], dtype)
    torch.compile(
        lambda weight: winit.constant_(weight, value), backend="aot_eager", fullgraph=True
    )(weight)
    assert weight._local_tensor.tolist() == [value] * 3


@pytest.mark.parametrize("fill", [winit.zeros_, winit.normal_])
def test_a_graph_takes_no_partial_sums(fill):
    torch._dynamo.reset()
    weight = dtensors.DTensor.from_local(torch.ones(6), mesh_at((2,), (1,)), [Partial()])
    with pytest.raises(Exception, match="without Partial placements"):
        torch.compile(fill, backend="eager", fullgraph=True)(weight)
    assert weight._local_tensor.tolist() == [1.0] * 6


@every_one
def test_meta_is_left_alone(initializer):
    weight = blank(initializer.shape, mesh_at((2,), (1,)), [S(0)])
    weight = nn.Parameter(weight.to("meta"))
    version = weight._version
    state = torch.get_rng_state()
    assert initializer(weight) is weight
    assert weight.is_meta
    assert weight._version == version
    assert torch.equal(torch.get_rng_state(), state)


def test_a_stale_backward_fails():
    """As after any write in place, on ranks with nothing of the weight, too."""
    for fill in (winit.normal_, winit.zeros_):
        for size, coordinate in ((4, 1), (16, 15)):
            mesh = mesh_at((size,), (coordinate,))
            weight = nn.Parameter(blank((6, 5), mesh, [S(0)]))
            loss = (weight * weight).sum()
            fill(weight)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                loss.backward()


def test_strides_of_the_local_memory():
    mesh, placements = mesh_at((2, 2), (1, 1)), [S(0), S(1)]
    whole = winit.normal_(torch.empty(6, 10), key=KEY)
    local = torch.empty(5, 3).t()
    weight = dtensors.DTensor.from_local(local, mesh, placements, shape=whole.shape, stride=(10, 1))
    winit.normal_(weight, key=KEY)
    assert torch.equal(local, whole[3:, 5:])


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float64], ids=str)
def test_a_negative_gain_in_every_dtype(dtype):
    mesh = mesh_at((2,), (1,))
    for placement in (S(0), *([Strided(0, split_factor=3)] if Strided else [])):
        whole = winit.xavier_normal_(torch.empty(12, 5, dtype=dtype), -2.0, key=KEY)
        weight = blank((12, 5), mesh, [placement], dtype)
        winit.xavier_normal_(weight, -2.0, key=KEY)
        expected = placed(whole.double(), mesh, [placement]).to_local()
        assert torch.equal(weight._local_tensor.double(), expected)


def test_sizes_of_the_whole_count():
    """Fans, groups, chunks and the zeros of a column are those of all ranks together."""
    mesh = mesh_at((4,), (3,))
    for fill, shape, arguments, options in (
        (winit.kaiming_uniform_, (8, 12), (0, "fan_out"), {}),
        (winit.sparse_, (8, 12), (0.25,), {}),
        (winit.orthogonal_, (8, 2), (), {"chunks": 4}),
        (winit.orthogonal_, (8, 3, 3), (), {"batch_dims": 1}),
    ):
        whole = fill(torch.empty(shape), *arguments, key=KEY, **options)
        weight = fill(blank(shape, mesh, [S(0)]), *arguments, key=KEY, **options)
        assert torch.allclose(weight._local_tensor, whole[6:], rtol=0, atol=1e-6)
    whole = winit.dirac_(torch.empty(8, 2, 3), groups=4)
    assert torch.equal(winit.dirac_(blank((8, 2, 3), mesh, [S(0)]), groups=4).to_local(), whole[6:])


# ------------------------------------------------------------------------- errors


@contextlib.contextmanager
def unchanged(weight):
    version = weight._version
    with Unchanged(weight._local_tensor):
        yield
    assert weight._version == version


@every_one
def test_partial_sums_have_no_parts(initializer):
    local = torch.full(initializer.shape, 7.0)
    weight = dtensors.DTensor.from_local(local, mesh_at((2,), (1,)), [Partial()])
    with (
        unchanged(weight),
        pytest.raises(ValueError, match=f"^{initializer}: tensor must be without Partial") as error,
    ):
        initializer(weight)
    assert "Partial" in str(error.value).partition("got ")[2]


def test_every_rank_raises_what_is_wrong_of_the_whole():
    calls = (
        lambda weight: winit.xavier_normal_(weight),
        lambda weight: winit.dirac_(weight),
        lambda weight: winit.sparse_(weight, 0.5),
        lambda weight: winit.uniform_(weight, 1.0, 0.0),
        lambda weight: winit.constant_(weight, 1e39),
        lambda weight: winit.normal_(weight, generator=torch.Generator(), key=KEY),
    )
    for call in calls:
        messages = set()
        for place in ((16, 15), (16, 0), None):
            mesh = outside() if place is None else mesh_at((place[0],), (place[1],))
            weight = blank((6,), mesh, [S(0)])
            with unchanged(weight), pytest.raises((ValueError, TypeError)) as error:
                call(weight)
            messages.add(str(error.value))
        assert len(messages) == 1, messages


def test_numbers_of_matrices_that_do_not_divide():
    weight = blank((6, 5), mesh_at((2,), (1,)), [S(0)])
    with unchanged(weight), pytest.raises(ValueError, match="a divisor of the number of rows, 6"):
        winit.orthogonal_(weight, chunks=4)
    with unchanged(weight), pytest.raises(ValueError, match="in <= out"):
        winit.delta_orthogonal_(blank((3, 4, 1), mesh_at((3,), (0,)), [S(1)]))


def test_only_the_core_has_parts_of_random_fills():
    mesh = mesh_at((2,), (1,))
    complex_weight = blank((6,), mesh, [S(0)], torch.complex64)
    needed = "normal_: a shard or DTensor needs the native core, .* but {}"
    with (
        unchanged(complex_weight),
        pytest.raises(
            RuntimeError, match=needed.format("the native core does not fill torch.comp")
        ),
    ):
        winit.normal_(complex_weight)
    weight = blank((6,), mesh, [S(0)])
    with (
        unchanged(weight),
        winit.use_backend("aten"),
        pytest.raises(RuntimeError, match=needed.format("use_backend")),
    ):
        winit.normal_(weight)
    with winit.use_backend("aten"):
        assert winit.ones_(weight).to_local().tolist() == [1.0] * 3


def test_inference_tensors():
    with torch.inference_mode():
        weight = blank((6, 5), mesh_at((2,), (1,)), [S(0)])
        winit.normal_(weight, key=KEY)
        local = weight._local_tensor
    assert torch.equal(local, winit.normal_(torch.empty(6, 5), key=KEY)[3:])
    with pytest.raises(RuntimeError, match=r"outside torch\.inference_mode"):
        winit.normal_(weight)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_version_after_an_error(error, monkeypatch):
    """A fill that was interrupted may have written; one that failed has not."""
    weight = blank((6, 5), mesh_at((2,), (1,)), [S(0)])
    core = backend.loaded

    def fails(*arguments):
        if error is KeyboardInterrupt:
            core.normal(*arguments)
        raise error("no")

    monkeypatch.setattr(type(elementwise.NORMAL), "native", staticmethod(fails))
    version = weight._version
    with pytest.raises(error):
        winit.normal_(weight, key=KEY)
    assert (weight._version > version) == (error is KeyboardInterrupt)


# ------------------------------------------------------------------------- many


def test_lists_of_dtensors():
    """Boxes of all of them are in one list of the core; the others are single calls."""
    jobs, keys, expected = [], [], []
    for fill, numbers, name in (
        (elementwise.NORMAL, (0.0, 0.5), "normal_"),
        (constants.CONSTANT, (0.25,), "constant_"),
        (structured.SPARSE, (0.3, 1.0), "sparse_"),
        (constants.EYE, (), "eye_"),
    ):
        for mesh, placements in layouts(2):
            jobs.append(many.Job(fill, name, blank((12, 10), mesh, placements), numbers))
            keys.append(winit.fold_in(KEY, len(jobs)) if fill.is_random else None)
            options = {"key": keys[-1]} if fill.is_random else {}
            whole = getattr(winit, name)(torch.empty(12, 10), *numbers, **options)
            expected.append(placed(whole, mesh, placements).to_local())
    batch = many.Batch(
        [*jobs, many.Job(elementwise.NORMAL, "normal_", blank((3,), outside(), [S(0)]), (0.0, 1.0))]
    )
    for _ in range(3):
        versions = [job.tensor._version for job in jobs]
        batch.run([*keys, KEY])
        for job, values, version in zip(jobs, expected, versions, strict=True):
            assert torch.equal(job.tensor._local_tensor, values), job.function
            assert job.tensor._version > version
            # As sharding libraries do, which take memory away and give other back.
            job.tensor._local_tensor = torch.full_like(job.tensor._local_tensor, 7.0)


def test_a_list_takes_no_partial_sums():
    weight = dtensors.DTensor.from_local(torch.ones(6), mesh_at((2,), (1,)), [Partial()])
    with pytest.raises(ValueError, match="normal_: tensor must be without Partial placements"):
        many.Batch([many.Job(elementwise.NORMAL, "normal_", weight, (0.0, 1.0))])
