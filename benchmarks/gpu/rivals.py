"""What else fills a tensor with random numbers on a GPU, each called the fastest way it has.

A rival makes a `Side` of a case: a call to time. It writes to the tensor itself where its library
can, else to new memory of its own. One that is not installed, or cannot do the case, raises, and
what it raises is the note of the report.
"""

from __future__ import annotations

import functools
import importlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from ..cases import Case


class AbsentError(Exception):
    """Why a rival does not take part in a case."""


@dataclass(frozen=True)
class Side:
    """A call to time, and how to wait until the last one is done."""

    call: Callable[[], object]
    wait: Callable[[], object]
    sample: Callable[[], torch.Tensor]
    """The first elements that the last call wrote, as float64 on the CPU."""

    def clock(self) -> float:
        """The time once everything before is done."""
        self.wait()
        return time.perf_counter()


Rival = Callable[["Case", torch.Tensor], Side]

SAMPLE = 4096

# What the initializers with a plain law draw from in the benchmarks: their default arguments.
LAWS: dict[str, tuple[float, ...]] = {
    "uniform_": (0.0, 1.0),
    "normal_": (0.0, 1.0),
    "trunc_normal_": (0.0, 1.0, -2.0, 2.0),
    "constant_": (0.5,),
    "orthogonal_": (),
}


def on_tensor(tensor: torch.Tensor, call: Callable[[], object]) -> Side:
    """A side whose call writes to `tensor` on torch's current stream."""
    wait = torch.cuda.synchronize if tensor.is_cuda else _no_wait
    flat = tensor.view(-1)[:SAMPLE]
    return Side(call, wait, lambda: flat.to("cpu", torch.float64))


def _no_wait() -> None:
    """On the CPU a call returns when it is done."""


# ------------------------------------------------------------------------- torch.func._random


def func_random(case: Case, tensor: torch.Tensor) -> Side:
    """torch's own keyed fills, in the versions that have them."""
    name = _one_of(case, "uniform_", "normal_")
    try:
        random = importlib.import_module("torch.func._random")
        function = getattr(random, name)
    except (ImportError, AttributeError) as error:
        raise AbsentError(f"torch {torch.__version__} has no torch.func._random.{name}") from error
    key = random.key(0, device=tensor.device)
    return on_tensor(tensor, partial(function, key, tensor))


# ------------------------------------------------------------------------- torch.compile


