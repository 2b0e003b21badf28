"""The key of a call without key=: which generator gives it, and that it is drawn once."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch

import winit_cuda as winit
from initializers import Unchanged, every_fixed, every_random, needs_core
from winit_cuda import Key
from winit_cuda._keys import generators
from winit_cuda._keys.keys import words_of_cuda_generator

pytestmark = needs_core


def expected_key(generator: torch.Generator) -> Key:
    """Two draws of 63 bits, by the documented behavior of Tensor.random_."""
    seed, stream = torch.empty(2, dtype=torch.int64).random_(generator=generator).tolist()
    return Key(seed, stream)


@every_random
def test_every_way_to_say_42(initializer):
    torch.manual_seed(42)
    default = initializer(initializer.empty())
    explicit = initializer(initializer.empty(), generator=torch.Generator().manual_seed(42))
    key = expected_key(torch.Generator().manual_seed(42))
    keyed = initializer(initializer.empty(), key=key)
    by_default = initializer(initializer.empty(), generator=torch.default_generator.manual_seed(42))
    assert torch.equal(default, explicit)
    assert torch.equal(default, keyed)
    assert torch.equal(default, by_default)


@every_random
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_one_draw_a_call(initializer, layout):
    """Whatever is filled, the generator moves on by the same two words."""
    generator, other = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    for _ in range(3):
        tensor = initializer.empty()
        tensor = tensor if layout == "contiguous" else tensor.mT.contiguous().mT
        initializer(tensor, generator=generator)
        expected_key(other)
        assert torch.equal(generator.get_state(), other.get_state())


@every_random
def test_a_key_leaves_generators_alone(initializer):
    with Unchanged(torch.zeros(0)):
        first = initializer(initializer.empty(), key=winit.key(0))
        assert torch.equal(first, initializer(initializer.empty(), key=winit.key(0)))


@every_fixed
def test_fixed_initializers_draw_nothing(initializer):
    with Unchanged(torch.zeros(0)):
        initializer(initializer.empty())


def test_degenerate_numbers_draw_all_the_same():
    """What comes after does not depend on whether a std happened to be 0."""
    after = []
    for std in (0.0, 1.0):
        torch.manual_seed(0)
        winit.normal_(torch.empty(3), std=std)
        winit.uniform_(torch.empty(3), 1 - std, 1.0)
        winit.trunc_normal_(torch.empty(3), std=std)
        after.append(winit.normal_(torch.empty(3)))
    assert torch.equal(*after)


def test_successive_calls_differ():
    torch.manual_seed(0)
    first, second = winit.normal_(torch.empty(100)), winit.normal_(torch.empty(100))
    assert not (first == second).any()


def test_state_can_be_saved_and_restored():
    state = torch.get_rng_state()
    first = winit.uniform_(torch.empty(4))
    torch.set_rng_state(state)
    assert torch.equal(first, winit.uniform_(torch.empty(4)))
    with torch.random.fork_rng():
        winit.uniform_(torch.empty(4))
    torch.set_rng_state(state)
    assert torch.equal(first, winit.uniform_(torch.empty(4)))


def test_generator_must_be_one():
    with pytest.raises(TypeError, match=r"normal_: generator must be a torch\.Generator or None"):
        winit.normal_(torch.empty(3), generator=0)


def test_key_must_be_one():
    with pytest.raises(TypeError, match=r"normal_: key must be a winit_cuda\.Key.*, got 0"):
        winit.normal_(torch.empty(3), key=0)
    with pytest.raises(TypeError, match="normal_: key"):
        winit.normal_(torch.empty(3), key=(0, 0))


def test_key_or_generator():
    with pytest.raises(ValueError, match="normal_: generator must be None where key is given"):
        winit.normal_(torch.empty(3), generator=torch.Generator(), key=winit.key(0))


def test_buffers_made_in_inference_mode_serve_outside():
    """The words a thread draws into may be allocated in inference mode, and are used after it."""
    values = []

    def run() -> None:
        with torch.inference_mode():
            values.append(
                winit.uniform_(torch.empty(3), generator=torch.Generator().manual_seed(0))
            )
        values.append(winit.uniform_(torch.empty(3), generator=torch.Generator().manual_seed(0)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert torch.equal(*values)


def test_eight_callers_at_once():
    """Threads with generators of their own get what they would get alone."""
    results: dict[int, torch.Tensor] = {}

    def run(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        results[seed] = torch.stack(
            [winit.normal_(torch.empty(33), generator=generator) for _ in range(200)]
        )

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, result in results.items():
        generator = torch.Generator().manual_seed(seed)
        alone = [winit.normal_(torch.empty(33), generator=generator) for _ in range(200)]
        assert torch.equal(result, torch.stack(alone))


@pytest.mark.cuda
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


@pytest.mark.cuda
def test_cuda_generator_gives_seed_and_offset():
    generator = torch.Generator("cuda").manual_seed(7)
    offset = generator.get_offset()
    for number in range(2):
        found = winit.uniform_(torch.empty(9, device="cuda"), generator=generator)
        assert generator.get_offset() == offset + 4 * (number + 1)
        key = Key(*words_of_cuda_generator(7, offset + 4 * number))
        assert torch.equal(found.cpu(), winit.uniform_(torch.empty(9), key=key))


@pytest.mark.cuda
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


@pytest.mark.cuda
def test_cuda_generator_is_not_for_cpu_tensors():
    generator = torch.Generator("cuda")
    tensor = torch.ones(3)
    with Unchanged(tensor, generator), pytest.raises(RuntimeError, match="generator must be on"):
        winit.uniform_(tensor, generator=generator)


@pytest.mark.cuda
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


@pytest.mark.cuda
def test_a_key_in_a_graph_is_fixed():
    tensor = torch.zeros(64, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        winit.normal_(tensor, key=winit.key(5))
    graph.replay()
    assert torch.equal(tensor.cpu(), winit.normal_(torch.empty(64), key=winit.key(5)))


@pytest.mark.cuda
def test_no_cpu_generator_in_a_graph():
    tensor = torch.zeros(64, device="cuda")
    with (
        pytest.raises(RuntimeError, match="generator must be a CUDA generator or None"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        winit.normal_(tensor, generator=torch.Generator())


@needs_core
def test_importing_among_fake_tensors_leaves_seeding_alone():
    code = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
with FakeTensorMode():
    import winit_cuda as winit
def drawn(seed):
    torch.manual_seed(seed)
    return winit.normal_(torch.empty(8)), winit.normal_(torch.empty(8))
first, second = drawn(0)
assert not torch.equal(first, second)
assert torch.equal(first, drawn(0)[0])
assert not torch.equal(first, drawn(1)[0])
"""
    subprocess.run([sys.executable, "-c", code], check=True)


