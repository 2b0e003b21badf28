"""Generators of CUDA: when they rule, and the keys they give; stand-ins where there is none."""

from __future__ import annotations

import sys
import threading
from functools import partial

import pytest
import torch

import winit_cuda as winit
from initializers import Unchanged, every_random, needs_core
from winit_cuda import Key
from winit_cuda._keys import generators
from winit_cuda._keys.keys import words_of_cuda_generator

pytestmark = needs_core


@pytest.mark.usefixtures("machine")
@every_random
def test_cuda_tensors_take_the_cpu_generator(initializer):
    torch.manual_seed(3)
    cpu = initializer(initializer.empty())
    torch.manual_seed(3)
    cuda = initializer(initializer.empty(device="cuda"))
    explicit = initializer(
        initializer.empty(device="cuda"), generator=torch.Generator().manual_seed(3)
    )
    assert torch.equal(cuda, explicit)
    assert torch.allclose(cpu, cuda.cpu(), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("machine")
def test_cuda_generator_gives_seed_and_offset():
    generator = torch.Generator("cuda").manual_seed(7)
    offset = generator.get_offset()
    for number in range(2):
        found = winit.uniform_(torch.empty(9, device="cuda"), generator=generator)
        assert generator.get_offset() == offset + 4 * (number + 1)
        key = Key(*words_of_cuda_generator(7, offset + 4 * number))
        assert torch.equal(found.cpu(), winit.uniform_(torch.empty(9), key=key))


@pytest.mark.usefixtures("machine")
@every_random
def test_a_cuda_generator_that_is_seeded_apart_rules(initializer):
    def fill():
        return initializer(initializer.empty(device="cuda"))

    torch.manual_seed(3)
    together = fill()
    values = []
    for seed in (4, 5, 4):
        torch.manual_seed(3)
        torch.cuda.manual_seed(seed)
        state = torch.get_rng_state()
        values.append(fill())
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(values[0], values[2])
    assert not torch.equal(values[0], values[1])
    assert not torch.equal(values[0], together)


@pytest.mark.usefixtures("machine")
def test_cuda_generator_is_not_for_cpu_tensors():
    generator = torch.Generator("cuda")
    tensor = torch.ones(3)
    with Unchanged(tensor, generator), pytest.raises(RuntimeError, match="generator must be on"):
        winit.uniform_(tensor, generator=generator)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("explicit", [False, True])
def test_replays_of_a_graph_draw_anew(explicit):
    tensor = torch.zeros(64, device="cuda")
    generator = torch.cuda.default_generators[0]
    winit.normal_(tensor)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        winit.normal_(tensor, generator=generator if explicit else None)
    seen = []
    for _ in range(3):
        graph.replay()
        seen.append(tensor.clone())
    assert all(value.abs().max() < 7 for value in seen)
    assert not (seen[0] == seen[1]).any()
    assert not (seen[1] == seen[2]).any()


@pytest.mark.usefixtures("machine")
def test_a_key_in_a_graph_is_fixed():
    tensor = torch.zeros(64, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        winit.normal_(tensor, key=winit.key(5))
    graph.replay()
    assert torch.equal(tensor.cpu(), winit.normal_(torch.empty(64), key=winit.key(5)))


@pytest.mark.usefixtures("machine")
def test_no_cpu_generator_in_a_graph():
    tensor = torch.zeros(64, device="cuda")
    with (
        pytest.raises(RuntimeError, match="generator must be a CUDA generator or None"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        winit.normal_(tensor, generator=torch.Generator())


class CudaGenerator:
    """What is asked of a CUDA generator of torch's, without CUDA.

    Its methods are no Python code, as torch's are none: no other thread runs inside them.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.offset = seed, 0
        self.device = torch.device("cuda", 0)
        self.initial_seed = partial(getattr, self, "seed")
        self.get_offset = partial(getattr, self, "offset")
        self.set_offset = partial(setattr, self, "offset")


@pytest.fixture
def default_cuda(monkeypatch):
    """Set the default generator of device 0 to one of this seed."""

    def install(seed: int) -> CudaGenerator:
        generator = CudaGenerator(seed)
        monkeypatch.setattr(torch.cuda, "default_generators", (generator,))
        monkeypatch.setattr(generators, "is_capturing", lambda _: False)
        return generator

    return install


def test_cuda_generators_seeded_apart(default_cuda):
    """As Megatron-LM does: one CPU seed for all tensor-parallel ranks, a CUDA seed for each."""
    keys = []
    for seed in (7, 8, 7):
        generator = default_cuda(seed)
        torch.manual_seed(0)
        state = torch.get_rng_state()
        keys.append([generators.key_of(generators.words("f", 0, None, None)) for _ in range(3)])
        assert generator.offset == 12
        assert torch.equal(torch.get_rng_state(), state)
    assert keys[0] == keys[2]
    assert keys[0] == [Key(*words_of_cuda_generator(7, offset)) for offset in (0, 4, 8)]
    assert not set(keys[0]) & set(keys[1])


def test_cuda_generators_seeded_with_the_cpu_s(default_cuda):
    generator = default_cuda(5)
    torch.manual_seed(5)
    expected = generators.key_of(generators.words("f", -1, None, None))
    torch.manual_seed(5)
    assert generators.key_of(generators.words("f", 0, None, None)) == expected
    assert generator.offset == 0


def test_shards_take_the_cpu_generator(default_cuda):
    """Its ranks are to agree, whatever tells their CUDA generators apart."""
    generator = default_cuda(7)
    torch.manual_seed(5)
    expected = generators.key_of(generators.words("f", -1, None, None))
    torch.manual_seed(5)
    assert generators.key_of(generators.words("f", 0, None, None, is_shard=True)) == expected
    assert generator.offset == 0


def test_cuda_generators_move_when_the_core_asks(default_cuda):
    """Not before: what fails in between leaves them as they were."""
    generator = default_cuda(7)
    words = generators.words("f", 0, None, None)
    assert generator.offset == 0
    first, second = (generators.key_of(words) for _ in range(2))
    assert generator.offset == 8
    assert first != second


@pytest.fixture
def frequent_switches():
    """Have Python change threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_switches")
def test_threads_of_one_cuda_generator_get_different_keys(default_cuda):
    default_cuda(7)
    keys: list[Key] = []

    def run() -> None:
        keys.extend(generators.key_of(generators.words("f", 0, None, None)) for _ in range(500))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 4000
