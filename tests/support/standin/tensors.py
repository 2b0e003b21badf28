"""Tensors on devices: what they say of themselves, where results go, and what does not mix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from .memory import PINNED
from .runtime import CudaGenerator

if TYPE_CHECKING:
    from collections.abc import Callable

    from .runtime import Machine

_Tensor = torch.Tensor

# Functions in which tensors of several devices may meet.
_MIXING = {
    _Tensor.copy_,
    _Tensor.data.__set__,  # type: ignore[attr-defined]
    _Tensor.grad.__set__,  # type: ignore[attr-defined]
    torch._has_compatible_shallow_copy_type,
    _Tensor.__getitem__,
    _Tensor.__setitem__,
}
# Functions that wait for the device.
_WAITING = {
    *(_Tensor.item, _Tensor.tolist, _Tensor.__bool__, _Tensor.__float__, _Tensor.__int__),
    *(_Tensor.numpy, _Tensor.__repr__, torch.equal, torch.allclose, _Tensor.equal),
    *(_Tensor.allclose, _Tensor.nonzero),
}
# In-place fills of torch's own, which draw from the generator of the tensor's device.
_DRAWING = {_Tensor.random_, _Tensor.uniform_, _Tensor.normal_, torch.nn.init.trunc_normal_}


def _is_getter(function: Any) -> bool:
    return type(function).__name__ == "method-wrapper" and function.__name__ == "__get__"


class OnDevices(TorchFunctionMode):
    """While it is active, tensors in the memory of a device are on that device."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine, self._memory = machine, machine.memory
        self._answers: dict[Any, Callable[..., Any]] = {
            _Tensor.is_cuda.__get__: lambda tensor, *_: self.where(tensor) >= 0,  # type: ignore[attr-defined]
            _Tensor.is_cpu.__get__: lambda tensor, *_: tensor.is_cpu and self.where(tensor) < 0,  # type: ignore[attr-defined]
            _Tensor.device.__get__: self._device,  # type: ignore[attr-defined]
            _Tensor.grad.__get__: self._gradient,  # type: ignore[attr-defined]
            _Tensor.get_device: lambda tensor: self._index(tensor),
            _Tensor.is_pinned: lambda tensor, *_: self._block(tensor) == PINNED,
            _Tensor.cuda: self._cuda,
            _Tensor.cpu: lambda tensor, *_, **__: self._to_host(tensor),
            _Tensor.to: self._to,
        }

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """Call the function as torch would on a machine with the devices."""
        options = dict(options or {})
        answer = self._answers.get(function)
        if answer is not None:
            return answer(*arguments, **options)
        if _is_getter(function):
            return function(*arguments, **options)
        return self._call(function, arguments, options)

    def _call(self, function: Any, arguments: Any, options: dict[str, Any]) -> Any:
        if function in _WAITING and any(self.where(t) >= 0 for t in _tensors(arguments)):
            self._machine.synchronize()
        device, pinned = options.get("device"), options.pop("pin_memory", False)
        to = self._place_of_arguments(function, (arguments, options))
        if device is not None:
            device = torch.device("cuda", device) if isinstance(device, int) else device
            device = torch.device(device)
            to = self._machine.index_of(device) if device.type == "cuda" else -1
            options["device"] = "cpu" if device.type == "cuda" else device
        if pinned:
            to = PINNED
        inputs = {_storage(tensor) for tensor in _tensors((arguments, options))}

        def call() -> Any:
            given = self._with_generator(function, to, options)
            return function(*arguments, **given)

        result = call()
        if to == -1:
            return result
        made = [t for t in _tensors(result) if self._is_new(t, inputs)]
        for tensor in made:
            self._move(tensor, to)
        graph = self._machine.capturing.get(self._machine.raw_stream(to)) if to >= 0 else None
        if graph is not None:

            def again() -> None:
                for old, new in zip(_tensors(result), _tensors(call()), strict=True):
                    if any(old is each for each in made):
                        old.copy_(new)

            graph.record(again)
        return result

    def _with_generator(self, function: Any, to: int, options: dict[str, Any]) -> dict[str, Any]:
        generator = options.get("generator")
        if generator is None and to >= 0 and function in _DRAWING:
            generator = self._machine.generators[to]
        if isinstance(generator, CudaGenerator):
            if to >= 0 and generator.device.index != to:
                raise RuntimeError(f"Expected a generator of cuda:{to}, not {generator.device}")
            return {**options, "generator": generator.next()}
        if generator is not None and to >= 0 and function in _DRAWING:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        return options

    def _place_of_arguments(self, function: Any, arguments: Any) -> int:
        """The device of the arguments, which are all on one; -1 for the CPU."""
        tensors = _tensors(arguments)
        places = {self.where(t) for t in tensors if t.dim() > 0 or self.where(t) >= 0}
        if not places:
            return -1
        if len(places) > 1 and function not in _MIXING:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but {function.__name__} got"
                f" tensors on {sorted(places)}"
            )
        if function is _Tensor.copy_ and self.where(tensors[0]) < 0 <= max(places):
            self._machine.synchronize()
        return self.where(tensors[0])

    def _is_new(self, tensor: torch.Tensor, inputs: set[int]) -> bool:
        """Whether a tensor has memory of its own; an empty one has none of its own yet."""
        if tensor.device.type != "cpu" or tensor.layout != torch.strided:
            return False
        return _storage(tensor) == 0 or _storage(tensor) not in inputs

    def _block(self, tensor: torch.Tensor) -> int | None:
        return self._memory.where(_storage(tensor))

    def where(self, tensor: torch.Tensor) -> int:
        """The number of a tensor's device; -1 for every other place."""
        block = self._block(tensor)
        return -1 if block is None or block == PINNED else block

    def _device(self, tensor: torch.Tensor, *_: object) -> torch.device:
        where = self.where(tensor)
        return tensor.device if where < 0 else torch.device("cuda", where)

    def _gradient(self, tensor: torch.Tensor, *_: object) -> torch.Tensor | None:
        """The gradient, which autograd has put where it knows no devices."""
        gradient = tensor.grad
        if gradient is not None and self.where(tensor) >= 0 > self.where(gradient):
            self._move(gradient, self.where(tensor))
        return gradient

    def _index(self, tensor: torch.Tensor) -> int:
        where = self.where(tensor)
        return tensor.get_device() if where < 0 else where

    def _move(self, tensor: torch.Tensor, where: int) -> None:
        """Give a tensor, with the autograd that it has, memory there in place of its own."""
        host = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
        block = self._memory.allocate(where, host.numel())
        if host.numel():
            block.copy_(host)
        with torch.no_grad():
            there = torch.empty(0, dtype=tensor.dtype).set_(
                block.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride()
            )
            tensor.data = there

    def _cuda(self, tensor: torch.Tensor, device: Any = None, **options: Any) -> torch.Tensor:
        return self._to(tensor, torch.device("cuda", self._machine.index_of(device)), **options)

    def _to_host(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.where(tensor) < 0:
            return tensor
        self._machine.synchronize()
        return tensor.clone()

    def _to(self, tensor: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        options.pop("non_blocking", None)
        device = options.pop("device", None)
        if arguments and isinstance(arguments[0], (str, int, torch.device)):
            device, *arguments = arguments  # type: ignore[assignment]
        result: torch.Tensor = tensor
        if arguments or options:
            result = tensor.to(*arguments, **options)
        if device is None:
            to = self.where(tensor)
        else:
            kind = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
            if kind.type not in ("cpu", "cuda"):
                return result.to(kind)
            to = self._machine.index_of(kind) if kind.type == "cuda" else -1
        if self.where(result) == to:
            return result
        if to < 0:
            return self._to_host(result)
        if result is tensor or _storage(result) == _storage(tensor):
            result = result.clone()
        self._move(result, to)
        return result


def _tensors(value: Any) -> list[torch.Tensor]:
    return [each for each in pytree.tree_leaves(value) if isinstance(each, torch.Tensor)]


def _storage(tensor: torch.Tensor) -> int:
    """The address of a tensor's storage; 0 where it has none."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse layouts, fake tensors
        return 0