class CudaGenerator:
    """What is asked of a CUDA generator of torch's, without CUDA."""

    def __init__(self, seed: int, offset: int = 0) -> None:
        self.seed, self.offset = seed, offset
        self.device = torch.device("cuda", 0)

    def initial_seed(self) -> int:
        return self.seed

    def get_offset(self) -> int:
        return self.offset

    def set_offset(self, offset: int) -> None:
        self.offset = offset


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


# ------------------------------------------------------------------------- other code in between


@every_random
@pytest.mark.parametrize("how", ["default", "generator", "strided", "shard"])
def test_no_code_comes_between_a_draw_and_its_write(initializer, how):
    """Other fills run at every line and call of Python's, as those of a signal handler may."""
    if how == "shard" and initializer.name not in ("orthogonal_", "sparse_"):
        pytest.skip("takes no shard")
    generator = torch.Generator().manual_seed(1)
    options = {"generator": generator} if how == "generator" else {}
    if how == "shard":
        options = {"shard": winit.Shard((12, 5), (3, 0))}
        if initializer.name == "orthogonal_":
            options["chunks"] = 2
    tensor = initializer.empty()
    outer = tensor.mT.contiguous().mT if how == "strided" else tensor
    taken: list[Key] = []

    def disturb(frame, *_):
        if "winit_cuda" in frame.f_code.co_filename:
            sys.settrace(None)
            words = generators.words("f", -1, options.get("generator"), None)
            taken.append(generators.key_of(words))
            sys.settrace(disturb)
        return disturb

    sys.settrace(disturb)
    try:
        initializer(outer, **options)
    finally:
        sys.settrace(None)
    assert len(taken) > 10
    options.pop("generator", None)
    for key in taken:
        assert not torch.equal(initializer(initializer.empty(), key=key, **options), outer)


def test_the_key_of_words_is_the_one_a_fill_has():
    """Drawn on the host, or given: what a child key is derived from."""
    given = generators.words("f", -1, None, winit.Key(2**64 - 1, 5))
    assert generators.key_of(given) == winit.Key(2**64 - 1, 5)
    torch.manual_seed(0)
    drawn = generators.key_of(generators.words("f", -1, None, None))
    torch.manual_seed(0)
    expected = winit.normal_(torch.empty(9))
    assert torch.equal(winit.normal_(torch.empty(9), key=drawn), expected)
    child = generators.child_words(drawn, 3)
    assert generators.key_of(child) == winit.fold_in(drawn, 3)


def test_a_key_on_a_device_cannot_be_read():
    words = generators._CapturedWords((1, 0, 0))
    assert generators.is_on_device(words)
    with pytest.raises(RuntimeError, match="while a CUDA graph is captured"):
        generators.key_of(words)
