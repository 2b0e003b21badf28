"""Programs from steps to JSON and back, and their run with keyed draws.

Nothing else than the operators of `allowed` is ever called.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import torch

from .._core.torch_internals import schema
from .._initializers.base import Initializer
from .._keys.keys import Key, fold_in
from .allowed import FUNCTIONS, OPERATORS
from .draws import NoLawError, drawn
from .log import Layout, Outside, Step, View
from .program import Program
from .replay import MOST_BYTES, Memory, check_size, played

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# What arguments of these names are, wherever there is one.
_KINDS = {
    "dtype": torch.dtype,
    "layout": torch.layout,
    "memory_format": torch.memory_format,
    "device": torch.device,
}
_NO_VALUE = frozenset({"pin_memory", "non_blocking", "generator"})
_CONSTANTS = {
    str(value): value
    for value in (
        torch.strided,
        torch.contiguous_format,
        torch.preserve_format,
        torch.channels_last,
        torch.channels_last_3d,
    )
}


def program(
    steps: Sequence[Step], nbytes: Mapping[int, int], result: View, names: Mapping[int, str]
) -> Program:
    """The program of these steps of a log, with the key of each random one.

    Raises:
        NoLawError: A step cannot be kept: its operator is not on the list, or the memory that it
            takes is beyond what a plan may.
    """
    numbers: dict[int, int] = {}
    try:
        check_size(nbytes, steps)
    except RuntimeError as error:
        raise NoLawError("by more than a plan may take memory for") from error
    described = []
    for step in steps:
        if not is_known(step):
            raise NoLawError(f"by {step.operator}, which no plan may call")
        kwargs = {k: v for k, v in step.kwargs.items() if k not in _NO_VALUE}
        one = {
            "op": step.name if step.operator is None else str(step.operator),
            "args": _plain(step.args, numbers),
            "kwargs": {key: _plain(value, numbers) for key, value in kwargs.items()},
            "results": _plain(step.results, numbers),
        }
        if step.is_random:
            one["key"] = names[step.index]
        if step.default_dtype is not torch.float32:
            one["default"] = _name(step.default_dtype)
        described.append(one)
    where = _plain(result, numbers)
    sizes = [nbytes[storage] for storage in numbers]
    return Program.of({"storages": sizes, "steps": described, "result": where})


def is_known(step: Step) -> bool:
    """Whether a program may have this step."""
    if step.operator is None:
        return True
    return step.operator.namespace == "aten" and step.name in OPERATORS


def values(described: Any, base: Key) -> torch.Tensor:
    """The values of a program for a seed, on the CPU."""
    steps, names, nbytes, result = decoded(described)

    def draw(step: Step, memory: Memory) -> bool:
        return _draw(step, memory, fold_in(base, names[step.index]))

    return played(nbytes, steps, draw).tensor(result)


def _draw(step: Step, memory: Memory, key: Key) -> bool:
    """Draw what a random step draws with a key."""
    view = step.writes[0]
    try:
        initializer = drawn(step, view) if view.dtype.is_floating_point else None
    except NoLawError:
        initializer = None
    if initializer is not None:
        initializer(memory.tensor(view), key=key)
        return True
    with torch.random.fork_rng(devices=[]):  # no law of ours: torch's generator on the CPU
        torch.manual_seed((key.seed ^ key.stream) >> 1)
        memory.play(step)
    return True


def _plain(value: Any, numbers: dict[int, int]) -> Any:
    """A value as what JSON has; storages are numbered anew."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, View):
        storage = numbers.setdefault(value.storage, len(numbers))
        offset, shape, stride = value.layout
        return {"view": [storage, _name(value.dtype), offset, list(shape), list(stride)]}
    if isinstance(value, Outside):
        tensor = value.tensor.detach().cpu().contiguous()
        memory = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        text = base64.b64encode(memory).decode()
        return {"data": text, "dtype": _name(tensor.dtype), "shape": list(tensor.shape)}
    if isinstance(value, (list, tuple)):
        return [_plain(each, numbers) for each in value]
    if isinstance(value, torch.dtype):
        return {"dtype": _name(value)}
    if isinstance(value, torch.device):
        return {"device": "cpu"}
    if isinstance(value, Initializer):
        return {"law": value.as_dict()}
    if str(value) in _CONSTANTS:
        return {"constant": str(value)}
    raise NoLawError(f"with {type(value).__name__}, which JSON does not have")


