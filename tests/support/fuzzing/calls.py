"""A call: function, tensor, arguments, and the modes in force."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

import winit_cuda as winit

from . import inputs, values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .inputs import Input, Shape
    from .values import Value

Maker = "Callable[[random.Random], Value]"

_NORMAL = {"mean": values.number, "std": values.deviation}
_BOUNDS = {"a": values.number, "b": values.number}
_GAIN = {"gain": values.number}
_KAIMING = {"a": values.number, "mode": values.mode, "nonlinearity": values.nonlinearity}
# The arguments behind the tensor, in their order.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "uniform_": _BOUNDS,
    "normal_": _NORMAL,
    "trunc_normal_": {**_NORMAL, **_BOUNDS},
    "constant_": {"val": values.number},
    "ones_": {},
    "zeros_": {},
    "eye_": {},
    "dirac_": {"groups": values.count},
    "xavier_uniform_": _GAIN,
    "xavier_normal_": _GAIN,
    "kaiming_uniform_": _KAIMING,
    "kaiming_normal_": _KAIMING,
    "orthogonal_": _GAIN,
    "delta_orthogonal_": _GAIN,
    "sparse_": {"sparsity": values.fraction, "std": values.deviation},
}
FIXED = ("constant_", "ones_", "zeros_", "eye_", "dirac_")
FUNCTIONS = tuple(winit.init.__all__)


class Call(NamedTuple):
    """What is to be called, and how."""

    function: str
    """The public name."""
    name: str
    """The same with the underscore that deprecated names lack."""
    input: Input
    arguments: dict[str, Value]
    positional: int
    """How many of the arguments are passed by their places."""
    modes: tuple[str, ...]
    transform: str

    @property
    def is_random(self) -> bool:
        return self.name not in FIXED

    def __str__(self) -> str:
        shown = [value.text for value in [*self.arguments.values()][: self.positional]]
        shown += [f"{name}={value.text}" for name, value in self.named.items()]
        modes = "".join(f" in {mode}" for mode in (*self.modes, self.transform) if mode)
        return f"winit.{self.function}({', '.join(filter(None, [self.input.text, *shown]))}){modes}"

    @property
    def named(self) -> dict[str, Value]:
        return dict([*self.arguments.items()][self.positional :])

    def make(self, tensor: Any, **replaced: Any) -> Any:
        """The call itself, on a tensor in place of its own."""
        arguments = [value.object for value in [*self.arguments.values()][: self.positional]]
        named = {name: value.object for name, value in self.named.items()} | replaced
        return getattr(winit, self.function)(tensor, *arguments, **named)


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def _default_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, tuple[int, Callable[[], Any]]] = {
    "use_backend('aten')": (8, lambda: winit.use_backend("aten")),
    "use_backend('native')": (5, lambda: winit.use_backend("native")),
    "no_grad()": (5, torch.no_grad),
    "inference_mode()": (3, torch.inference_mode),
    "use_deterministic_algorithms(True)": (1, _deterministic),
    "set_default_dtype(float64)": (1, _default_dtype),
    "device('meta')": (1, lambda: torch.device("meta")),
}
TRANSFORMS = {"": 97.0, "vmap error": 0.5, "vmap different": 1.0, "vmap same": 0.5, "jvp": 1.0}


def _shape(name: str, source: random.Random) -> Shape:
    chance, size = source.random(), source.randint
    if chance < 0.03:  # of many dimensions
        return tuple(source.choice((1, 1, 2)) for _ in range(size(5, 17)))
    if chance < 0.06:  # of more elements than one thread is given
        return source.choice(((4097,), (70, 71), (8, 16, 5, 9), (1, 5000)))
    if chance < 0.20:
        return tuple(size(0, 6) for _ in range(size(0, 5)))
    if name == "delta_orthogonal_":
        inward = size(1, 4)
        return (inward + size(0, 3), inward, *(size(1, 3) for _ in range(size(1, 3))))
    if name == "dirac_":
        return tuple(size(1, 5) for _ in range(size(3, 5)))
    if name in ("eye_", "sparse_"):
        return size(1, 12), size(1, 12)
    rank = source.choice((1, 2, 2, 3, 4)) if "_normal" not in name and "_uni" not in name else 2
    return tuple(size(1, 7) for _ in range(rank))


def _arguments(name: str, shape: Shape, source: random.Random) -> dict[str, Value]:
    makers = ARGUMENTS[name]
    required = {"constant_": 1, "sparse_": 1}.get(name, 0)
    kept = max(required, source.randint(0, len(makers)))
    drawn = {argument: make(source) for argument, make in [*makers.items()][:kept]}
    if name not in FIXED:
        chance = source.random()
        if chance < 0.15:
            drawn["generator"] = values.generator(source)
        if 0.14 < chance < 0.5:
            drawn["key"] = values.key(source)
    if source.random() < 0.15:
        drawn["shard"] = values.shard(shape, source)
    if name == "orthogonal_" and source.random() < 0.2:
        drawn["batch_dims"] = values.few(source)
    if name == "orthogonal_" and source.random() < 0.2:
        drawn["chunks"] = values.count(source)
    return drawn


def draw(seed: int, number: int) -> Call:
    """Call `number` of a seed."""
    source = random.Random(f"{seed}:{number}")
    function = source.choice(FUNCTIONS)
    if function == "calculate_gain":
        drawn = {"nonlinearity": values.nonlinearity(source)}
        if source.random() < 0.5:
            drawn["param"] = values.number(source)
        nothing = inputs.Input(None, None, "", is_written=False)
        return Call(function, function, nothing, drawn, 0, (), "")
    name = f"{function.removesuffix('_')}_"
    shape = _shape(name, source)
    made = inputs.draw(shape, source)
    modes: tuple[str, ...] = ()
    if source.random() < 0.2:
        weights = [weight for weight, _ in MODES.values()]
        modes = tuple(dict.fromkeys(source.choices(tuple(MODES), weights, k=source.randint(1, 2))))
    (transform,) = source.choices(tuple(TRANSFORMS), tuple(TRANSFORMS.values()))
    if transform == "jvp" and not (made.is_written and made.tensor.dtype in inputs.FLOATING):
        transform = ""  # there is nothing to differentiate
    if "inference mode" in made.text and not hasattr(torch.func, "debug_unwrap"):
        transform = ""  # torch 2.4 writes before it refuses, and hides which tensor that is
    drawn = _arguments(name, shape, source)
    by_place = source.randint(0, sum(each in ARGUMENTS[name] for each in drawn))
    return Call(function, name, made, drawn, by_place, modes, transform)
