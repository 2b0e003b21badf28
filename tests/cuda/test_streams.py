"""When a fill on CUDA happens, and from which key: streams, graphs, generators."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch

import winit_cuda as winit
from initializers import ORTHOGONAL, RANDOM, every, every_elementwise, every_random
from winit_cuda import Key
from winit_cuda._keys.keys import words_of_cuda_generator

KEY = Key(3, 4)
CYCLES = 50_000_000  # some 25 ms, in which the host is far ahead


def normals(count, key=KEY):
    """What a fill with the key leaves, from the CPU."""
    return winit.normal_(torch.empty(count), key=key)


# ------------------------------------------------------------------------- streams


@every_elementwise
def test_a_side_stream_orders_the_fill(initializer):
    tensor = initializer.empty(device="cuda")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(CYCLES)
        tensor.fill_(3.0)
        initializer(tensor, key=KEY)
        after = tensor.clone()
        tensor.fill_(4.0)
    stream.synchronize()
    assert torch.equal(after.cpu(), initializer(initializer.empty(), key=KEY))
    assert (tensor == 4.0).all()


def test_the_host_does_not_wait_for_the_fill():
    """No synchronization hides in a call, on any stream and for any layout."""
    plain, strided = torch.zeros(4097, device="cuda"), torch.zeros(67, 43, device="cuda").t()

    def fill_all():
        for tensor in (plain, strided):
            winit.uniform_(tensor)
            winit.normal_(tensor)
            winit.trunc_normal_(tensor)
            winit.constant_(tensor, 0.5)

    fill_all()  # the first launch of a kernel loads it, which may wait
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(20 * CYCLES)
        fill_all()
        busy = not stream.query()
    stream.synchronize()
    assert busy


def test_another_stream_sees_the_fill_after_its_event():
    tensor = torch.zeros(1_000_003, device="cuda")
    producer, consumer = torch.cuda.Stream(), torch.cuda.Stream()
    producer.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(producer):
        torch.cuda._sleep(CYCLES)
        winit.normal_(tensor, key=KEY)
        written = producer.record_event()
    with torch.cuda.stream(consumer):
        consumer.wait_event(written)
        seen = tensor.clone()
    consumer.synchronize()
    assert torch.equal(seen.cpu(), normals(1_000_003))


def test_many_streams_at_once():
    count = 100_003
    streams = [torch.cuda.Stream() for _ in range(8)]
    tensors = [torch.zeros(count, device="cuda") for _ in streams]
    torch.cuda.synchronize()
    for number, (stream, tensor) in enumerate(zip(streams, tensors, strict=True)):
        with torch.cuda.stream(stream):
            winit.normal_(tensor, key=Key(number, 0))
    torch.cuda.synchronize()
    for number, tensor in enumerate(tensors):
        assert torch.equal(tensor.cpu(), normals(count, Key(number, 0)))


def test_a_stream_of_each_thread():
    found = {}

    def run(number):
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            parts = [
                winit.normal_(torch.empty(1003, device="cuda"), key=Key(number, i))
                for i in range(50)
            ]
            found[number] = torch.cat(parts).cpu()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(6):
        assert torch.equal(
            found[number], torch.cat([normals(1003, Key(number, i)) for i in range(50)])
        )


# ------------------------------------------------------------------------- graphs


def captured(*calls):
    """A graph of the calls, each of which has run once before, as torch asks for."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for call in calls:
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    return graph


def replays(graph, tensor, count):
    seen = []
    for _ in range(count):
        tensor.fill_(7.0)
        graph.replay()
        seen.append(tensor.cpu())
    return seen


FIRST_USE = """
import torch, winit_cuda as winit
weight = torch.zeros(300, 200, device="cuda")
gate = torch.zeros(8, 24, 24, device="cuda")
key, graph = winit.key(0), torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    winit.normal_(weight, key=key)
    winit.sparse_(weight, 0.5, key=key)
    winit.orthogonal_(gate, batch_dims=1, key=key)
    winit.normal_(weight, key=key)
graph.replay()
assert torch.equal(weight.cpu(), winit.normal_(torch.empty(300, 200), key=key))
assert (gate @ gate.mT - torch.eye(24, device="cuda")).abs().max() < 1e-5
"""


@pytest.mark.cuda("the driver loads the kernels")
def test_the_first_use_of_a_kernel_may_be_in_a_capture():
    subprocess.run([sys.executable, "-W", "error", "-c", FIRST_USE], check=True, timeout=300)


