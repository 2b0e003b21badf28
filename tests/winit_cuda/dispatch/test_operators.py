"""torch.compile, export, tracing, fake tensors, dispatch modes and torch.func."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

import winit_cuda as winit
from initializers import Unchanged, every, every_fixed, every_random, needs_core
from programs import compiled, needs_vmap_rules, of_torch_s_own
from winit_cuda._core.torch_internals import serves_vmap


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()


@every
def test_compiled_whole(initializer):
    """One graph, the values of eager mode, and the tensor itself is written and returned."""
    function, arguments = initializer.ours, initializer.arguments

    def step(tensor):
        return function(tensor, *arguments)

    program = compiled(step)
    parameter = nn.Parameter(initializer.empty())
    torch.manual_seed(0)
    result = program(parameter)
    assert result is parameter
    assert parameter._version > 0
    assert parameter.is_leaf
    torch.manual_seed(0)
    assert torch.equal(parameter, initializer(initializer.empty()))
    before = parameter.detach().clone()
    program(parameter)
    assert torch.equal(parameter, before) == (not initializer.is_random)


@needs_core
@every_random
def test_compiled_with_a_key(initializer):
    function, arguments = initializer.ours, initializer.arguments

    def step(tensor, key):
        return function(tensor, *arguments, key=key)

    program = compiled(step)
    for key in (winit.Key(2**63 + 5, 2**64 - 1), winit.Key(1, 2**63), winit.Key(0, 0)):
        result = program(initializer.empty(), key)
        assert torch.equal(result, initializer(initializer.empty(), key=key))


@pytest.fixture
def subnormals():
    """Not flushed afterwards: loading what torch 2.4's inductor compiles switches that on."""
    yield
    torch.set_flush_denormal(False)


@needs_core
@of_torch_s_own
@pytest.mark.usefixtures("subnormals")
def test_compiled_by_inductor():
    def step():
        first, second = torch.zeros(4, 4), torch.zeros(4, 4)
        winit.normal_(first)
        winit.normal_(second)
        return first, second, winit.orthogonal_(torch.zeros(4, 4), key=winit.Key(0, 1))

    program = compiled(step, backend="inductor")
    torch.manual_seed(0)
    first, second, third = program()
    torch.manual_seed(0)
    assert torch.equal(first, winit.normal_(torch.empty(4, 4)))
    assert torch.equal(second, winit.normal_(torch.empty(4, 4)))
    assert torch.equal(third, winit.orthogonal_(torch.empty(4, 4), key=winit.Key(0, 1)))


def test_compiled_dirac_and_negative_gains():
    def step(weight, matrix):
        return winit.dirac_(weight, 2), winit.xavier_uniform_(matrix, gain=-2.0)

    torch.manual_seed(0)
    ours = compiled(step)(torch.ones(4, 3, 5), torch.ones(3, 3))
    torch.manual_seed(0)
    for value, expected in zip(ours, step(torch.ones(4, 3, 5), torch.ones(3, 3)), strict=True):
        assert torch.equal(value, expected)


@needs_core
def test_compiled_with_a_gain_and_a_sparsity_of_a_dynamic_size():
    def step(tensor):
        winit.sparse_(tensor, 1.0 / tensor.shape[0], key=winit.Key(1, 2))
        zeros = (tensor == 0).sum()
        return winit.orthogonal_(tensor, tensor.shape[0] ** 0.5, key=winit.Key(1, 2)), zeros

    program = compiled(step, dynamic=True)
    for rows in (6, 9):
        matrix, zeros = program(torch.empty(rows, 5))
        expected = winit.orthogonal_(torch.empty(rows, 5), rows**0.5, key=winit.Key(1, 2))
        assert torch.equal(matrix, expected)
        assert zeros == 5


@pytest.mark.skipif(
    (2, 5) <= torch.__version__ < (2, 6), reason="this torch has no guards for the root of a size"
)
def test_compiled_with_dynamic_shapes_and_numbers():
    def step(tensor, std):
        return winit.kaiming_uniform_(tensor), winit.normal_(tensor.clone(), 0.0, std)

    program = compiled(step, dynamic=True)
    for size, std in ((3, 0.5), (7, 0.25), (11, 0.125)):
        torch.manual_seed(0)
        ours = program(torch.empty(size, size + 1), std)
        torch.manual_seed(0)
        theirs = step(torch.empty(size, size + 1), std)
        assert all(map(torch.equal, ours, theirs))


