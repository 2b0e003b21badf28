"""Errors of lists of fills are those of single calls, and leave all tensors as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import winit_cuda as winit
from core import Key
from initializers import needs_core
from jobs import LAWS, SENTINEL, is_untouched, job, normals
from winit_cuda._core import backend
from winit_cuda._dispatch import many
from winit_cuda._fills.constants import CONSTANT
from winit_cuda._fills.elementwise import NORMAL, UNIFORM

pytestmark = needs_core

BAD_JOBS = {
    "integers": (lambda: job(LAWS[0], torch.empty(3, dtype=torch.int32)), TypeError, "dtype"),
    "sparse": (lambda: job(LAWS[0], torch.eye(3).to_sparse()), TypeError, "dense"),
    "no tensor": (
        lambda: many.Job(NORMAL, "normal_", [1.0], (0.0, 1.0)),
        TypeError,
        "Tensor",
    ),
    "overlap": (
        lambda: job(LAWS[0], torch.empty(1).expand(5)),
        RuntimeError,
        "elements that share memory",
    ),
    "std": (
        lambda: many.Job(NORMAL, "normal_", torch.empty(3), (0.0, -1.0)),
        ValueError,
        "normal_: std must be finite and at least 0",
    ),
    "bounds": (
        lambda: many.Job(UNIFORM, "uniform_", torch.empty(3), (1.0, 0.0)),
        ValueError,
        "uniform_: a must be at most b",
    ),
    "too large": (
        lambda: many.Job(NORMAL, "normal_", torch.empty(3, dtype=torch.half), (0.0, 1e5)),
        ValueError,
        "at most 65504",
    ),
    "number": (
        lambda: many.Job(NORMAL, "normal_", torch.empty(3), ("0", 1.0)),
        TypeError,
        "mean must be a number",
    ),
    "value": (
        lambda: job((CONSTANT, winit.constant_, (1.5,)), torch.empty(3, dtype=torch.int8)),
        ValueError,
        "representable",
    ),
}


@pytest.mark.parametrize("name", BAD_JOBS)
def test_errors_leave_everything_untouched(name):
    make, error, message = BAD_JOBS[name]
    good = normals(2)
    with pytest.raises(error, match=message):
        many.fill_many([good[0], make(), good[1]], winit.split(winit.key(0), 3))
    assert is_untouched(good)


@pytest.mark.parametrize(
    ("its_keys", "error", "message"),
    [
        ([winit.key(0)] * 2, ValueError, "3 jobs need as many keys, got 2"),
        ([winit.key(0), None, winit.key(0)], TypeError, "normal_: key must be a winit_cuda.Key"),
        ([winit.key(0), winit.key(0), 5], TypeError, "normal_: key must be .* got 5"),
        ([winit.key(0), winit.key(0), Key(1, 2)], TypeError, "normal_: key must be"),
    ],
)
def test_wrong_keys_leave_everything_untouched(its_keys, error, message):
    jobs = normals(3)
    with pytest.raises(error, match=message):
        many.fill_many(jobs, its_keys)
    assert is_untouched(jobs)


def test_overlapping_jobs_are_named():
    whole = torch.full((10,), SENTINEL)
    jobs = [
        job(LAWS[0], torch.empty(3, device="meta")),
        job(LAWS[0], whole[:5]),
        *normals(1),
        job(LAWS[0], whole[4:]),
    ]
    with pytest.raises(ValueError, match="fills 1 and 3 of the jobs write the same memory"):
        many.Batch(jobs)
    assert is_untouched(jobs[1:])


def test_key_that_only_the_core_can_use():
    """A complex tensor is ATen's, which has no keys: nothing is written, not even by the list."""
    good, complex_one = normals(1), job(LAWS[0], torch.empty(3, dtype=torch.complex64))
    with pytest.raises(RuntimeError, match="key needs the native core"):
        many.fill_many([*good, complex_one], winit.split(winit.key(0)))
    assert is_untouched(good)
    many.fill_many([*good, complex_one], [winit.key(0), None])
    torch.manual_seed(4)
    many.fill_many([complex_one], [None])
    torch.manual_seed(4)
    expected = nn.init.normal_(torch.empty(3, dtype=torch.complex64), *LAWS[0][2])
    assert torch.equal(complex_one.tensor, expected)


def test_choice_of_the_backend_after_the_batch_was_made():
    jobs = normals(2)
    batch = many.Batch(jobs)
    with winit.use_backend("aten"), pytest.raises(RuntimeError, match="key needs the native core"):
        batch.run(winit.split(winit.key(0)))
    assert is_untouched(jobs)
    assert backend.choice() == "auto"
    batch.run(winit.split(winit.key(0)))
    assert not is_untouched(jobs)
