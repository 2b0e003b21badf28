"""What a batch does in a model: activations and gradients by depth, and what is dead or saturated.

The model runs once forward, in the mode that it is in, and once backward from one number: where
its output is a number from that, else from the product of its output with random directions, so
that the gradient has a standard deviation of 1 at the output. Afterwards modules with their hooks
and attributes, buffers, gradients and all generators are as they were.

In a model of DTensors, each rank sees what its own batch does: all of it where layers are gathered
to run (FSDP2), its part where they run in parts (tensor parallelism).
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode

from .._core.torch_internals import is_dtensor, local_tensor
from .._model.slots import named_modules
from .untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_SEED = 0
_FUNCTIONS: dict[str, set[Any]] = {
    "relu": {
        *(functional.relu, functional.relu_, functional.relu6, torch.relu, torch.relu_),
        *(torch.Tensor.relu, torch.Tensor.relu_),
    },
    "tanh": {functional.tanh, torch.tanh, torch.tanh_, torch.Tensor.tanh, torch.Tensor.tanh_},
    "sigmoid": {
        *(functional.sigmoid, torch.sigmoid, torch.sigmoid_),
        *(torch.Tensor.sigmoid, torch.Tensor.sigmoid_),
    },
}
# Where the slope is below a twentieth of the steepest: 1 - tanh^2 and 4 s (1 - s).
_FLAT = 0.05
# Torch's names of classes such as Conv2d and MaxPool1d say how many dimensions come after that of
# the channels. Before it there may be one for a batch.
_AFTER_CHANNELS = re.compile(r"[123](?=d$)")
# These need a batch, and the dimensions after the channels may be any.
_BATCHED = (nn.BatchNorm1d, nn.SyncBatchNorm, nn.GroupNorm)
# The shape of what a layer returns, and which of its dimensions has the channels.
_Channels = tuple[torch.Size, int]


@dataclass
class Layer:
    """A module that called no other, and what came out of it."""

    name: str
    kind: str
    """The name of its class."""
    mean: float
    std: float
    is_finite: bool
    gradient_std: float | None = None
    """Of the gradient with respect to its output; None where none came back."""


@dataclass
class Nonlinearity:
    """A call of ReLU, tanh or the sigmoid function."""

    name: str
    """The module that called it."""
    function: str
    units: int
    rows: int
    """On how many inputs each unit was seen."""
    dead: int = 0
    """Of ReLU: units that were 0 for all of them."""
    saturated: float = 0.0
    """Of the others: the share of values where the slope is below a twentieth of the steepest."""


@dataclass
class Activity:
    """What was seen, in the order in which it was computed."""

    layers: list[Layer] = field(default_factory=list)
    nonlinearities: list[Nonlinearity] = field(default_factory=list)


def activity_of(model: nn.Module, batch: Any) -> Activity:
    """Run a model on a batch, forward and backward, and leave it as it was.

    Args:
        model: With real parameters.
        batch: What it is called with: a tensor, a tuple of positional arguments, a dict of named
            ones.
    """
    watch = _Watch(model)
    with untouched(model), _uncompiled(), torch.enable_grad():
        with watch:
            output = _call(model, batch)
        _backward(output, watch.outputs, model)
    return watch.found


def _uncompiled() -> AbstractContextManager[Any]:
    """Let compiled modules run as they are written, as the hooks of their layers want it."""
    compiler: Any = torch.compiler
    if "torch._dynamo" not in sys.modules or not hasattr(compiler, "set_stance"):
        return contextlib.nullcontext()
    stance: AbstractContextManager[Any] = compiler.set_stance("force_eager")
    return stance


def _call(model: nn.Module, batch: Any) -> Any:
    if isinstance(batch, Mapping):  # a tokenizer's is no dict
        return model(**batch)
    return model(*batch) if isinstance(batch, (tuple, list)) else model(batch)


def _backward(output: Any, outputs: list[torch.Tensor], model: nn.Module) -> None:
    """Send gradients back, into no parameter; the hooks of the outputs see them."""
    ends = [tensor for tensor in _tensors(output) if tensor.requires_grad]
    if not ends:
        return
    end = ends[0]
    directions = torch.ones_like(end)
    if end.dim():
        generator = torch.Generator("cpu").manual_seed(_SEED)
        own = _local(directions)
        own.copy_(torch.randn(own.shape, generator=generator, device="cpu"))
    inputs = {id(each): each for each in (*outputs, *model.parameters()) if each.requires_grad}
    torch.autograd.grad(end, [*inputs.values()], directions, allow_unused=True)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The floating-point tensors in an output, in order."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _tensors([getattr(value, each.name, None) for each in fields(value)])
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """The values that this process has."""
    tensor = tensor.detach()
    return local_tensor(tensor) if is_dtensor(tensor) else tensor


def _takes_no_hooks(module: nn.Module) -> bool:
    """Whether it comes from `torch.jit.script`; of traced modules, the outermost takes some."""
    jit: Any = torch.jit
    return isinstance(module, jit.ScriptModule) and not isinstance(module, jit.TopLevelTracedModule)


class _Watch(TorchFunctionMode):
    """Sees what modules and nonlinearities return, while it is entered."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.found = Activity()
        self.outputs: list[torch.Tensor] = []
        self._model = model
        self._handles: list[Any] = []
        self._inside: list[str] = []
        self._calls = 0
        self._channels: _Channels | None = None

    def __enter__(self) -> Any:
        try:
            for name, module in named_modules(self._model):
                if not _takes_no_hooks(module):
                    self._handles += self._hooks(name or type(module).__name__, module)
        except BaseException:
            self._remove_hooks()
            raise
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._remove_hooks()

    def _remove_hooks(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _hooks(self, name: str, module: nn.Module) -> list[Any]:
        calls: list[int] = []  # how many there were before each that has not returned

        def entered(_: nn.Module, __: Any) -> None:
            self._inside.append(name)
            self._calls += 1
            calls.append(self._calls)

        def left(_: nn.Module, __: Any, output: Any) -> None:
            self._inside.pop()
            if calls.pop() != self._calls:  # other modules have done it
                return
            tensor = next(_tensors(output), None)
            self._channels = None if tensor is None else self._channels_in(module, tensor.shape)
            if tensor is not None and _local(tensor).numel():
                self._note(name, module, tensor)

        return [
            module.register_forward_pre_hook(entered),
            module.register_forward_hook(left, always_call=True),  # where it raises, too
        ]

    def _channels_in(self, module: nn.Module, shape: torch.Size) -> _Channels | None:
        """Those in what a layer returns, unless they are in the last dimension, or unknown."""
        dim = _channel_dim(module, len(shape))
        if dim is not None:
            return shape, dim
        is_elementwise = next(module.parameters(), None) is None  # such as dropout
        before = self._channels
        return before if is_elementwise and before is not None and before[0] == shape else None

    def _note(self, name: str, module: nn.Module, tensor: torch.Tensor) -> None:
        values = _local(tensor).to(torch.float64)
        std, mean = torch.std_mean(values, correction=0)
        is_finite = bool(values.isfinite().all())
        kind = parametrize.type_before_parametrizations(module).__name__
        layer = Layer(name, kind, mean.item(), std.item(), is_finite)
        self.found.layers.append(layer)
        if not tensor.requires_grad:
            return

        def arrived(gradient: torch.Tensor) -> None:
            layer.gradient_std = _local(gradient).to(torch.float64).std(correction=0).item()

        tensor.register_hook(arrived)  # type: ignore[no-untyped-call]
        self.outputs.append(tensor)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Look at what a nonlinearity returns."""
        output = func(*args, **(kwargs or {}))
        kind = next((n for n, own in _FUNCTIONS.items() if func in own), None)
        if kind and isinstance(output, torch.Tensor) and output.numel():
            name = self._inside[-1] if self._inside else type(self._model).__name__
            units = _units(output.shape, self._channels)
            self.found.nonlinearities.append(_nonlinearity(name, kind, _local(output), units))
        return output


def _channel_dim(module: nn.Module, dims: int) -> int | None:
    """The dimension of the channels, where the class of a layer tells it."""
    if isinstance(module, _BATCHED):
        return 1
    names = (each.__name__ for each in type(module).__mro__ if each.__module__.startswith("torch."))
    after = next(filter(None, map(_AFTER_CHANNELS.search, names)), None)
    return None if after is None or dims <= int(after[0]) else dims - int(after[0]) - 1


def _units(shape: torch.Size, channels: _Channels | None) -> int:
    """The dimension of the units in what a nonlinearity returns."""
    if channels is not None:
        before, dim = channels
        # Pooling and the like may stand between; what is flattened has other dimensions.
        if len(shape) == len(before) and shape[dim] == before[dim]:
            return dim
    return 1 if len(shape) > 3 else -1


def _nonlinearity(name: str, kind: str, values: torch.Tensor, dim: int) -> Nonlinearity:
    units = values.movedim(dim, -1) if values.dim() else values
    width = units.shape[-1] if units.dim() else 1
    units = units.reshape(-1, width)
    found = Nonlinearity(name, kind, width, len(units))
    if kind == "relu":
        found.dead = int((units == 0).all(0).sum())
        return found
    values = values.to(torch.float64)
    slope = 1 - values**2 if kind == "tanh" else 4 * values * (1 - values)
    found.saturated = (slope < _FLAT).to(torch.float64).mean().item()
    return found


def is_dead(seen: Nonlinearity) -> bool:
    """Whether more units are dead than a few, and than fair coins would leave."""
    return seen.dead > seen.units * max(0.01, 10 * 2.0**-seen.rows)


def is_saturated(seen: Nonlinearity) -> bool:
    """Whether a tenth of the values or more is saturated."""
    return seen.saturated >= 0.1
