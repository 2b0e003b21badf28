"""The stand-in for CUDA devices refuses what a GPU would: else its silence would say nothing."""

from __future__ import annotations

import gc

import pytest
import torch

import standin
from initializers import needs_core
from winit_cuda._core import backend, target

pytestmark = needs_core


@pytest.fixture
def machine(monkeypatch):
    with standin.installed(monkeypatch) as machine:
        yield machine


def launch(place, key=0):
    backend.loaded.normal(*place, key, 5, 6, 0.0, 1.0)


def test_tensors_say_where_they_are(machine):
    tensor = torch.ones(3, 4, device="cuda:1", requires_grad=True)
    for each in (tensor, tensor.t(), tensor * 2, tensor[:0], tensor.new_empty(2), tensor.detach()):
        assert each.is_cuda
        assert not each.is_cpu
        assert each.get_device() == 1
        assert each.device == torch.device("cuda", 1)
    assert tensor.cpu().is_cpu
    (tensor * 2).sum().backward()
    assert torch.equal(tensor.grad.cpu(), torch.full((3, 4), 2.0))
    assert machine.synchronizations == 2


def test_devices_do_not_mix(machine):
    there, elsewhere, here = torch.ones(3, device="cuda"), torch.ones(3, device=1), torch.ones(3)
    for other in (elsewhere, here):
        with pytest.raises(RuntimeError, match="same device"):
            torch.add(there, other)
    there.copy_(here)
    assert (there + torch.tensor(2.0)).sum() == 9
    assert machine.synchronizations > 0


def test_a_launch_needs_its_device_and_stream(machine):
    tensor = torch.ones(9, device="cuda:1")
    place = target.describe(tensor)
    with pytest.raises(AssertionError, match="not current"):
        launch(place)
    with machine.device(1):
        launch(place)
        with machine.stream(machine.Stream(1)), pytest.raises(AssertionError, match="stream"):
            launch(place)


def test_a_launch_needs_memory_of_its_device(machine):
    tensor, other, host = torch.ones(9, device="cuda"), torch.ones(9, device=1), torch.ones(9)
    pointer, code, numel, *rest = target.describe(tensor)
    for wrong in (other.data_ptr(), host.data_ptr(), pointer + 4):
        with pytest.raises(AssertionError, match="not memory"):
            launch((wrong, code, numel, *rest))
    key = torch.ones(2, dtype=torch.int64)
    with pytest.raises(AssertionError, match="not memory"):
        launch((pointer, code, numel, *rest), key.data_ptr())
    key = key.cuda()
    launch((pointer, code, numel, *rest), key.data_ptr())
    del tensor
    gc.collect()
    with pytest.raises(AssertionError, match="not memory"):
        launch((pointer, code, numel, *rest))
    assert machine.core.launches == ["normal"]


def test_a_captured_graph_happens_when_it_is_replayed(machine):
    tensor, graph = torch.zeros(3, device="cuda"), machine.CUDAGraph()
    with machine.graph(graph):
        tensor.add_(1.0)
        copy = tensor * 2
        with pytest.raises(RuntimeError, match="when stream is capturing"):
            tensor.tolist()
    assert tensor.tolist() == [0.0, 0.0, 0.0]
    graph.replay()
    graph.replay()
    assert tensor.tolist() == [2.0, 2.0, 2.0]
    assert copy.tolist() == [4.0, 4.0, 4.0]


def test_nothing_is_left_behind(monkeypatch):
    with standin.installed(monkeypatch):
        inside = torch.cuda.current_device, torch.Generator, backend.core
    assert inside[0] is not torch.cuda.current_device
    assert inside[1] is not torch.Generator
    assert inside[2] is not backend.core
    assert type(torch.Generator()) is torch.Generator