def test_bad_arguments_of_a_compiled_call():
    tensor = torch.ones(3)
    program = compiled(lambda tensor: winit.normal_(tensor, std=-1.0))
    with (
        Unchanged(tensor),
        pytest.raises(Exception, match=r"std must be|Observed exc|WrongValueError"),
    ):
        program(tensor)


@needs_core
def test_exported():
    class Model(nn.Module):
        def forward(self, x):
            noise = winit.normal_(torch.empty_like(x), key=winit.Key(0, 7))
            return x + noise

    program = torch.export.export(Model(), (torch.zeros(3, 4),))
    expected = winit.normal_(torch.empty(3, 4), key=winit.Key(0, 7))
    assert torch.equal(program.module()(torch.zeros(3, 4)), expected)


@every
@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_traced(initializer, mode):
    graph = make_fx(lambda tensor: initializer(tensor), tracing_mode=mode)(initializer.empty())
    names = ("winit_cuda.fill_", "aten.fill_", "aten.zero_", "aten.eye")
    assert any(name in graph.code for name in names)
    torch.manual_seed(0)
    traced = graph(initializer.empty())
    torch.manual_seed(0)
    assert torch.equal(traced, initializer(initializer.empty()))


@every
def test_fake_tensors(initializer):
    state = torch.get_rng_state()
    with FakeTensorMode() as mode:
        tensor = torch.empty(initializer.shape)
        assert initializer(tensor) is tensor
        real = mode.from_tensor(initializer.empty())
    assert initializer(real) is real
    assert torch.equal(torch.get_rng_state(), state)
    if initializer.is_random:
        assert initializer(real, generator=torch.Generator()) is real


def test_fake_tensors_have_their_arguments_checked():
    with FakeTensorMode():
        tensor = torch.empty(3, 3)
    with pytest.raises(ValueError, match="gain"):
        winit.orthogonal_(tensor, gain=float("nan"))
    with pytest.raises(TypeError, match="dtype"):
        winit.normal_(tensor.int())
    with pytest.raises(TypeError, match="key"):
        winit.normal_(tensor, key=0)


@needs_core
@pytest.mark.parametrize(
    "number", [np.float32, np.int64, torch.tensor], ids=["float32", "int64", "tensor"]
)
def test_numbers_of_other_libraries(number):
    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    low, high, key = number(0), number(2), winit.key(0)
    expected = winit.uniform_(torch.empty(3), 0.0, 2.0, key=key)
    with Mode():
        assert torch.equal(winit.uniform_(torch.empty(3), low, high, key=key), expected)
    with FakeTensorMode():
        tensor = torch.empty(3)
    assert winit.uniform_(tensor, low, high, key=key) is tensor


@needs_core
@every
def test_dispatch_modes_see_an_operator(initializer):
    seen = []

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func.name())
            return func(*args, **(kwargs or {}))

    tensor = initializer.empty()
    torch.manual_seed(0)
    with Mode():
        assert initializer(tensor) is tensor
    assert {"winit_cuda::fill_", "aten::eye.m_out", "aten::fill_.Scalar", "aten::zero_"} & set(seen)
    torch.manual_seed(0)
    assert torch.equal(tensor, initializer(initializer.empty()))
    if initializer.is_random:
        with Mode():
            initializer(tensor, generator=torch.Generator().manual_seed(3))
        expected = initializer(initializer.empty(), generator=torch.Generator().manual_seed(3))
        assert torch.equal(tensor, expected)


@needs_core
@needs_vmap_rules
@every_random
@pytest.mark.parametrize("in_dim", [0, 1])
def test_vmap_with_different_values(initializer, in_dim):
    """Example j is filled as by the j-th of that many calls."""

    def example(x):
        return initializer(x.clone())

    batch = torch.stack([initializer.empty()] * 3, dim=in_dim)
    torch.manual_seed(0)
    values = torch.func.vmap(example, in_dims=in_dim, randomness="different")(batch)
    torch.manual_seed(0)
    assert torch.equal(values, torch.stack([initializer(initializer.empty()) for _ in range(3)]))


