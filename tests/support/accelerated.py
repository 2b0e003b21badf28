"""Whether torch's functions are on our kernels, and that they are torch's again afterwards."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import winit_cuda as winit
from initializers import FIXED, RANDOM
from winit_cuda._core.torch_init import torch_s_own
from winit_cuda._model.accelerate import FUNCTIONS

HOOKED = [entry for entry in RANDOM + FIXED if entry.name in FUNCTIONS]
EARLY = {entry.name: getattr(nn.init, entry.name) for entry in HOOKED}


def seeded(fill, *args, **kwargs):
    torch.manual_seed(0)
    return fill(*args, **kwargs)


def ours(shape=(4, 4), name="normal_", *args):
    return seeded(getattr(winit, name), torch.empty(shape), *args)


def theirs(shape=(4, 4)):
    with torch_s_own():
        return seeded(EARLY["normal_"], torch.empty(shape))


def is_ours(fill=None):
    filled = seeded(fill or nn.init.normal_, torch.empty(4, 4))
    assert torch.equal(filled, ours()) or torch.equal(filled, theirs())
    return torch.equal(filled, ours())


def state():
    """What accelerating may not change for good."""
    codes = {n: (f, f.__code__) for n, f in vars(nn.init).items() if inspect.isfunction(f)}
    return codes, set(vars(nn.init)), dict(vars(torch.Tensor))


@pytest.fixture(autouse=True)
def before():
    before = state()
    yield before
    winit.uninstall()
    assert state() == before
