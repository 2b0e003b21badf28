"""The key of a call without key=, drawn from a torch generator.

A CPU generator, and None is torch's default one whatever the tensor's device, gives two draws of
63 bits, what `Tensor.random_` gives an int64: seed and stream. So `torch.manual_seed(42)` and
`generator=torch.Generator().manual_seed(42)` give the same weights, on CPU and on CUDA, and a CUDA
tensor costs no synchronization.

A CUDA generator gives a key hashed from its seed and its offset, and the offset moves on. Hashed,
because torch's kernels are Philox, too: their words and ours never meet. The default CUDA generator
of a tensor's device rules without being passed where it was seeded apart from the CPU's, as
tensor-parallel programs tell their ranks apart; but not for a shard, whose ranks are to agree.

While a CUDA graph is captured the key is drawn on the device, so that every replay draws anew.

Nothing is drawn here: the core draws, when it has the memory it needs and nothing can fail any
more, and fills before any other code of Python's can run.
"""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from .._core import backend
from .._core.checks import unfit, wrong
from .._core.torch_internals import without_dispatch_modes
from .keys import Key, fold_in, words_of_cuda_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

# What names the key, as the core takes it: (0, seed, stream), or (draw, address, 0) where calling
# draw() puts the words at the address or returns them, or (address on the device, 0, 0).
Words = tuple[Any, int, int]

# torch takes offsets of a CUDA generator in multiples of four: one block of Philox.
_OFFSET_STEP = 4

_CPU = torch.device("cpu")


class _Buffer(threading.local):
    """Two words of host memory for each thread, that the core reads by address."""

    def __init__(self) -> None:
        # A real tensor that may always be written, whatever mode this is met in.
        with torch.inference_mode(mode=False), without_dispatch_modes():
            self.words = torch.zeros(2, dtype=torch.int64, device="cpu")
        self.address = self.words.data_ptr()
        self.from_default: Words = (self.words.random_, self.address, 0)

    def from_generator(self, generator: torch.Generator) -> Words:
        return partial(self.words.random_, generator=generator), self.address, 0


buffer = _Buffer()


class _CapturedWords(tuple[int, int, int]):
    """Words on the device, with the tensor that holds them, so that both live equally long."""

    owner: torch.Tensor


def ready(generator: Any, key: Any) -> Words | None:
    """The words of a key, or of a CPU generator; None where there is something to check first."""
    if generator is None and type(key) is Key:
        return 0, key.seed, key.stream
    if key is None and type(generator) is torch.Generator and generator.device == _CPU:
        return buffer.from_generator(generator)
    return None


def words(function: str, device: int, generator: Any, key: Any, *, is_shard: bool = False) -> Words:
    """The last arguments of a random fill on `device` (-1: CPU), which draws by them."""
    if key is not None:
        check_key(function, generator, key)
        return 0, key.seed, key.stream
    if generator is not None:
        _check_generator(function, device, generator)
    if device >= 0:
        if is_capturing(device):
            return _captured_words(function, device, generator)
        if generator is None and not is_shard:
            generator = _default(device) if is_seeded_apart(device) else None
        if generator is not None and generator.device != _CPU:
            return _CudaDraw(generator), 0, 0
        return _HostDraw(generator), buffer.address, 0
    return buffer.from_default if generator is None else buffer.from_generator(generator)


@contextlib.contextmanager
def put_back_on_failure(words: Words) -> Iterator[Words]:
    """The words for work of several steps on the CPU, with the draw undone where one fails."""
    if words is buffer.from_default:
        words = _HostDraw(None), buffer.address, 0
    elif isinstance(words[0], partial):
        words = _HostDraw(words[0].keywords["generator"]), buffer.address, 0
    try:
        yield words
    except BaseException:
        put_back(words)
        raise


def put_back(words: Words | None) -> None:
    """Undo the draw of a fill on a CUDA device that has failed, and with it the key.

    In the CPU's core nothing fails after a draw. On CUDA the launch may: the first one of a kernel
    loads it, which needs memory.
    """
    if words is not None and isinstance(words[0], (_HostDraw, _CudaDraw)):
        words[0].undo()


def is_on_device(words: Words) -> bool:
    """Whether the words lie on a device, where a CUDA graph draws them anew."""
    return isinstance(words, _CapturedWords)


def key_of(words: Words) -> Key:
    """The key that the words name, which must not be on a device; drawn, where a generator does."""
    if is_on_device(words):
        raise RuntimeError("a key on a device cannot be read while a CUDA graph is captured")
    return Key(*backend.loaded.drawn(*words))


