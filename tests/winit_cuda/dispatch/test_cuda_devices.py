"""Where fills of CUDA tensors go: to which device, to which stream, to whom, or nowhere."""

from __future__ import annotations

import threading
import warnings

import pytest
import torch

import standin
import winit_cuda as winit
from initializers import Unchanged, every_random, needs_core
from winit_cuda._core import backend, torch_internals
from winit_cuda._dispatch import many, operators
from winit_cuda._dispatch.many import Job
from winit_cuda._fills.elementwise import NORMAL
from winit_cuda._keys import generators

pytestmark = [
    needs_core,
    pytest.mark.skipif(standin.is_not_needed(), reason="asks the stand-in what it was told"),
]
KEY = winit.Key(5, 6)


def normal(count, key=KEY):
    return winit.normal_(torch.empty(count), key=key)


@pytest.mark.parametrize("count", [3, 30])
def test_a_batch_on_a_device_that_is_not_current(machine, count):
    """So is the memory for descriptors that are longer than a kernel's parameters may be."""
    tensors = [torch.empty(i + 1, device="cuda:1") for i in range(count)]
    keys = winit.split(KEY, count)
    many.fill_many([Job(NORMAL, "normal_", each, (0.0, 1.0)) for each in tensors], keys)
    assert machine.current_device() == 0
    for i, each in enumerate(tensors):
        assert torch.equal(each.cpu(), normal(i + 1, keys[i]))


def test_only_another_device_is_switched_to(machine):
    winit.normal_(torch.empty(9, device="cuda"), key=KEY)
    assert machine.device_switches == 0
    winit.normal_(torch.empty(9, device="cuda:1"), key=KEY)
    assert machine.device_switches == 2  # there and back


@every_random
def test_empty_tensors_launch_and_draw_nothing(machine, initializer):
    kernel = initializer.shape[2:]
    tensors = [
        torch.empty(0, 5, *kernel, device="cuda"),
        torch.ones(7, 5, *kernel, device="cuda")[7:],
    ]
    for tensor in tensors:
        with Unchanged(tensor, *machine.generators), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kaiming_ says so, as in torch
            assert initializer(tensor) is tensor
    assert machine.core.launches == []


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("device", ["cpu", "cuda:0", "cuda:1"])
@pytest.mark.parametrize("of", ["cuda:0", "cuda:1"])
def test_generators_of_other_devices(device, of):
    tensor, generator = torch.ones(4, device=device), torch.Generator(of)
    if device == of:
        winit.normal_(tensor, generator=generator)
        assert generator.get_offset() == 4
        return
    with Unchanged(tensor, generator), pytest.raises(RuntimeError, match="generator must be on"):
        winit.normal_(tensor, generator=generator)


def test_a_device_that_the_core_does_not_serve(machine, monkeypatch):
    """ATen fills it, from the device's generator, and that is told; with a key it is an error."""
    monkeypatch.setitem(backend._cuda_problems, 0, "it is too old")
    monkeypatch.setattr(backend, "_warned", set())
    tensor, generator = torch.full((7,), 9.0, device="cuda"), torch.Generator("cuda")
    with pytest.warns(UserWarning, match="cuda:0, .* because it is too old"):
        winit.normal_(tensor, generator=generator)
    assert (tensor != 9).all()
    assert generator.get_offset() == 4
    jobs = [Job(NORMAL, "normal_", tensor, (0.0, 1.0))]
    for call in (lambda: winit.normal_(tensor, key=KEY), lambda: many.fill_many(jobs, [KEY])):
        with Unchanged(tensor), pytest.raises(RuntimeError, match=r"key needs .*it is too old"):
            call()
    assert machine.core.launches == []


@pytest.mark.usefixtures("machine")
def test_threads_on_devices_of_their_own():
    """As DataParallel has them: the device of a thread is its own."""
    found = {}

    def run(number):
        with torch.cuda.device(number % 2):
            tensors = [torch.empty(99, device=f"cuda:{i % 2}") for i in range(20)]
            for i, tensor in enumerate(tensors):
                winit.normal_(tensor, key=winit.Key(number, i))
            found[number] = [tensor.cpu() for tensor in tensors]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        for i, tensor in enumerate(found[number]):
            assert torch.equal(tensor, normal(99, winit.Key(number, i)))


@every_random
def test_no_call_waits_for_the_device(machine, initializer):
    tensor = initializer.empty(device="cuda")
    before = machine.synchronizations
    initializer(tensor)
    initializer(tensor, key=KEY)
    initializer(tensor, generator=torch.Generator("cuda"))
    assert machine.synchronizations == before


def filled_by_operator(tensor, words):
    """What torch.compile runs, once it has drawn the words by an operator of its own."""
    numbers = (0.0, 1.0, 0.0, 0.0)
    operators._fill(tensor, "normal_", "normal", *numbers, [], None, None, words, None)
    return tensor


def test_words_of_an_operator(machine):
    """They name the key, as without the operator, unless the device's own generator rules."""
    words = torch.tensor([5, 6])
    assert torch.equal(filled_by_operator(torch.empty(9, device="cuda"), words).cpu(), normal(9))
    generator = machine.generators[0].manual_seed(torch.initial_seed() + 1)
    found = filled_by_operator(torch.empty(9, device="cuda"), words)
    assert generator.get_offset() == 4
    assert not torch.equal(found.cpu(), normal(9))


