"""What fails on a CUDA device in the middle of a call: the tensor and the generators stay."""

from __future__ import annotations

import functools
import math
import re

import pytest
import torch

import standin
import winit_cuda as winit
from initializers import RANDOM, needs_core
from winit_cuda._core import backend
from winit_cuda._fills import householder, structured

pytestmark = [
    needs_core,
    pytest.mark.skipif(standin.is_not_needed(), reason="a GPU does not fail when it is told to"),
]


def of(function, *arguments, shard=None, **options):
    given = {"shard": winit.Shard(*shard) if type(shard) is tuple else shard} if shard else {}
    return functools.partial(
        lambda tensor, **keys: function(tensor, *arguments, **given, **options, **keys)
    )


BOXES = winit.Shard.partition((8, 6), dim=0, rank=1, world=2, stride=2)
# A shape and what fills it: every initializer, and every way that a matrix is made.
CALLS = {
    **{entry.name: (entry.shape, entry) for entry in RANDOM},
    "transposed": ((6, 5), lambda tensor, **options: winit.normal_(tensor.t(), **options)),
    "one value": ((6, 5), of(winit.uniform_, 2.0, 2.0)),
    "panels": ((20, 18), winit.orthogonal_),
    "rows": ((3, 17), of(winit.orthogonal_, shard=((20, 17), (3, 0)))),
    "columns": ((20, 3), of(winit.orthogonal_, shard=((20, 17), (0, 7)))),
    "no matrix": ((12, 5, 4), lambda tensor, **o: winit.orthogonal_(tensor.transpose(1, 2), **o)),
    "a batch": ((2, 12, 10), of(winit.orthogonal_, batch_dims=1)),
    "a long batch": ((3, 1100, 2), of(winit.orthogonal_, batch_dims=1)),
    "a batch of large ones": ((2, 22, 21), of(winit.orthogonal_, batch_dims=1)),
    "chunks": ((24, 4), of(winit.orthogonal_, chunks=3)),
    "a box": ((3, 2, 3), of(winit.orthogonal_, shard=((6, 5, 3), (1, 2, 0)))),
    "a box of several": (
        (2, 4, 5),
        of(winit.orthogonal_, batch_dims=1, shard=((3, 6, 5), (1, 2, 0))),
    ),
    "a box within columns": ((6, 5, 2), of(winit.orthogonal_, shard=((6, 5, 3), (0, 0, 1)))),
    "boxes of orthogonal_": ((4, 6), of(winit.orthogonal_, shard=BOXES)),
    "boxes of several": ((4, 6), of(winit.orthogonal_, chunks=2, shard=BOXES)),
    "boxes of sparse_": ((4, 6), of(winit.sparse_, 0.5, shard=BOXES)),
    "boxes of normal_": ((4, 6), of(winit.normal_, shard=BOXES)),
    "boxes of one value": ((4, 6), of(winit.uniform_, 2.0, 2.0, shard=BOXES)),
    "a box of trunc_normal_": ((4, 6), of(winit.trunc_normal_, shard=((8, 6), (3, 0)))),
    "a box of delta_orthogonal_": (
        (3, 4, 2),
        of(winit.delta_orthogonal_, shard=((6, 4, 3), (2, 0, 1))),
    ),
    "a box beside the center": (
        (3, 4, 1),
        of(winit.delta_orthogonal_, shard=((6, 4, 3), (2, 0, 2))),
    ),
    "a box of sparse_": ((3, 2), of(winit.sparse_, 0.5, shard=((6, 5), (1, 2)))),
}
REASONS = ("CUDA out of memory. Tried to allocate it all.", "kernel launch: out of memory")
KINDS = ("default", "cpu", "cuda", "seeded apart")
# Every kind of generator with the calls of few steps.
every_call = pytest.mark.parametrize(
    ("shape", "function", "kind"),
    [
        pytest.param(*call, kind, id=f"{name}-{kind}")
        for name, call in CALLS.items()
        for kind in (KINDS if math.prod(call[0]) < 200 and len(call[0]) == 2 else KINDS[:1])
    ],
)


@pytest.fixture(autouse=True)
def _small_matrices_are_large(monkeypatch):
    """What is done in pieces with large matrices is done so here, too."""
    monkeypatch.setattr(householder, "_MEDIUM", 16)
    monkeypatch.setattr(householder, "_PANEL", 12)
    monkeypatch.setattr(householder, "_SPARE_BYTES", 1000)
    monkeypatch.setattr(structured, "_BATCHED", 20)


def generator_of(kind):
    if kind == "seeded apart":
        torch.cuda.default_generators[0].manual_seed(torch.initial_seed() + 1)
    return torch.Generator(kind).manual_seed(5) if kind in ("cpu", "cuda") else None


def failures(failing, shape, function, kind, error):
    """Let every step of a call fail, one after the other; the errors that it ends with."""
    generator = generator_of(kind)
    generators = [torch.default_generator, torch.cuda.default_generators[0]]
    generators += [generator] if generator else []
    errors = []
    while True:
        tensor = torch.full(shape, 7.0, device="cuda")
        version, states = tensor._version, [each.get_state() for each in generators]
        failing.fail_after(len(errors))
        try:
            function(tensor, generator=generator)
        except error as failure:
            errors.append(str(failure))
        else:
            failing.fail_after(None)
            return errors
        assert (tensor == 7.0).all(), errors
        assert tensor._version == version, errors
        for each, state in zip(generators, states, strict=True):
            assert torch.equal(each.get_state(), state), errors
        assert errors[-1].endswith(REASONS), errors


@every_call
def test_out_of_memory(machine, shape, function, kind):
    errors = failures(machine.memory, shape, function, kind, torch.cuda.OutOfMemoryError)
    assert all(re.match(r"\w+_: CUDA out of memory", error) for error in errors)


@every_call
def test_launches_that_fail(machine, shape, function, kind):
    errors = failures(machine.core, shape, function, kind, RuntimeError)
    assert all(re.match(r"\w+_: kernel launch", error) for error in errors)
    launches_nothing = ("one value", "boxes of one value", "a box beside the center")
    assert errors or function in [CALLS[name][1] for name in launches_nothing]


@pytest.mark.parametrize("kind", ["default", "cuda"])
def test_out_of_memory_in_torch_s_own_function(machine, monkeypatch, kind):
    """Where the core does not serve the device: torch draws before it has all its memory."""
    monkeypatch.setitem(backend._cuda_problems, 0, "it is too old")
    call = (machine.memory, (6, 5), winit.orthogonal_, kind, torch.cuda.OutOfMemoryError)
    assert len(failures(*call)) > 3