def decoded(described: Any) -> tuple[list[Step], dict[int, str], dict[int, int], View]:
    """Steps, names of keys, sizes of storages and the result of a program of JSON."""
    steps, names = [], {}
    for index, one in enumerate(described["steps"]):
        space, name, overload = (*one["op"].split("."), None, None)[:3]
        operator = None
        if name is None:
            name = space
            if name not in FUNCTIONS:
                raise TypeError(f"no program may call {one['op']!r}")
        elif space == "aten" and name in OPERATORS:
            operator = getattr(getattr(torch.ops.aten, name), overload)
        else:
            raise TypeError(f"no program may call {one['op']!r}")
        args = tuple(map(_value, one["args"]))
        kwargs = {str(key): _value(value) for key, value in one["kwargs"].items()}
        results = [_value(view) for view in one["results"]]
        writes = [args[0]] if operator is None or name.endswith("_") else results
        if not writes or not all(isinstance(view, View) for view in (*results, *writes)):
            raise TypeError(f"a step of {one['op']!r} without a result")
        step = Step(name, operator, args, kwargs, results, writes, None, None, "key" in one, index)
        step.default_dtype = _dtype(one.get("default", "float32"))
        _check_arguments(step)
        if "key" in one:
            names[index] = str(one["key"])
        steps.append(step)
    result = _value(described["result"])
    if not isinstance(result, View):
        raise TypeError("a program without a result")
    nbytes = dict(enumerate(map(int, described["storages"])))
    for view in _views([result, [[one.args, one.kwargs, one.results] for one in steps]]):
        _check_view(view, nbytes)
    check_size(nbytes, steps)
    return steps, names, nbytes, result


def _check_arguments(step: Step) -> None:
    """Raise where torch would take a number for a dtype and the like, and crash."""
    named = dict(step.kwargs)
    if step.operator is not None:
        names = [argument.name for argument in schema(step.operator).arguments]
        named |= dict(zip(names, step.args, strict=False))
    for name, kind in _KINDS.items():
        if named.get(name) is not None and not isinstance(named[name], kind):
            raise TypeError(f"{name} of {step.name} must be a torch.{kind.__name__}")


def _views(value: Any) -> Iterator[View]:
    if isinstance(value, View):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _views(each)


def _check_view(view: View, nbytes: Mapping[int, int]) -> None:
    """Raise where a tensor would lie outside of its storage, or be larger than a plan may have."""
    offset, shape, stride = view.layout
    if len(shape) != len(stride) or min((offset, *shape, *stride)) < 0:
        raise TypeError(f"no layout of a tensor: {view.layout}")
    if view.numel * view.dtype.itemsize > MOST_BYTES:
        raise TypeError(f"a tensor of {view.numel} elements")
    if view.numel and (view.layout.last + 1) * view.dtype.itemsize > nbytes[view.storage]:
        raise TypeError(f"a tensor beyond its storage: {view.layout}")


def _value(plain: Any) -> Any:
    """The value of `_plain`."""
    if isinstance(plain, list):
        return [_value(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    if "view" in plain:
        storage, dtype, offset, shape, stride = plain["view"]
        layout = Layout(int(offset), tuple(map(int, shape)), tuple(map(int, stride)))
        return View(int(storage), _dtype(dtype), layout)
    if "data" in plain:
        memory, dtype = bytearray(base64.b64decode(plain["data"])), _dtype(plain["dtype"])
        flat = torch.frombuffer(memory, dtype=dtype) if memory else torch.empty(0, dtype=dtype)
        return Outside(flat.reshape(plain["shape"]))
    if "dtype" in plain:
        return _dtype(plain["dtype"])
    if "law" in plain:
        return Initializer.from_dict(plain["law"])
    if "float" in plain:
        return float(plain["float"])
    return torch.device("cpu") if "device" in plain else _CONSTANTS[plain["constant"]]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _dtype(name: Any) -> torch.dtype:
    found = getattr(torch, str(name), None)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"no dtype: {name!r}")
    return found
