"""Many tensors filled at once: the values and the bookkeeping of single calls."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import winit_cuda as winit
from core import DTYPES, same_bits
from initializers import needs_core
from jobs import LAWS, SENTINEL, alone, is_untouched, job, normals
from winit_cuda._dispatch import many
from winit_cuda._fills import structured
from winit_cuda._fills.constants import CONSTANT, DIRAC, ZEROS
from winit_cuda._fills.elementwise import NORMAL
from winit_cuda._keys import keys

pytestmark = needs_core


def tensors(dtype=torch.float32):
    def of(*shape):
        return torch.full(shape, SENTINEL).to(dtype)

    yield from (of(1), of(3, 5), of(100, 70), of(40_001))
    yield of(60, 50).t()
    yield of(9, 9)[2:5, ::3]
    yield nn.Parameter(of(4, 4))
    yield of()


# ---------------------------------------------------------------------------- values


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_are_those_of_single_calls(dtype):
    pairs = [(law, tensor) for law in LAWS for tensor in tensors(dtype)]
    its_keys = winit.split(winit.key(3), len(pairs))
    many.fill_many([job(*pair) for pair in pairs], its_keys)
    for (law, tensor), key in zip(pairs, its_keys, strict=True):
        assert same_bits(tensor.detach(), alone(law, tensor.detach(), key)), (law, tensor.shape)


def test_largest_words_of_keys():
    jobs = normals(2)
    its_keys = [keys.Key(2**64 - 1, 2**63), keys.Key(0, 2**64 - 1)]
    many.fill_many(jobs, its_keys)
    for each, key in zip(jobs, its_keys, strict=True):
        assert same_bits(each.tensor, alone(LAWS[0], each.tensor, key))


def test_batch_runs_again_with_other_keys():
    jobs = normals(3, 5000)
    batch = many.Batch(jobs)
    for seed in range(3):
        its_keys = winit.split(winit.key(seed), 3)
        batch.run(its_keys)
        for each, key in zip(jobs, its_keys, strict=True):
            assert same_bits(each.tensor, alone(LAWS[0], each.tensor, key))


def test_keys_of_names():
    """In the core's list and in single calls, of which one stands before it."""
    names, parent = ["ä", "b", "layers.0.weight"], winit.key(2**64 - 1)
    jobs = [
        many.Job(structured.ORTHOGONAL, "orthogonal_", torch.empty(5, 5), (2.0,)),
        *normals(2),
    ]
    batch = many.Batch(jobs)
    batch.run_named(parent, names)
    its_keys = [winit.fold_in(parent, name) for name in names]
    assert same_bits(jobs[0].tensor, winit.orthogonal_(torch.empty(5, 5), 2.0, key=its_keys[0]))
    for each, key in zip(jobs[1:], its_keys[1:], strict=True):
        assert same_bits(each.tensor, alone(LAWS[0], each.tensor, key))
    versions = [each.tensor._version for each in jobs]
    for wrong in (["a"], ["a", "b", "\ud800"]):
        with pytest.raises(ValueError, match=r"keys, got 1|surrogates"):
            batch.run_named(parent, wrong)
    assert [each.tensor._version for each in jobs] == versions


@pytest.mark.parametrize("dtype", [*DTYPES, torch.int32, torch.complex64], ids=str)
def test_zeros(dtype):
    given = [torch.ones(5, 3).to(dtype), torch.ones(4, 3).to(dtype).t()]
    jobs = [many.Job(ZEROS, "zeros_", tensor, ()) for tensor in given]
    batch = many.Batch([*normals(1), *jobs])
    batch.run([winit.key(0), None, None])
    assert all(same_bits(tensor, torch.zeros_like(tensor)) for tensor in given)
    assert len(batch._singles) == (0 if dtype in DTYPES else 2)
    assert [tensor._version for tensor in given] == [1, 1]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_do_not_matter(threads):
    its_keys = winit.split(winit.key(0), 20)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        jobs = normals(20, 30_011)
        many.fill_many(jobs, its_keys)
    finally:
        torch.set_num_threads(before)
    for each, key in zip(jobs, its_keys, strict=True):
        assert same_bits(each.tensor, alone(LAWS[0], each.tensor, key))


