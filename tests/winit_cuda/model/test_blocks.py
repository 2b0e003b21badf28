"""The object that `accelerate()` returns: entered again, as a decorator; and hooks that pickle."""

from __future__ import annotations

import pickle

import pytest
import torch

import winit_cuda as winit
from initializers import needs_core

pytestmark = needs_core


def filled():
    torch.manual_seed(0)
    return torch.empty(100).normal_()


@pytest.fixture
def ours():
    torch.manual_seed(0)
    return winit.normal_(torch.empty(100))


def test_a_block_that_is_entered_again(ours):
    block, torch_s = winit.accelerate(), filled()
    assert not torch.equal(ours, torch_s)
    for _ in range(2):
        with block:
            assert torch.equal(filled(), ours)
            with block:
                assert torch.equal(filled(), ours)
            assert torch.equal(filled(), ours)
        assert torch.equal(filled(), torch_s)


def test_a_decorator(ours):
    decorated = winit.accelerate()(filled)
    assert decorated.__name__ == "filled"
    assert torch.equal(decorated(), ours)
    assert not torch.equal(filled(), ours)


def generator():
    yield filled()


async def coroutine():
    return filled()


async def asynchronous_generator():
    yield filled()


@pytest.mark.parametrize("function", [generator, coroutine, asynchronous_generator])
def test_what_works_after_its_call_is_refused(function):
    with pytest.raises(TypeError, match="accelerate: func must be an ordinary function") as raised:
        winit.accelerate()(function)
    assert function.__name__ in str(raised.value)


def test_methods_pickle():
    with winit.accelerate():
        for name in ("normal_", "uniform_"):
            pickled = pickle.dumps(getattr(torch.Tensor, name))
            assert pickle.loads(pickled) is getattr(torch.Tensor, name)
    assert pickle.loads(pickled) == torch.Tensor.uniform_