def _uniform(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.uniform_(0.0, 1.0)


def _normal(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.normal_(0.0, 1.0)


def _trunc_normal(tensor: torch.Tensor) -> torch.Tensor:
    """Inverts the normal law between -2 and 2, as torch.nn.init does, in one pass."""
    edge = 0.9544997361036416  # 2 Phi(2) - 1
    return tensor.uniform_(-edge, edge).erfinv_().mul_(2**0.5).clamp_(-2.0, 2.0)


def _constant(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.fill_(0.5)


_COMPILED = {
    "uniform_": _uniform,
    "normal_": _normal,
    "trunc_normal_": _trunc_normal,
    "constant_": _constant,
}


@functools.cache
def _compiled(name: str, device: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """One program for all sizes of a dtype."""
    # On the CPU inductor needs a C++ compiler and seconds, to measure what nobody asks for.
    backend = "inductor" if device == "cuda" else "eager"
    return torch.compile(_COMPILED[name], dynamic=True, fullgraph=True, backend=backend)


def compiled_fill(case: Case, tensor: torch.Tensor) -> Side:
    function = _compiled(_one_of(case, *_COMPILED), case.device)
    _refuse_long_compilation(case)
    return on_tensor(tensor, partial(function, tensor.view(-1)))


def _refuse_long_compilation(case: Case) -> None:
    """A program for each law, dtype and size would take longer than all measuring."""
    if case.dtype not in _COMPILED_DTYPES:
        raise AbsentError(f"compiled for {' and '.join(_COMPILED_DTYPES)} only, to save time")


_COMPILED_DTYPES = ("float32", "bfloat16")


# ------------------------------------------------------------------------- cuRAND through CuPy


def curand(case: Case, tensor: torch.Tensor) -> Side:
    """cuRAND's host interface with its Philox, writing to the tensor's own memory."""
    name = _one_of(case, "uniform_", "normal_")
    if case.device != "cuda":
        raise AbsentError("cuRAND fills CUDA memory only")
    if case.dtype not in ("float32", "float64"):
        raise AbsentError("cuRAND draws float32 and float64 only")
    library = _installed("cupy").cuda.curand
    law = "Uniform" if name == "uniform_" else "Normal"
    generate = getattr(library, f"generate{law}{'Double' if case.dtype == 'float64' else ''}")
    numbers = () if law == "Uniform" else LAWS[name]
    generator = _curand_generator(library)
    fill = partial(generate, generator, tensor.data_ptr(), tensor.numel(), *numbers)
    return on_tensor(tensor, fill)


@functools.cache
def _curand_generator(library: Any) -> int:
    generator: int = library.createGenerator(library.CURAND_RNG_PSEUDO_PHILOX4_32_10)
    library.setPseudoRandomGeneratorSeed(generator, 0)
    return generator


# ------------------------------------------------------------------------- JAX


_JAX_SIZES = (1 << 16, 1 << 22, 1 << 28)  # each is a program


def jax_fill(implementation: str, case: Case, tensor: torch.Tensor) -> Side:
    """jax.random under jit, with the bit generator `implementation`, into memory of JAX's own."""
    name = _one_of(case, *LAWS)
    _refuse_long_compilation(case)
    if case.device == "cuda" and case.numel not in _JAX_SIZES:
        raise AbsentError("compiled for 2^16, 2^22 and 2^28 elements only, to save time")
    # Before the first import: JAX would otherwise take most of the device's memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    jax = _installed("jax")
    jax.config.update("jax_enable_x64", True)
    platform = jax.devices()[0].platform
    if (platform in ("gpu", "cuda")) != tensor.is_cuda:
        raise AbsentError(f"JAX runs on {platform} here")
    draw = _jax_function(jax, name, case.shape, getattr(jax.numpy, case.dtype))
    key = jax.random.key(0, impl=implementation)
    last = [draw(key)]

    def draw_anew() -> None:
        last[0] = draw(key)

    return Side(
        draw_anew,
        lambda: last[0].block_until_ready(),  # one stream: the last is done when all are
        lambda: torch.tensor(last[0].ravel()[:SAMPLE].astype("float64").tolist()).double(),
    )


def _jax_function(jax: Any, name: str, shape: tuple[int, ...], dtype: Any) -> Callable[[Any], Any]:
    random = jax.random
    functions = {
        "uniform_": lambda key: random.uniform(key, shape, dtype),
        "normal_": lambda key: random.normal(key, shape, dtype),
        "trunc_normal_": lambda key: random.truncated_normal(key, -2.0, 2.0, shape, dtype),
        "constant_": lambda _: jax.numpy.full(shape, 0.5, dtype),
        "orthogonal_": lambda key: jax.nn.initializers.orthogonal()(key, shape, dtype),
    }
    function: Callable[[Any], Any] = jax.jit(functions[name])
    return function


# ------------------------------------------------------------------------- all of them


def _one_of(case: Case, *names: str) -> str:
    if case.name not in names:
        raise AbsentError(f"only for {', '.join(names)}")
    return case.name


def _installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise AbsentError(f"{module} cannot be imported: {error}") from error


RIVALS: dict[str, Rival] = {
    "torch.func._random": func_random,
    "torch.compile": compiled_fill,
    "cuRAND (CuPy)": curand,
    "JAX threefry": partial(jax_fill, "threefry2x32"),
    "JAX rbg": partial(jax_fill, "rbg"),
}
US, MEMORY, TORCH = "winit_cuda", "fill_", "torch.nn.init"  # the calls of every case
