"""Constructors of random steps: what a plan fills is distributed as what a build has.

Compared are means and standard deviations, of the whole and of each row and column, and which rows
of which parameters are the same but for scale: copies in a build are copies in a filled model, and
nothing else is.
"""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core

ROWS, COLUMNS = 40, 48

SOURCES = [
    lambda: torch.randn(ROWS, COLUMNS),
    lambda: torch.rand(ROWS, COLUMNS),
    lambda: torch.zeros(ROWS, COLUMNS),
    lambda: torch.full((ROWS, COLUMNS), -1.5),
    lambda: nn.init.trunc_normal_(torch.empty(ROWS, COLUMNS), std=0.5),
    lambda: torch.randn(2 * ROWS, COLUMNS)[20 : 20 + ROWS],
    lambda: torch.randn(COLUMNS, ROWS).t(),
    lambda: torch.empty(ROWS, COLUMNS).uniform_(-1, 2),
]


def steps(one, other, i, j):
    """What may be done to a tensor, in place or by a new one."""
    rows, columns = slice(i, i + 8), slice(j, j + 8)
    return [
        lambda: one.mul_(-2.0),
        lambda: one.add_(1.0),
        lambda: one.copy_(other),
        lambda: one[rows].fill_(2.0),
        lambda: one[:, columns].normal_(0, 0.1),
        lambda: one[rows, columns].zero_(),
        lambda: one[rows].copy_(other[columns].clone()),
        lambda: one[::2].mul_(2),
        lambda: one.clone(),
        lambda: one.t().contiguous().t(),
        lambda: 0.5 - one,
        lambda: one.double().mul(3).float(),
        lambda: one.abs(),
        lambda: one + other,
    ]


def constructor(seed):
    def factory():
        chance = random.Random(seed)
        pool = [chance.choice(SOURCES)() for _ in range(4)]
        for _ in range(chance.randrange(3, 12)):
            one, other = chance.choice(pool), chance.choice(pool)
            todo = steps(one, other, chance.randrange(ROWS - 8), chance.randrange(ROWS - 8))
            made = chance.choice(todo)()
            if made.shape == one.shape:
                pool.append(made)
        model = nn.Module()
        for index, tensor in enumerate(chance.sample(pool, 4)):
            setattr(model, f"p{index}", nn.Parameter(tensor))
        return model

    return factory


def matrices(model):
    return {name: parameter.detach().double() for name, parameter in model.named_parameters()}


def centered(values):
    values = values - values.mean(dim=-1, keepdim=True)
    norms = values.norm(dim=-1, keepdim=True)
    return torch.where(norms > 1e-5, values / norms, 0.0)


def same_rows(one, other):
    """Which rows are those of the other up to scale and a summand, signed."""
    cosines = (centered(one) * centered(other)).sum(dim=-1)
    return torch.where(cosines.abs() > 1 - 1e-5, cosines.sign(), 0.0)


@pytest.mark.parametrize("seed", range(24))
def test_filled_as_built(seed):
    factory = constructor(seed)
    plan = winit.plan(factory)
    torch.manual_seed(seed)
    built = matrices(factory())
    model = nn.Module()
    for name in built:
        setattr(model, name, nn.Parameter(torch.full((ROWS, COLUMNS), 77.0)))
    plan.run(model, seed=seed)
    filled = matrices(model)
    for name, values in matrices(winit.build(factory, seed)).items():
        assert torch.equal(values, filled[name]), name
    for name, expected in built.items():
        mine = filled[name]
        spread = max(x.std(dim=d).max() for x in (mine, expected) for d in (0, 1)) + 1e-6
        for dims, count in (((0, 1), ROWS * COLUMNS), ((0,), ROWS), ((1,), COLUMNS)):
            limit = 7 * spread * count**-0.5
            assert (mine.mean(dims) - expected.mean(dims)).abs().max() < limit, name
            assert (mine.std(dims) - expected.std(dims)).abs().max() < limit, name
        for other in built:
            assert torch.equal(same_rows(mine, filled[other]), same_rows(expected, built[other])), (
                name,
                other,
            )