def drawn(words: Words) -> Words:
    """The words once they are drawn, for fills of several steps."""
    return (0, *backend.loaded.drawn(*words)) if callable(words[0]) else words


def child_words(key: Key, number: int) -> Words:
    """The words of the child key that `number` names."""
    child = fold_in(key, number)
    return 0, child.seed, child.stream


def check_key(function: str, generator: Any, key: Any) -> None:
    """Raise unless `key` is a Key, alone."""
    if not isinstance(key, Key):
        hint = ", as winit_cuda.key(seed) makes it" if isinstance(key, int) else ""
        raise wrong(function, "key", f"a winit_cuda.Key{hint}", key, TypeError)
    if generator is not None:
        raise wrong(function, "generator", "None where key is given", generator)


def check(function: str, tensor: torch.Tensor, generator: Any, key: Any) -> None:
    """Check generator and key against the tensor, without drawing."""
    if key is not None:
        check_key(function, generator, key)
    elif generator is not None:
        _check_type(function, generator)
        if tensor.is_cpu or tensor.is_cuda:  # on other devices it is for ATen to say
            _check_generator(function, tensor.get_device(), generator)


def _check_type(function: str, generator: Any) -> None:
    if not isinstance(generator, torch.Generator):
        raise wrong(function, "generator", "a torch.Generator or None", generator, TypeError)


def _check_generator(function: str, device: int, generator: Any) -> None:
    """Check that a fill on `device` (-1: CPU) can draw from the generator."""
    _check_type(function, generator)
    place = generator.device
    if place == _CPU:
        return
    if device < 0:
        raise unfit(function, "generator", "on the CPU", str(place), RuntimeError)
    if place.type != "cuda" or place.index not in (device, None):
        requirement = f"on the CPU or on cuda:{device}, as the tensor is"
        raise unfit(function, "generator", requirement, str(place), RuntimeError)


def is_seeded_apart(device: int) -> bool:
    """Whether the default generator of a CUDA device was seeded apart from the CPU's."""
    return _default(device).initial_seed() != torch.default_generator.initial_seed()


def _default(device: int) -> torch.Generator:
    default: torch.Generator = torch.cuda.default_generators[device]
    return default


class _HostDraw:
    """Draws from a CPU generator into the thread's buffer, and can undo it."""

    __slots__ = ("_before", "_generator")

    def __init__(self, generator: torch.Generator | None) -> None:
        self._generator = torch.default_generator if generator is None else generator
        self._before: torch.Tensor | None = None

    def __call__(self) -> None:
        generator = self._generator
        self._before = generator.get_state()
        buffer.words.random_(generator=generator)

    def undo(self) -> None:
        """Set the generator back, unless another thread has drawn from it since."""
        if self._before is None:
            return
        twin = torch.Generator()
        twin.set_state(self._before)
        torch.empty_like(buffer.words).random_(generator=twin)
        if torch.equal(twin.get_state(), self._generator.get_state()):
            self._generator.set_state(self._before)


class _CudaDraw:
    """Draws from a CUDA generator, whose offset moves on."""

    __slots__ = ("_generator", "_offset")

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._offset: int | None = None

    def __call__(self) -> tuple[int, int]:
        # In the core, where no other thread and no signal handler comes in between.
        seed, self._offset = backend.loaded.advance(self._generator, _OFFSET_STEP)
        return words_of_cuda_generator(seed, self._offset)

    def undo(self) -> None:
        """Set the generator back, unless another thread has drawn from it since."""
        generator, offset = self._generator, self._offset
        if offset is not None and generator.get_offset() == offset + _OFFSET_STEP:
            generator.set_offset(offset)


def is_capturing(device: int) -> bool:
    """Whether the current stream of CUDA device `device` is captured into a graph."""
    if torch.cuda.current_device() == device:
        return torch.cuda.is_current_stream_capturing()
    with torch.cuda.device(device):
        return torch.cuda.is_current_stream_capturing()


def _captured_words(function: str, device: int, generator: Any) -> Words:
    if generator is not None and generator.device == _CPU:
        requirement = "a CUDA generator or None while a CUDA graph is captured"
        raise unfit(function, "generator", requirement, "a CPU generator", RuntimeError)
    drawn = torch.empty(2, dtype=torch.int64, device=f"cuda:{device}")
    drawn.random_(generator=generator)
    captured = _CapturedWords((drawn.data_ptr(), 0, 0))
    captured.owner = drawn
    return captured