@pytest.mark.usefixtures("machine")
def test_words_of_an_operator_in_a_graph():
    tensor, graph = torch.zeros(9, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        filled_by_operator(tensor, torch.tensor([5, 6]))
    values = []
    for _ in range(2):
        graph.replay()
        values.append(tensor.cpu())
    assert not torch.equal(*values)


BOXES = winit.Shard.partition((8, 6), dim=0, rank=1, world=2, stride=2)
MINE = [2, 3, 6, 7]
PARTS = {"one": winit.Shard((8, 6), (2, 0)), "several": BOXES}


@pytest.mark.usefixtures("machine")
@every_random
@pytest.mark.parametrize("boxes", PARTS)
def test_parts_of_a_tensor(initializer, boxes):
    """A device seeded apart does not rule: the ranks are to agree."""
    kernel = initializer.shape[2:]
    shape = (8, 6, *kernel)
    zeros = (0,) * len(kernel)
    shard = winit.Shard(shape, (2, 0, *zeros))
    if boxes == "several":
        shard = winit.Shard.partition(shape, dim=0, rank=1, world=2, stride=2)
    torch.cuda.default_generators[0].manual_seed(torch.initial_seed() + 1)
    state = torch.get_rng_state()
    on_cuda = initializer(torch.empty(4, 6, *kernel, device="cuda"), shard=shard)
    torch.set_rng_state(state)
    on_cpu = initializer(torch.empty(4, 6, *kernel), shard=shard)
    tolerance = 1e-6 if "orthogonal" in initializer.name else 0.0
    assert torch.allclose(on_cuda.cpu(), on_cpu, rtol=0, atol=tolerance)


@every_random
def test_an_empty_part_draws_as_the_others(machine, initializer):
    shape = (8, 6, *initializer.shape[2:])
    shard = winit.Shard(shape, (8,) + (0,) * (len(shape) - 1))
    torch.manual_seed(3)
    initializer(torch.empty(shape))
    state = torch.get_rng_state()
    torch.manual_seed(3)
    initializer(torch.empty(0, *shape[1:], device="cuda"), shard=shard)
    assert torch.equal(torch.get_rng_state(), state)
    assert machine.core.launches == []


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("boxes", PARTS)
def test_parts_in_a_graph(monkeypatch, boxes):
    tensor, graph = torch.zeros(4, 6, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        winit.normal_(tensor, shard=PARTS[boxes])
    values = []
    for _ in range(2):
        graph.replay()
        values.append(tensor.cpu())
    assert not torch.equal(*values)
    assert len(values[0].unique()) == 24  # every box has words of its own
    owner = torch.tensor([KEY.seed, KEY.stream], device="cuda")
    words = generators._CapturedWords((owner.data_ptr(), 0, 0))
    words.owner = owner
    monkeypatch.setattr(generators, "words", lambda *_, **__: words)
    winit.normal_(tensor, shard=PARTS[boxes])
    whole = winit.normal_(torch.empty(8, 6), key=KEY)
    assert torch.equal(tensor.cpu(), whole[MINE if boxes == "several" else slice(2, 6)])


def test_a_key_on_a_device_is_not_read(machine):
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        words = generators.words("f", 0, None, None)
        assert generators.is_on_device(words)
        assert machine.memory.holds(0, words[0], 16)
        with pytest.raises(RuntimeError, match="cannot be read"):
            generators.key_of(words)


def test_out_of_memory_for_the_key_of_a_graph(machine):
    tensor = torch.zeros(9, device="cuda")
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        machine.memory.fail_after(0)
        with pytest.raises(torch.cuda.OutOfMemoryError, match=r"^normal_: CUDA out of memory"):
            winit.normal_(tensor)


def test_the_stream_where_torch_has_no_quick_way(machine):
    stream = torch.cuda.Stream(1)
    with torch.cuda.stream(stream):
        assert torch_internals._current_stream(1) == stream.cuda_stream
        assert torch_internals._current_stream(0) == machine.raw_stream(0) != stream.cuda_stream


@pytest.mark.parametrize("function", [winit.normal_, winit.orthogonal_])
def test_a_graph_of_torch_s_own_fills(machine, monkeypatch, function):
    """Where the core does not serve the device; a captured generator cannot be read or set."""
    monkeypatch.setitem(backend._cuda_problems, 0, "it is too old")
    monkeypatch.setattr(backend, "_warned", {0})
    tensor, graph = torch.zeros(3, 3, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        monkeypatch.setattr(machine.generators[0], "get_state", None)
        function(tensor)
    graph.replay()
    first = tensor.cpu()
    graph.replay()
    assert not torch.equal(tensor.cpu(), first)
    assert machine.core.launches == []


def test_pinned_memory_is_the_host_s(machine):
    pinned = torch.empty(9, pin_memory=True)
    assert torch.equal(winit.normal_(pinned, key=KEY), normal(9))
    assert machine.core.launches == []


def test_the_version_counts_up_once_written(machine):
    tensor = torch.zeros(9, device="cuda:1")
    version = tensor._version
    winit.normal_(tensor)
    assert tensor._version == version + 1
    machine.core.fail_after(0)
    with pytest.raises(RuntimeError, match=r"normal_: kernel launch"):
        winit.normal_(tensor)
    assert tensor._version == version + 1


def test_a_draw_of_another_thread_is_not_undone(machine):
    """Else it would be drawn a second time."""
    for generator in (torch.Generator(), torch.Generator("cuda")):
        words = generators.words("f", 0, generator, None)
        generators.key_of(words)
        generators.key_of(generators.words("f", 0, generator, None))
        state = generator.get_state()
        generators.put_back(words)
        assert torch.equal(generator.get_state(), state)
    assert machine.core.launches == []