def test_numbers_need_not_be_floats():
    first, second, third = torch.empty(9), torch.empty(9), torch.empty(9, dtype=torch.int32)
    jobs = [
        many.Job(NORMAL, "normal_", first, (0, torch.tensor(2.0))),
        many.Job(CONSTANT, "constant_", second, (torch.tensor(3),)),
        many.Job(CONSTANT, "constant_", third, (-5,)),
    ]
    many.fill_many(jobs, [winit.key(1), None, None])
    assert same_bits(first, winit.normal_(torch.empty(9), 0.0, 2.0, key=winit.key(1)))
    assert second.tolist() == [3.0] * 9
    assert third.tolist() == [-5] * 9


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.int16], ids=str)
def test_constants_of_integers(dtype):
    tensor = torch.zeros(7, 3, dtype=dtype).t()
    many.fill_many([job((CONSTANT, winit.constant_, (1,)), tensor)], [None])
    assert (tensor == 1).all()


def test_no_jobs():
    many.fill_many([], [])


# ---------------------------------------------------------------------------- other tensors


def test_fills_that_lists_do_not_take():
    jobs = [
        many.Job(structured.ORTHOGONAL, "orthogonal_", torch.empty(5, 5), (2.0,)),
        job(LAWS[0], torch.empty(4)),
        many.Job(structured.SPARSE, "sparse_", torch.empty(6, 6), (0.5, 0.01)),
        many.Job(DIRAC, "dirac_", torch.empty(3, 3, 3), (1,)),
    ]
    a, b, c, _ = winit.split(winit.key(5), 4)
    many.fill_many(jobs, [a, b, c, None])
    expected = [
        winit.orthogonal_(torch.empty(5, 5), 2.0, key=a),
        winit.normal_(torch.empty(4), *LAWS[0][2], key=b),
        winit.sparse_(torch.empty(6, 6), 0.5, key=c),
        winit.dirac_(torch.empty(3, 3, 3)),
    ]
    for each, tensor in zip(jobs, expected, strict=True):
        assert same_bits(each.tensor, tensor), each.function


def test_meta_and_empty_tensors_are_left_out():
    jobs = [
        job(LAWS[0], torch.empty(5, device="meta")),
        *normals(1),
        job(LAWS[2], torch.empty(0, 3)),
        job(LAWS[8], torch.empty(2, device="meta")),
    ]
    its_keys = winit.split(winit.key(0), 4)
    many.fill_many(jobs, its_keys)
    assert same_bits(jobs[1].tensor, alone(LAWS[0], jobs[1].tensor, its_keys[1]))
    assert [each.tensor._version for each in jobs] == [0, 1, 0, 0]


def test_lazily_negated_tensor():
    tensor = torch.empty(3, 4, dtype=torch.complex64).conj().imag
    assert tensor.is_neg()
    many.fill_many([job(LAWS[0], tensor), *normals(1)], winit.split(winit.key(0)))
    plain = torch.empty(3, 4)
    key, _ = winit.split(winit.key(0))
    assert torch.equal(tensor.resolve_neg(), winit.normal_(plain, *LAWS[0][2], key=key))


