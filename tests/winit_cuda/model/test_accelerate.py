"""Torch's own functions and methods on our kernels, and torch as it was afterwards."""

from __future__ import annotations

import functools
import inspect
import threading

import pytest
import torch
from torch import nn

import winit_cuda as winit
from accelerated import EARLY, HOOKED, is_ours, ours, seeded, state, theirs
from accelerated import before as before
from initializers import RANDOM, needs_core
from winit_cuda._model.accelerate import FUNCTIONS, METHODS

pytestmark = needs_core


@pytest.mark.parametrize("entry", HOOKED, ids=str)
def test_functions_however_they_were_imported(entry):
    expected = seeded(entry, entry.empty())
    names = [EARLY[entry.name], functools.partial(getattr(nn.init, entry.name))]
    signature = inspect.signature(EARLY[entry.name])
    with winit.accelerate():
        assert inspect.signature(EARLY[entry.name]) == signature
        for function in names:
            filled = entry.empty()
            assert seeded(function, filled, *entry.arguments) is filled
            assert torch.equal(filled, expected)
        if alias := getattr(nn.init, entry.name[:-1], None):
            with pytest.warns(FutureWarning, match="deprecated"):
                assert torch.equal(seeded(alias, entry.empty(), *entry.arguments), expected)


def test_every_random_function_of_torch_is_reached():
    random = {entry.name for entry in RANDOM if hasattr(nn.init, entry.name)}
    assert random < set(FUNCTIONS)


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    first, second = METHODS[name][1]
    expected = ours((4, 4), name, 0.25, 2.0)
    leaf = nn.Parameter(torch.empty(4, 4))
    generator = torch.Generator()
    with winit.accelerate():
        method = getattr(torch.Tensor, name)
        assert (method.__name__, method.__qualname__) == (name, f"Tensor.{name}")
        for args, numbers in (
            ((0.25, 2.0), {}),
            ((0.25,), {second: 2}),
            ((), {second: 2.0, first: 0.25}),
        ):
            for generated in ({}, {"generator": None}):
                filled = torch.empty(4, 4)
                assert seeded(method, filled, *args, **numbers, **generated) is filled
                assert torch.equal(filled, expected)
            torch.manual_seed(1)
            generator.manual_seed(0)
            assert torch.equal(method(filled, *args, **numbers, generator=generator), expected)
        assert torch.equal(seeded(method, leaf.data, 0.25, 2.0), expected)
        assert torch.equal(leaf, expected)
        assert torch.equal(seeded(method, torch.empty(4, 4)), ours((4, 4), name))
        assert torch.equal(seeded(method, torch.empty(4, 4), 0.5), ours((4, 4), name, 0.5))
        with torch.no_grad():
            assert torch.equal(seeded(method, leaf), ours((4, 4), name))


def test_modules_of_torch():
    with winit.accelerate():
        attention = seeded(nn.MultiheadAttention, 8, 2)
        embedding = seeded(nn.Embedding, 5, 4)
        linear = seeded(nn.Linear, 8, 4)
    assert torch.equal(embedding.weight, ours((5, 4)))
    assert torch.equal(linear.weight, ours((4, 8), "kaiming_uniform_", 5**0.5))
    torch.manual_seed(0)
    winit.kaiming_uniform_(torch.empty(8, 8), a=5**0.5)
    winit.uniform_(torch.empty(8))  # the layer behind, drawn before
    assert torch.equal(attention.in_proj_weight, winit.xavier_uniform_(torch.empty(24, 8)))


def test_autograd_is_torch_s():
    leaf = torch.ones(4, 4, requires_grad=True)
    with winit.accelerate():
        for tensor in (leaf, leaf[0]):
            with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
                tensor.normal_()
        assert torch.equal(leaf, torch.ones(4, 4))
        doubled = leaf * 2
        doubled.uniform_()
        doubled.sum().backward()
        assert torch.equal(leaf.grad, torch.zeros(4, 4))  # the fill is in the history
        assert is_ours()
        used = torch.ones(4, requires_grad=True)
        factor = torch.ones(4)
        product = (used * factor).sum()
        factor.normal_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            product.backward()


