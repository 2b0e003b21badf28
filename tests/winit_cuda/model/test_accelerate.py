"""Torch's own functions and methods on our kernels, and torch as it was afterwards."""

from __future__ import annotations

import functools
import inspect
import threading

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import winit_cuda as winit
from dtensors import DTensor, Shard
from initializers import FIXED, RANDOM, needs_core
from meshes import mesh_at
from winit_cuda._core.torch_init import torch_s_own
from winit_cuda._model.accelerate import FUNCTIONS, METHODS

pytestmark = needs_core

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


def test_torch_device_inside():
    with winit.accelerate(), torch.device("cpu"):
        assert is_ours()
        assert is_ours(torch.Tensor.normal_)
        assert torch.equal(seeded(nn.init.orthogonal_, torch.empty(4, 4)), ours(name="orthogonal_"))
        with torch.device("meta"):
            assert nn.Linear(4, 4).weight.is_meta


def test_function_modes_see_the_calls():
    class Log(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    seen = []
    with winit.accelerate(), Log():
        tensor = torch.empty(4, 4)
        nn.init.normal_(tensor)
        nn.init.trunc_normal_(tensor)
        seeded(tensor.normal_)
        known = {nn.init.normal_, nn.init.trunc_normal_, torch.Tensor.normal_}
        assert known <= set(seen)
    assert torch.equal(tensor, ours())


def test_subclasses_have_their_own_rules():
    class Logged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs)

    tensor = torch.empty(4, 4).as_subclass(Logged)
    seen = []
    seeded(nn.init.normal_, tensor)
    seeded(tensor.normal_)
    expected, seen = seen, []
    with winit.accelerate():
        seeded(nn.init.normal_, tensor)
        assert torch.equal(tensor.as_subclass(torch.Tensor), theirs())
        seeded(tensor.normal_)
    assert seen == expected
    assert torch.equal(tensor.as_subclass(torch.Tensor), theirs())


def test_onlookers_see_torch_s_operators():
    class Log(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    seen = []
    tensor = torch.empty(4, 4)
    with winit.accelerate():
        with Log():
            tensor.normal_()
            nn.init.uniform_(tensor)
            nn.init.xavier_normal_(tensor)
        assert seen == ["aten.normal_.default", "aten.uniform_.default", "aten.normal_.default"]
        with FakeTensorMode():
            fake = torch.empty(4, 4)
        fake.normal_()
        if torch.__version__ >= (2, 5):  # torch's own takes none before
            nn.init.orthogonal_(fake)
        torch.func.vmap(lambda x: x.clone().normal_(), randomness="same")(tensor)


def test_compiled_code_has_torch_s_operators():
    seen = []

    def backend(graph, _):
        seen.extend(node.name for node in graph.graph.nodes if node.op == "call_method")
        return graph

    def function(tensor):
        return nn.init.xavier_uniform_(tensor).normal_(0.0, 2.0)

    with winit.accelerate():
        torch.compile(function, fullgraph=True, backend=backend)(torch.empty(4, 4))
    assert seen == ["uniform_", "normal_"]


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


def test_a_method_that_somebody_else_put_over_ours_stays():
    with winit.accelerate():
        below = torch.Tensor.normal_
        torch.Tensor.normal_ = above = lambda self, *args, **kwargs: below(self, *args, **kwargs)
        assert is_ours(torch.Tensor.normal_)
    assert torch.Tensor.normal_ is above
    assert not is_ours(torch.Tensor.normal_)
    with winit.accelerate():
        assert is_ours(torch.Tensor.normal_)
    assert torch.Tensor.normal_ is above
    del torch.Tensor.normal_


@pytest.mark.parametrize("other", [winit.normal_, lambda tensor, *_: tensor.normal_()])
def test_functions_that_somebody_else_put_into_torch_before(monkeypatch, other):
    monkeypatch.setattr(nn.init, "normal_", other)
    with winit.accelerate():
        assert is_ours(nn.init.normal_)
        assert is_ours(EARLY["normal_"])
    assert nn.init.normal_ is other


@pytest.mark.usefixtures("fake_ranks")
def test_dtensors():
    mesh = mesh_at((2,), (1,))
    rows, filters = (
        DTensor.from_local(torch.full(shape, 7.0), mesh, [Shard(0)], run_check=False)
        for shape in ((4, 8), (4, 8, 3))
    )
    with winit.accelerate():
        for fill in (rows.normal_, functools.partial(nn.init.normal_, rows)):
            seeded(fill)
            assert torch.equal(rows.to_local(), ours((8, 8))[4:])
        nn.init.eye_(rows)
        nn.init.dirac_(filters)
        assert torch.equal(rows.to_local(), torch.eye(8)[4:])
        assert torch.equal(filters.to_local()[..., 1], torch.eye(8)[4:])
        with pytest.raises(RuntimeError, match="leaf Variable"):
            rows.requires_grad_().normal_()


def test_tensors_that_run_operators_see_torch_s():
    class Wrapper(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return args[0]

    seen = []
    wrapper = torch.Tensor._make_wrapper_subclass(Wrapper, (4, 4))
    with winit.accelerate():
        wrapper.normal_()
        nn.init.uniform_(wrapper)
    assert seen == ["aten.normal_.default", "aten.uniform_.default"]
