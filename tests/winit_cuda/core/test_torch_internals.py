"""The undocumented names of torch do what winit_cuda takes them for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode

from winit_cuda._core import torch_internals


def test_dispatch_modes():
    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    assert torch_internals.dispatch_modes() == 0
    with Mode(), Mode():
        assert torch_internals.dispatch_modes() == 2


def test_transforms():
    seen = []

    def function(x):
        seen.append(torch_internals.transforms_active())
        return x.sum()

    torch.func.vmap(function)(torch.ones(2, 3))
    torch.func.grad(function)(torch.ones(3))
    function(torch.ones(3))
    assert seen == [True, True, False]


def test_increment_version():
    tensor = torch.zeros(2)
    for version in (1, 2):
        torch_internals.increment_version((tensor,))
        assert tensor._version == version


def test_kinds_of_tensors():
    class Named(torch.Tensor):
        pass

    plain = torch.zeros(2)
    assert not torch_internals.dispatches_itself(plain)
    assert not torch_internals.dispatches_itself(torch.nn.Parameter(plain))
    assert not torch_internals.dispatches_itself(plain.as_subclass(Named))
    assert torch_internals.dispatches_itself(TwoTensor(plain, plain))
    assert not torch_internals.is_tracing_tensor(plain)
    assert not torch_internals.is_dtensor(plain)
    with FakeTensorMode():
        assert torch_internals.is_tracing_tensor(torch.zeros(2))
    assert torch_internals.is_zero_tensor(torch._efficientzerotensor(2))
    assert not torch_internals.is_zero_tensor(plain)


def test_torch_has_the_names():
    """Where one goes, the code falls back in silence: this is where it is noticed."""
    for name in ("_len_torch_dispatch_stack", "_are_functorch_transforms_active"):
        assert hasattr(torch._C, name)
    if torch.version.cuda is not None:
        assert hasattr(torch._C, "_cuda_getCurrentRawStream")


def test_torch_has_the_names_of_dtensors():
    """DTensors cannot be filled without these; from which release on is in the code."""
    api = pytest.importorskip("dtensors")
    collectives = pytest.importorskip("torch.distributed._functional_collectives")
    assert issubclass(collectives.AsyncCollectiveTensor, torch.Tensor)
    assert callable(collectives.AsyncCollectiveTensor.wait)
    assert torch_internals.shard_factor(api.Shard(1)) == 1
    if torch.__version__ >= (2, 5):
        strided = api.Strided(1, split_factor=3)
        assert (strided.dim, torch_internals.shard_factor(strided)) == (1, 3)
    for other in (api.Replicate(), api.Partial()):
        assert torch_internals.shard_factor(other) is None
    assert api.Replicate().is_replicate()
    assert api.Partial().is_partial()

    class Other(api.Shard):
        pass

    assert torch_internals.shard_factor(Other(0)) is None


def test_strided_shards_have_their_order_in_them():
    """And not a second time in the specification, where torch 2.10 has it."""
    api = pytest.importorskip("dtensors")
    if api.Strided is None:
        pytest.skip("torch without strided shards")
    spec = SimpleNamespace(shard_order=((0, (1, 0)),))
    for first, order in ((api.Shard(0), (1, 0)), (api.Strided(0, split_factor=2), None)):
        found = SimpleNamespace(_spec=spec, placements=(first, api.Shard(0)))
        assert torch_internals.shard_order(found) == order


def test_torch_has_the_names_inside_of_dtensors(tmp_path):
    api = pytest.importorskip("dtensors")
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        made = api.distributed(torch.zeros(4), mesh, [api.Shard(0)])
        assert torch_internals.is_dtensor(made)
        assert torch_internals.is_dtensor(torch.nn.Parameter(made))
        local = torch_internals.local_tensor(made)
        assert type(local) is torch.Tensor
        with torch.no_grad():
            assert local.data_ptr() == made.to_local().data_ptr()
        assert torch_internals.shard_order(made) is None
        if torch.__version__ >= (2, 10):
            assert made._spec.shard_order[0].mesh_dims == (0,)
        assert tuple(mesh.shape) == (1,)
        assert tuple(mesh.get_coordinate()) == (0,)
    finally:
        torch.distributed.destroy_process_group()