@needs_vmap_rules
@every_random
def test_vmap_with_the_same_values(initializer):
    batch = torch.stack([initializer.empty()] * 3)
    torch.manual_seed(0)
    values = torch.func.vmap(lambda x: initializer(x.clone()), randomness="same")(batch)
    torch.manual_seed(0)
    assert torch.equal(values, initializer(initializer.empty()).expand_as(values))


@every_random
def test_vmap_without_randomness(initializer):
    batch = torch.stack([initializer.empty()] * 3)
    with Unchanged(batch), pytest.raises(RuntimeError, match=r"randomness|needs torch 2\.5"):
        torch.func.vmap(lambda x: initializer(x))(batch)
    outside = initializer.empty()
    with Unchanged(outside), pytest.raises(RuntimeError, match=r"randomness|needs torch 2\.5"):
        torch.func.vmap(lambda x: (initializer(outside), x)[1])(batch)


@needs_core
@needs_vmap_rules
@every_random
@pytest.mark.parametrize("randomness", ["error", "same", "different"])
def test_vmap_with_a_key(initializer, randomness):
    """A key names the values: they are the same for all examples, in every mode."""
    key = winit.Key(1, 2)
    batch = torch.stack([initializer.empty()] * 3)
    values = torch.func.vmap(lambda x: initializer(x.clone(), key=key), randomness=randomness)(
        batch
    )
    assert torch.equal(values, initializer(initializer.empty(), key=key).expand_as(values))


@pytest.mark.skipif(serves_vmap, reason="torch has vmap rules")
@every
def test_transforms_of_old_releases(initializer):
    batch = torch.stack([initializer.empty()] * 3)
    if not initializer.is_random:  # torch's own operators
        return
    with Unchanged(batch), pytest.raises(RuntimeError, match=r"needs torch 2\.[57] or later"):
        torch.func.vmap(lambda x: initializer(x), randomness="different")(batch)


@needs_vmap_rules
@every_fixed
def test_vmap_of_fixed_initializers(initializer):
    batch = torch.stack([initializer.empty()] * 3)
    values = torch.func.vmap(lambda x: initializer(x.clone()))(batch)
    assert torch.equal(values, initializer(initializer.empty()).expand_as(values))


@needs_vmap_rules
def test_nested_vmap():
    def inner(x):
        return winit.normal_(x.clone())

    both = torch.func.vmap(torch.func.vmap(inner, randomness="different"), randomness="different")
    values = both(torch.zeros(2, 3, 4))
    assert len(set(values.flatten().tolist())) == 24


@needs_core
@needs_vmap_rules
def test_inside_grad():
    """As in eager mode, the write is not recorded."""
    key = winit.key(0)
    constants = winit.normal_(torch.empty(4), key=key)

    def function(x):
        weight = torch.zeros(4)
        winit.normal_(weight, key=key)
        return (x * weight).sum()

    assert torch.equal(torch.func.grad(function)(torch.ones(4)), constants)


@every
def test_functional_call(initializer):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(initializer.empty())

        def forward(self, x):
            return initializer(self.weight).sum() + x

    model = Model()
    swapped = {"weight": initializer.empty()}
    torch.manual_seed(0)
    result = torch.func.functional_call(model, swapped, torch.zeros(()))
    torch.manual_seed(0)
    assert torch.equal(result, initializer(initializer.empty()).sum())
    assert torch.equal(model.weight, initializer.empty())


@needs_core
@needs_vmap_rules
@every
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_vmap_over_a_leaf(initializer, randomness):
    leaf = nn.Parameter(torch.stack([initializer.empty()] * 3))
    torch.manual_seed(0)
    torch.func.vmap(lambda x: initializer(x), randomness=randomness)(leaf)
    torch.manual_seed(0)
    expected = [initializer(initializer.empty()) for _ in range(3)]
    if randomness == "same":
        expected = [expected[0]] * 3
    assert torch.equal(leaf, torch.stack(expected))
    assert leaf.grad_fn is None
