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


# ------------------------------------------------------------------------- other code in between


@every_random
@pytest.mark.parametrize("how", ["default", "generator", "strided", "shard", "shards"])
def test_no_code_comes_between_a_draw_and_its_write(initializer, how):
    """Other fills run at every line and call of Python's, as those of a signal handler may."""
    generator = torch.Generator().manual_seed(1)
    options = {"generator": generator} if how == "generator" else {}
    if how == "shard":
        rows, *rest = initializer.shape
        options = {"shard": winit.Shard((2 * rows, *rest), (3, *(0,) * len(rest)))}
    if how == "shards":
        rows, *rest = initializer.shape
        zeros = (0,) * len(rest)
        boxes = [
            winit.Box((first, *zeros), (rows // 2, *rest), (local, *zeros))
            for first, local in ((5, 0), (0, rows // 2))
        ]
        options = {"shard": winit.Shards(boxes, (2 * rows, *rest))}
    if how.startswith("shard") and initializer.name == "orthogonal_":
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
