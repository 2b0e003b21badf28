"""`accelerate` beside what else looks at calls of torch, answers them or replaces them."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import winit_cuda as winit
from accelerated import EARLY, is_ours, ours, seeded, theirs
from accelerated import before as before
from dtensors import DTensor, Shard
from initializers import needs_core
from meshes import mesh_at

pytestmark = needs_core


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
