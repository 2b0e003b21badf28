"""Truncated normals that libraries write by hand are laws, and what only looks like one is not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import winit_cuda as winit


def by_hand(tensor, mean, std, a, b):
    """As libraries have it that are older than torch's own function."""

    def below(x):
        return (1 + math.erf((x - mean) / std / math.sqrt(2))) / 2

    tensor.uniform_(2 * below(a) - 1, 2 * below(b) - 1)
    return tensor.erfinv_().mul_(std * math.sqrt(2)).add_(mean).clamp_(min=a, max=b)


def entry(write):
    def factory():
        module = nn.Module()
        with torch.no_grad():
            module.w = nn.Parameter(write(torch.empty(40, 50)))
        return module

    return winit.plan(factory)["w"]


@pytest.mark.parametrize(
    "numbers",
    [(0.0, 0.02, -2.0, 2.0), (0.0, 0.02, -0.04, 0.04), (1.0, 0.5, 0.0, 1.5), (0.0, 1.0, -9.0, 9.0)],
)
def test_as_libraries_have_it(numbers):
    assert entry(lambda w: by_hand(w, *numbers)).initializer == winit.TruncNormal(*numbers)


def test_what_is_done_around_it():
    scaled = entry(lambda w: by_hand(w, 0, 1, -2, 2).mul_(-0.02).add_(1)).initializer
    assert scaled.law(()).numbers == pytest.approx((1, 0.02, 0.96, 1.04), rel=1e-12)
    new = entry(lambda w: torch.erfinv(torch.rand_like(w)) * math.sqrt(2)).initializer
    assert new.law(()).numbers == pytest.approx((0, 1, 0, math.inf))
    wide = entry(lambda w: w.uniform_(-1, 1).erfinv_().mul_(2**0.5).clamp_(torch.tensor(-8.0), 9))
    assert wide.initializer == winit.TruncNormal(0.0, 1.0, -8.0, 9.0)
    inside = entry(lambda w: by_hand(w, 0, 1, -2, 2).clamp(-3.0))
    assert inside.initializer == winit.TruncNormal()


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (lambda w: by_hand(w, 0, 1, -2, 2).clamp_(-1, 2), "computed by clamp_"),
        (lambda w: w.uniform_(-1, 1).clamp_(-2, 2), "computed by clamp_"),
        (lambda w: w.normal_().erfinv_(), "computed by erfinv_"),
        (lambda w: w.uniform_(-2, 1).erfinv_(), "computed by erfinv_"),
        (lambda w: w.uniform_(-1, 1)[:20].erfinv_() is None or w, "computed by erfinv_ of a part"),
    ],
)
def test_what_is_none(write, why):
    found = entry(write)
    assert found.initializer is None
    assert found.note.startswith(why)


def test_values_of_a_program_with_the_same_draw():
    """A row that is computed from the draw, and the whole that has its law, agree."""

    def factory():
        module = nn.Module()
        module.w = nn.Parameter(by_hand(torch.empty(40, 50), 0, 1, -2, 2))
        module.norms = nn.Parameter(module.w.detach().norm(dim=1))
        return module

    plan, model = winit.plan(factory), factory()
    plan.run(model, seed=3)
    assert plan["w"].initializer == winit.TruncNormal()
    assert torch.allclose(model.norms, model.w.norm(dim=1), rtol=1e-4)
