"""Calls with `shard=`: their keys, their errors, and tensors of every kind."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import winit_cuda as winit
from initializers import Unchanged, needs_core
from tensor_parts import (
    EMPTY,
    INITIALIZERS,
    KEY,
    ONE,
    SEVERAL,
    Part,
    cuts,
    every,
    keyed,
    same,
    views,
)
from winit_cuda._core.torch_internals import serves_vmap
from winit_cuda._dispatch import many
from winit_cuda._fills import constants, elementwise, parts, structured

# ------------------------------------------------------------------------- keys

TWO_DIMENSIONAL = [entry for entry in INITIALIZERS if entry.shape == (12, 10)]
two_dimensional = pytest.mark.parametrize("initializer", TWO_DIMENSIONAL, ids=str)
two_dimensional_random = pytest.mark.parametrize(
    "initializer", [entry for entry in TWO_DIMENSIONAL if entry.is_random], ids=str
)
TRACES_BOXES = torch.__version__ >= (2, 5)
"""Whether torch.compile looks into a list of boxes: torch 2.4 has a graph before and one behind."""
every_part = pytest.mark.parametrize("part", [ONE, SEVERAL, EMPTY], ids=["one", "several", "empty"])


@needs_core
@two_dimensional_random
@every_part
@pytest.mark.parametrize("is_default", [True, False])
def test_a_part_draws_the_key_of_the_whole(initializer, part, is_default):
    generator = torch.default_generator if is_default else torch.Generator()
    options = {} if is_default else {"generator": generator}
    generator.manual_seed(8)
    whole = initializer(initializer.empty(), **options)
    state = generator.get_state()
    for view in views(part.shape):
        generator.manual_seed(8)
        initializer(view, shard=part.shard, **options)
        assert torch.equal(generator.get_state(), state)
        assert same(initializer, view, part.of(whole))


@two_dimensional
def test_parts_of_nothing_draw_nothing(initializer):
    """As the whole, which has no elements; kaiming says so."""
    tensor = torch.empty(3, 0)
    with Unchanged(torch.empty(0)):
        if initializer.name.startswith("kaiming"):
            with pytest.warns(UserWarning, match="zero-element"):
                initializer(tensor, shard=winit.Shard((12, 0), (2, 0)))
        else:
            initializer(tensor, shard=winit.Shard((12, 0), (2, 0)))


@needs_core
@two_dimensional_random
def test_an_empty_part_draws_where_torch_looks_on(initializer):
    torch.manual_seed(2)
    initializer(initializer.empty())
    state = torch.get_rng_state()

    class Mode(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    torch.manual_seed(2)
    with Mode():
        initializer(torch.empty(EMPTY.shape), shard=EMPTY.shard)
    assert torch.equal(torch.get_rng_state(), state)


# ------------------------------------------------------------------------- errors


@two_dimensional
@pytest.mark.parametrize(
    ("shard", "error", "message"),
    [
        ((12, 10), TypeError, "a winit_cuda.Shard, winit_cuda.Shards or None, got (12, 10)"),
        (winit.Shard((12,), (0,)), ValueError, "of 2 dimensions, as the tensor is, got (12,)"),
        (winit.Shard((12, 10), (8, 0)), ValueError, "at most 7 in dimension 0, where the tensor"),
        (winit.Shard((12, 6), (0, 0)), ValueError, "at least 7 in dimension 1, as the tensor"),
        (SEVERAL.shard, ValueError, "must be (5, 3), as the tensor is, got (5, 7)"),
    ],
    ids=str,
)
def test_shards_that_do_not_fit(initializer, shard, error, message):
    tensor = torch.full((5, 7), 7.0)
    if shard is SEVERAL.shard:
        tensor = torch.full((5, 3), 7.0)
    with Unchanged(tensor), pytest.raises(error, match=f"^{initializer}: ") as caught:
        initializer(tensor, shard=shard)
    assert message in str(caught.value)


def test_what_is_asked_of_the_shape_is_asked_of_the_whole():
    """Also where the local tensor is empty, or would do by itself."""
    for name, shape, arguments, message in (
        ("xavier_uniform_", (6,), (), "at least two dimensions, to have fan_in"),
        ("kaiming_normal_", (6,), (), "at least two dimensions, to have fan_in"),
        ("orthogonal_", (6,), (), "of at least 2 dimensions"),
        ("sparse_", (6, 2, 2), (0.5,), "of 2 dimensions"),
        ("eye_", (6, 2, 2), (), "of 2 dimensions"),
        ("dirac_", (6, 2), (), "of 3 to 5 dimensions"),
        ("dirac_", (6, 2, 3), (4,), r"a divisor of shard.global_shape\[0\] = 6, got 4"),
        ("delta_orthogonal_", (6, 7, 3), (), "no more input than output channels"),
    ):
        for rows in (0, 4):
            tensor = torch.full((rows, *shape[1:]), 7.0)
            shard = winit.Shard(shape, (0,) * len(shape))
            with Unchanged(tensor), pytest.raises(ValueError, match=f"^{name}: .*{message}"):
                getattr(winit, name)(tensor, *arguments, shard=shard)
    # Four rows of which could be no group, and more inputs than there are local outputs.
    winit.dirac_(torch.empty(3, 2, 3), 3, shard=winit.Shard((6, 2, 3), (2, 0, 0)))
    winit.delta_orthogonal_(torch.empty(3, 5, 3), shard=winit.Shard((6, 5, 3), (2, 0, 0)))


@pytest.mark.parametrize("size", [2**53 + 1, 2**60])
def test_convolutions_too_long_to_count(size):
    shard = winit.Shard((size, 1, 1), (0, 0, 0))
    with pytest.raises(ValueError, match=r"delta_orthogonal_: shard\.global_shape must be of"):
        winit.delta_orthogonal_(torch.empty(1, 1, 1), shard=shard)


@every
@pytest.mark.parametrize("rows", [0, 2])
def test_only_random_parts_need_the_core(initializer, rows):
    shape = initializer.shape
    tensor = torch.full((rows, *shape[1:]), 7.0)
    shard = winit.Shard(shape, (1, *(0,) * (len(shape) - 1)))
    with winit.use_backend("aten"):
        if initializer.is_random:
            error = pytest.raises(RuntimeError, match=f"{initializer}: a shard or DTensor needs")
            with Unchanged(tensor), error:
                initializer(tensor, shard=shard)
        else:
            whole = initializer(initializer.empty())
            assert torch.equal(initializer(tensor, shard=shard), whole[1 : 1 + rows])


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
@two_dimensional
def test_a_dtensor_takes_no_shard(initializer):
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dtensors = pytest.importorskip("dtensors")
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    try:
        mesh = dtensors.DeviceMesh("cpu", [0, 1])
        local = torch.full((5, 7), 7.0)
        tensor = dtensors.DTensor.from_local(local, mesh, [dtensors.Replicate()])
        with pytest.raises(ValueError, match=f"^{initializer}: shard must be None for a DTensor"):
            initializer(tensor, shard=ONE.shard)
        assert (tensor.to_local() == 7).all()
    finally:
        torch.distributed.destroy_process_group()


# ------------------------------------------------------------------------- tensors of other kinds

parts_of_some = pytest.mark.parametrize("part", [ONE, SEVERAL], ids=["one", "several"])


@needs_core
@two_dimensional
@parts_of_some
def test_parts_of_leaves_views_and_lazy_signs(initializer, part):
    options = keyed(initializer, shard=part.shard)
    expected = initializer(torch.empty(part.shape), **options)
    leaf = torch.nn.Parameter(torch.zeros(part.shape))
    assert initializer(leaf, **options) is leaf
    assert torch.equal(leaf.detach(), expected)
    assert leaf.is_leaf
    assert leaf._version > 0
    memory = torch.full((7, 20), 7.0)
    view = memory[1:6, 4:18:2]
    initializer(view, **options)
    assert torch.equal(view, expected)
    view.fill_(7.0)
    assert (memory == 7.0).all()
    lazy = torch.zeros(part.shape, dtype=torch.complex64).conj().imag
    assert torch.equal(initializer(lazy, **options), expected)
    with torch.inference_mode():
        assert torch.equal(initializer(torch.zeros(part.shape), **options), expected)


@two_dimensional
@every_part
def test_parts_without_values(initializer, part):
    with FakeTensorMode():
        tensor = torch.empty(part.shape)
        assert initializer(tensor, shard=part.shard) is tensor
    tensor = torch.empty(part.shape, device="meta")
    with Unchanged(torch.empty(0)):
        assert initializer(tensor, shard=part.shard) is tensor


@needs_core
@pytest.mark.parametrize(
    "initializer", {entry.name: entry for entry in INITIALIZERS}.values(), ids=str
)
def test_parts_in_compiled_and_mapped_functions(initializer):
    picked = list(cuts(initializer.shape, 3, 1))
    for part in (picked[1], picked[-2]):
        options = keyed(initializer, shard=part.shard)

        def fill(tensor, options=options):
            return initializer(tensor, **options)

        expected = fill(torch.zeros(part.shape))
        torch._dynamo.reset()
        program = torch.compile(fill, fullgraph=TRACES_BOXES, backend="aot_eager")
        assert same(initializer, program(torch.zeros(part.shape)), expected)
        if serves_vmap:
            found = torch.func.vmap(lambda x: fill(x.clone()))(torch.zeros(2, *part.shape))
            assert same(initializer, found, expected.expand_as(found))


@needs_core
@pytest.mark.parametrize("name", ["normal_", "xavier_uniform_", "eye_"])
def test_one_program_for_local_tensors_of_any_size(name):
    """Sizes that torch.compile keeps as symbols."""
    shard = winit.Shard((12, 10), (3, 2))
    options = {} if name == "eye_" else {"key": KEY}

    def fill(tensor):
        return getattr(winit, name)(tensor, shard=shard, **options)

    torch._dynamo.reset()
    program = torch.compile(fill, fullgraph=TRACES_BOXES, dynamic=True, backend="aot_eager")
    for shape in ((4, 5), (6, 3), (9, 8)):
        assert torch.equal(program(torch.zeros(shape)), fill(torch.zeros(shape)))


@needs_core
@parts_of_some
def test_compiled_parts_draw_anew(part):
    def fill(tensor):
        return winit.normal_(tensor, shard=part.shard)

    torch._dynamo.reset()
    program = torch.compile(fill, fullgraph=TRACES_BOXES, backend="aot_eager")
    torch.manual_seed(4)
    first, second = program(torch.zeros(part.shape)), program(torch.zeros(part.shape))
    assert not torch.equal(first, second)
    torch.manual_seed(4)
    assert torch.equal(first, fill(torch.zeros(part.shape)))
    assert torch.equal(second, fill(torch.zeros(part.shape)))


# ------------------------------------------------------------------------- fills and lists of them


@pytest.mark.parametrize("part", [ONE, SEVERAL, Part((6,), [(1, 3)]), Part((6,), [(4, 6), (0, 1)])])
def test_the_integers_of_a_shard_make_it_again(part):
    integers = parts.integers_of(part.shard)
    assert all(type(number) is int for number in integers)
    assert parts.shard_of(integers) == part.shard
    assert parts.shard_of(parts.integers_of(None)) is None
    if len(part.shape) == 2:
        for fill in structured.FILLS.values():
            again = structured.FILLS[fill.name].structured(fill.part(part.shard).structure)
            assert again.shard == fill.part(part.shard).shard


@needs_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_parts_in_a_batch(dtype):
    """Each job has one key, of however many boxes its tensor is."""
    jobs, keys, expected = [], [], []
    for fill, numbers, name in (
        (elementwise.NORMAL, (0.0, 0.5), "normal_"),
        (elementwise.UNIFORM, (-1.0, 1.0), "uniform_"),
        (elementwise.UNIFORM, (0.5, 0.5), "uniform_"),
        (elementwise.TRUNC_NORMAL, (0.0, 1.0, 0.0, float("inf")), "trunc_normal_"),
        (constants.CONSTANT, (0.25,), "constant_"),
        (structured.SPARSE, (0.3, 1.0), "sparse_"),
        (constants.EYE, (), "eye_"),
    ):
        for part in (SEVERAL, ONE, EMPTY):
            for view in views(part.shape, dtype):
                jobs.append(many.Job(fill.part(part.shard), name, view, numbers))
                keys.append(winit.fold_in(KEY, len(jobs)) if fill.is_random else None)
                options = {"key": keys[-1]} if fill.is_random else {}
                whole = torch.empty(12, 10, dtype=dtype)
                expected.append(part.of(getattr(winit, name)(whole, *numbers, **options)))
    batch = many.Batch(jobs)
    for _ in range(2):
        versions = [job.tensor._version for job in jobs]
        batch.run(keys)
        for job, values, version in zip(jobs, expected, versions, strict=True):
            assert torch.equal(job.tensor, values), job.function
            assert job.tensor.numel() == 0 or job.tensor._version > version
            job.tensor.fill_(7.0)
