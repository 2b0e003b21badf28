"""Hooks in functions of torch and in the methods of its tensors, and the way back."""

from __future__ import annotations

import inspect
from types import FunctionType

import pytest
import torch
from torch import nn

from winit_cuda._model.hooks import FunctionHook, MethodHook


def answering(answer):
    """A hook that says what it got, and keeps what it is in the place of."""

    def make(own):
        def hook(*args, **kwargs):
            return answer, own, args, kwargs

        return hook

    return make


def test_a_function_keeps_its_object_and_signature():
    function = nn.init.xavier_normal_
    code, names = function.__code__, set(vars(nn.init))
    signature, source = inspect.signature(function), inspect.getsource(function)
    hook = FunctionHook(function, answering("hooked"))
    try:
        answer, own, args, kwargs = function("tensor", generator=3)
        assert (answer, args, kwargs) == ("hooked", ("tensor", 1.0, 3), {})
        assert own.__code__ is code
        assert inspect.signature(function) == signature
        assert inspect.getsource(function) == source
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'tensor'"):
            function()
    finally:
        hook.remove()
    assert function.__code__ is code
    assert set(vars(nn.init)) == names


def test_a_code_that_somebody_else_put_over_ours_stays():
    def function(tensor):
        return tensor

    hook = FunctionHook(function, answering("hooked"))
    function.__code__ = code = (lambda tensor: ("above", tensor)).__code__
    hook.remove()
    assert function.__code__ is code


@pytest.mark.parametrize("has_one", [False, True])
def test_a_method_comes_and_goes(monkeypatch, has_one):
    base = torch._C.TensorBase.normal_
    if has_one:
        monkeypatch.setattr(torch.Tensor, "normal_", lambda *_: "before", raising=False)
    before = dict(vars(torch.Tensor))
    hook = MethodHook("normal_", answering("hooked"))
    tensor = torch.empty(2)
    answer, own, args, kwargs = tensor.normal_(1.0, std=2.0)
    hook.remove()
    assert (answer, kwargs) == ("hooked", {"std": 2.0})
    assert args[0] is tensor
    assert own is (before["normal_"] if has_one else base)
    assert dict(vars(torch.Tensor)) == before


def test_a_method_that_somebody_else_put_over_ours_stays():
    hook = MethodHook("normal_", answering("hooked"))
    torch.Tensor.normal_ = above = lambda *_: "above"
    try:
        hook.remove()
        assert torch.Tensor.normal_ is above
    finally:
        del torch.Tensor.normal_


def test_a_thread_that_is_inside_goes_on_when_the_hook_is_removed():
    function = nn.init.ones_
    hook = FunctionHook(function, answering("hooked"))
    entered = FunctionType(function.__code__, function.__globals__)  # as the thread's frame has it
    hook.remove()
    assert entered("tensor")[0] == "hooked"