REFUSED = {
    "negative std": lambda: nn.init.normal_(torch.empty(4), std=-1),
    "negative std of a method": lambda: torch.empty(4).normal_(0, -1),
    "empty interval": lambda: torch.empty(4).uniform_(1, 0),
    "integers": lambda: nn.init.uniform_(torch.empty(4, dtype=torch.int64)),
    "integers in a method": lambda: torch.empty(4, dtype=torch.int64).uniform_(),
    "one dimension": lambda: nn.init.xavier_normal_(torch.empty(4)),
    "mode": lambda: nn.init.kaiming_normal_(torch.empty(4, 4), mode="fan"),
    "no tensor": lambda: nn.init.normal_([1.0]),
    "unknown argument": lambda: torch.empty(4).normal_(key=None),
    "given twice": lambda: torch.empty(4).normal_(0.0, mean=1.0),
    "too many": lambda: torch.empty(4).normal_(0.0, 1.0, None),
    "expanded": lambda: torch.empty(1).expand(4).normal_(),
    "missing argument": lambda: nn.init.sparse_(torch.empty(4, 4)),
    "text": lambda: torch.empty(4).normal_("0"),
    "sparse": lambda: torch.eye(3).to_sparse().normal_(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_errors_are_torch_s(what):
    with pytest.raises(Exception) as expected:  # noqa: PT011
        REFUSED[what]()
    state = torch.default_generator.get_state()
    with winit.accelerate(), pytest.raises(expected.type) as found:
        REFUSED[what]()
    assert found.type is expected.type
    assert str(found.value) == str(expected.value)
    assert found.value.__context__ is None
    assert torch.equal(torch.default_generator.get_state(), state)


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.init.normal_(torch.empty(40), 0.0, float("inf")),
        lambda: torch.empty(40).normal_(float("nan")),
        lambda: torch.empty(40, dtype=torch.complex64).normal_(),
        lambda: nn.init.sparse_(torch.empty(40, 4), 1.5),
        lambda: nn.init.trunc_normal_(torch.empty(8, 2).as_strided((8, 8), (1, 1)), std=2.0),
    ],
)
def test_what_ours_refuses_and_torch_takes(call):
    expected = seeded(call)
    with winit.accelerate():
        assert torch.equal(seeded(call).nan_to_num(), expected.nan_to_num())


def test_a_signal_handler_s_error_is_not_lost(monkeypatch):
    class SignalError(RuntimeError):
        pass

    def interrupted(*_):
        raise SignalError

    monkeypatch.setattr(winit.init, "normal_", interrupted)
    monkeypatch.setattr(winit._model.accelerate, "fill", interrupted)
    with winit.accelerate():
        with pytest.raises(SignalError):
            nn.init.normal_(torch.empty(4))
        with pytest.raises(SignalError):
            torch.empty(4).normal_()


def test_nesting_exceptions_and_decorators(before):
    @winit.accelerate()
    def decorated():
        return is_ours()

    with winit.accelerate():
        with pytest.raises(ZeroDivisionError), winit.accelerate():
            raise ZeroDivisionError
        assert is_ours()
        assert decorated()
        assert is_ours(torch.Tensor.normal_)
    assert state() == before
    assert not is_ours()
    assert decorated()
    assert not is_ours(torch.Tensor.normal_)


def test_install_and_uninstall(before):
    winit.uninstall()
    winit.install()
    winit.install()
    with winit.accelerate():
        winit.uninstall()
        assert is_ours()
        winit.install()
    assert is_ours()
    assert is_ours(torch.Tensor.normal_)
    winit.uninstall()
    assert state() == before
    assert not is_ours()


def in_a_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_a_block_acts_on_its_thread_and_an_installation_on_all():
    def both():  # the values only: the generator is shared
        return is_ours(), is_ours(torch.Tensor.normal_)

    with winit.accelerate():
        assert in_a_thread(both) == (False, False)
        winit.install()
        assert in_a_thread(both) == (True, True)
    assert in_a_thread(both) == (True, True)


def test_our_aten_path_does_not_call_ours(monkeypatch):
    calls = []
    fill = winit._schemes.elementwise.fill
    counted = lambda *args: (calls.append(args[1]), fill(*args))[1]  # noqa: E731
    monkeypatch.setattr(winit._schemes.elementwise, "fill", counted)
    monkeypatch.setattr(winit._model.accelerate, "fill", counted)
    with winit.accelerate(), winit.use_backend("aten"):
        assert torch.equal(ours(), theirs())
        assert calls == ["normal_"]
        assert torch.equal(seeded(torch.Tensor.normal_, torch.empty(4, 4)), theirs())