@every_random
def test_every_replay_draws_anew(initializer):
    tensor = initializer.empty(device="cuda")
    graph = captured(lambda: initializer(tensor))
    seen = replays(graph, tensor, 4)
    for number, values in enumerate(seen):
        assert not (values == 7.0).any()
        assert not any(torch.equal(values, other) for other in seen[:number])


@every_random
def test_replays_follow_the_seed_of_the_device(initializer):
    tensor = initializer.empty(device="cuda")
    graph = captured(lambda: initializer(tensor))
    runs = []
    for seed in (11, 11, 12):
        torch.cuda.manual_seed(seed)
        runs.append(torch.stack(replays(graph, tensor, 3)))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@every
def test_a_key_in_a_graph_gives_the_same_bits_each_time(initializer):
    tensor = initializer.empty(device="cuda")
    options = {"key": KEY} if initializer.is_random else {}
    graph = captured(lambda: initializer(tensor, **options))
    expected = initializer(initializer.empty(), **options)
    for found in replays(graph, tensor, 2):
        if initializer.name in ORTHOGONAL:
            assert torch.allclose(found, expected, rtol=0, atol=1e-6)
        else:
            assert torch.equal(found, expected)


def test_fills_of_one_graph_differ():
    tensors = [torch.zeros(333, device="cuda") for _ in range(5)]
    graph = captured(*(lambda each=each: winit.normal_(each) for each in tensors))
    graph.replay()
    for number, tensor in enumerate(tensors):
        assert not any(torch.equal(tensor, other) for other in tensors[:number])


def test_replays_have_the_law():
    tensor = torch.zeros(1_000_003, device="cuda")
    graph = captured(lambda: winit.normal_(tensor, 0.5, 2.0))
    (values,) = replays(graph, tensor, 1)
    assert abs(values.mean() - 0.5) < 0.02
    assert abs(values.std() - 2.0) < 0.02


def test_a_layout_in_a_graph():
    tensor = torch.zeros(67, 43, device="cuda").t()
    graph = captured(lambda: winit.normal_(tensor))
    first, second = replays(graph, tensor, 2)
    assert not torch.equal(first, second)


def test_capture_leaves_the_default_cpu_generator_alone():
    tensor = torch.zeros(64, device="cuda")
    winit.normal_(tensor)
    before = torch.default_generator.get_state()
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        winit.normal_(tensor)
    assert torch.equal(torch.default_generator.get_state(), before)


# ------------------------------------------------------------------------- generators


@every_random
def test_a_call_takes_one_step_of_a_cuda_generator(initializer):
    generator = torch.Generator("cuda").manual_seed(7)
    for number in range(3):
        offset = generator.get_offset()
        assert offset == 4 * number
        initializer(initializer.empty(device="cuda"), generator=generator)
    assert generator.initial_seed() == 7
    assert generator.get_offset() == 12


@pytest.mark.parametrize("shape", [(1,), (33,), (1003, 1001)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float8_e4m3fn], ids=str)
def test_the_step_does_not_depend_on_the_tensor(shape, dtype):
    generator = torch.Generator("cuda").manual_seed(7)
    found = winit.normal_(torch.empty(shape, dtype=dtype, device="cuda"), generator=generator)
    assert generator.get_offset() == 4
    expected = winit.normal_(
        torch.empty(shape, dtype=dtype), key=Key(*words_of_cuda_generator(7, 0))
    )
    assert torch.equal(found.cpu().view(torch.uint8), expected.view(torch.uint8))


@every_random
def test_a_state_put_back_draws_the_same_again(initializer):
    generator = torch.Generator("cuda").manual_seed(9)
    initializer(initializer.empty(device="cuda"), generator=generator)
    state = generator.get_state()
    first = initializer(initializer.empty(device="cuda"), generator=generator)
    generator.set_state(state)
    assert torch.equal(first, initializer(initializer.empty(device="cuda"), generator=generator))


def test_seeds_of_64_bits():
    for seed in (2**63 + 5, 2**64 - 1):
        generator = torch.Generator("cuda").manual_seed(seed)
        found = winit.normal_(torch.empty(99, device="cuda"), generator=generator)
        assert torch.equal(found.cpu(), normals(99, Key(*words_of_cuda_generator(seed, 0))))


def test_without_a_generator_the_device_draws_nothing():
    device, host = torch.cuda.default_generators[0], torch.default_generator
    before = device.get_state(), host.get_state()
    for initializer in RANDOM:
        initializer(initializer.empty(device="cuda"))
    assert torch.equal(device.get_state(), before[0])
    assert not torch.equal(host.get_state(), before[1])
