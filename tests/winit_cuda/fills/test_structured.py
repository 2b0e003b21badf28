"""Fills that carry a structure: what an operator takes and gives back, and a batch of jobs."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from winit_cuda._dispatch import many
from winit_cuda._fills import elementwise
from winit_cuda._fills.structured import FILLS, ORTHOGONAL, SPARSE, OrthogonalFill, SparseFill

SHARD = winit.Shard((8, 6), (2, 3))


def described(fill):
    return {name: value for name, value in vars(fill).items() if name != "structure"}


@pytest.mark.parametrize(
    "fill",
    [
        ORTHOGONAL,
        OrthogonalFill(2, 3),
        OrthogonalFill(0, 2, SHARD),
        OrthogonalFill(1, 1, winit.Shard((2, 8, 6), (1, 2, 3))),
        SPARSE,
        SparseFill(SHARD),
        elementwise.NORMAL,
    ],
    ids=lambda fill: f"{fill.name}{fill.structure}",
)
def test_the_integers_of_a_structure_make_it_again(fill):
    again = FILLS[fill.name].structured(fill.structure)
    assert type(again) is type(fill)
    assert described(again) == described(fill)
    assert again.structure == fill.structure
    assert all(type(number) is int for number in fill.structure)


def test_every_fill_has_a_name_for_operators():
    assert all(fill.name == name for name, fill in FILLS.items())
    assert set(FILLS) == {"uniform", "normal", "trunc_normal", "sparse", "orthogonal",
                          "delta_orthogonal", "constant", "zeros", "eye", "dirac"}  # fmt: skip


@needs_core
def test_jobs_of_a_batch_may_have_a_structure():
    key = winit.key(0)
    gates, part = torch.empty(8, 4), torch.empty(4, 3)
    many.fill_many(
        [
            many.Job(OrthogonalFill(0, 2), "orthogonal_", gates, (1.0,)),
            many.Job(SparseFill(SHARD), "sparse_", part, (0.5, 1.0)),
        ],
        [key, key],
    )
    assert torch.equal(gates, winit.orthogonal_(torch.empty(8, 4), key=key, chunks=2))
    expected = winit.sparse_(torch.empty(4, 3), 0.5, 1.0, key=key, shard=SHARD)
    assert torch.equal(part, expected)