def test_inside_a_dispatch_mode():
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Seeing(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    jobs, its_keys = normals(2), winit.split(winit.key(0))
    with Seeing():
        many.fill_many(jobs, its_keys)
    assert seen.count("winit_cuda.fill_.default") == 2
    assert same_bits(jobs[1].tensor, alone(LAWS[0], jobs[1].tensor, its_keys[1]))


def test_memory_that_has_moved():
    parameters = [nn.Parameter(torch.full((50,), SENTINEL)) for _ in range(3)]
    batch = many.Batch([job(LAWS[0], parameter) for parameter in parameters])
    old = parameters[1].data
    parameters[1].data = torch.empty(50)
    its_keys = winit.split(winit.key(0), 3)
    batch.run(its_keys)
    assert (old == SENTINEL).all()
    for parameter, key in zip(parameters, its_keys, strict=True):
        assert same_bits(parameter.data, alone(LAWS[0], parameter.data, key))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda memory: memory[:20], lambda memory: memory[:16]),
        (lambda memory: memory[:16], lambda memory: memory[:8].view(torch.bfloat16)),
        (lambda memory: memory[:16].view(4, 4), lambda memory: memory[:16].view(4, 4).t()),
        (lambda memory: memory.view(4, 8)[:, :2], lambda memory: memory.view(4, 8)[:, :1]),
        (lambda memory: memory.view(8, 4)[:, :2], lambda memory: memory.view(4, 8)[:, ::4]),
    ],
    ids=["shorter", "another dtype", "transposed", "narrower", "other strides"],
)
def test_memory_that_has_come_back_as_something_else(before, after):
    memory = torch.full((32,), SENTINEL)
    parameter = nn.Parameter(before(memory))
    batch = many.Batch([job(LAWS[0], parameter)])
    parameter.data = after(memory)
    batch.run([winit.key(0)])
    expected = torch.full((32,), SENTINEL)
    view = after(expected)
    view.copy_(alone(LAWS[0], view, winit.key(0)))
    assert same_bits(memory, expected)


def test_memory_that_was_freed():
    jobs = normals(3)
    batch = many.Batch(jobs)
    jobs[2].tensor.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match="storage was freed"):
        batch.run(winit.split(winit.key(0), 3))
    assert is_untouched(jobs[:2])


# ---------------------------------------------------------------------------- autograd


def test_versions_are_counted_and_gradients_are_not():
    leaf = nn.Parameter(torch.empty(4))
    whole = nn.Parameter(torch.empty(2, 4))
    jobs = [job(LAWS[0], leaf), job(LAWS[2], whole[0]), job(LAWS[8], torch.empty(3, 3).t())]
    batch = many.Batch(jobs)
    before = whole._version
    for run in (1, 2):
        batch.run(winit.split(winit.key(run), 3))
        assert leaf._version == jobs[2].tensor._version == run
        assert whole._version == before + run
    assert leaf.is_leaf
    assert leaf.grad_fn is None


def test_backward_notices_the_write():
    parameter = nn.Parameter(torch.ones(4))
    loss = (parameter**2).sum()
    many.fill_many([job(LAWS[0], parameter)], [winit.key(0)])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inference_tensors():
    with torch.inference_mode():
        tensor = torch.full((5,), SENTINEL)
        batch = many.Batch([job(LAWS[0], tensor), *normals(1)])
        batch.run(winit.split(winit.key(0)))
        expected = alone(LAWS[0], tensor, winit.split(winit.key(0))[0])
        assert same_bits(tensor, expected)
    with pytest.raises(RuntimeError, match="inference"):
        batch.run(winit.split(winit.key(1)))
    with pytest.raises(RuntimeError, match="inference"):
        many.Batch([job(LAWS[0], tensor)])
    assert same_bits(tensor, expected)


# ---------------------------------------------------------------------------- devices


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("count", [20, 3000])
def test_devices_in_one_batch(count):
    jobs = [
        job(LAWS[i % len(LAWS)], torch.empty(i % 50 + 1, device="cuda" if i % 3 else "cpu"))
        for i in range(count)
    ]
    its_keys = winit.split(winit.key(0), count)
    many.fill_many(jobs, its_keys)
    for i, (each, key) in enumerate(zip(jobs, its_keys, strict=True)):
        expected = alone(LAWS[i % len(LAWS)], each.tensor.cpu(), key)
        assert same_bits(each.tensor.cpu(), expected)


@pytest.mark.usefixtures("machine")
def test_captured_in_a_graph():
    jobs = [job(LAWS[0], torch.empty(i % 50 + 1, device="cuda")) for i in range(3000)]
    its_keys = winit.split(winit.key(0), len(jobs))
    batch = many.Batch(jobs)
    batch.run(its_keys)
    expected = [each.tensor.clone() for each in jobs]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        batch.run(its_keys)
    for each in jobs:
        each.tensor.zero_()
    graph.replay()
    assert all(torch.equal(each.tensor, old) for each, old in zip(jobs, expected, strict=True))
