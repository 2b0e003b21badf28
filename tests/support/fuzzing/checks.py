"""The promises: what holds after every call, after an error, and after a success."""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import winit_cuda as winit

from . import calls, inputs

if TYPE_CHECKING:
    from .calls import Call

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class BrokenError(Exception):
    """A promise that a call broke; its first line names the kind."""


def _require(promise: bool, kind: str, details: object = "") -> None:
    if not promise:
        raise BrokenError(f"{kind}\n{details}")


def check(call: Call) -> None:
    """Make the call, and raise BrokenError where it breaks a promise."""
    if call.name == "calculate_gain":
        _check_gain(call)
        return
    if _is_endless(call):
        return
    before = _State(call)
    with contextlib.ExitStack() as modes:
        for mode in call.modes:
            modes.enter_context(calls.MODES[mode][1]())
        try:
            found = _made(call)
        except Exception as error:
            raised: Exception | None = error
        else:
            raised = None
    if raised is not None:
        if isinstance(raised, BrokenError):
            raise raised
        before.check_unchanged()
        _check_error(call, raised)
        return
    if not call.transform:
        _require(found is call.input.tensor, "does not return the tensor", type(found))
    before.check_written()
    if call.input.is_written and not call.transform:
        _check_values(call, before)


def _made(call: Call) -> Any:
    tensor = call.input.tensor
    if call.transform.startswith("vmap"):
        randomness = call.transform.removeprefix("vmap ")
        return torch.func.vmap(call.make, randomness=randomness)(tensor)
    if call.transform == "jvp":
        primal = plain(tensor)
        ones = torch.ones(primal.shape, device="cpu").to(primal.dtype)
        value, tangent = torch.func.jvp(lambda it: call.make(it.clone()), (primal,), (ones,))
        _require(not tangent.double().any(), "jvp: the tangent is not 0", tangent)
        return value
    return call.make(tensor)


def _check_gain(call: Call) -> None:
    try:
        gain = winit.calculate_gain(**{name: it.object for name, it in call.arguments.items()})
    except Exception as error:
        _check_error(call, error)
    else:
        _require(isinstance(gain, (int, float)) and math.isfinite(gain), "no finite gain", gain)


def _is_endless(call: Call) -> bool:
    """Whether torch draws again and again for a value that is hardly ever in [a, b]."""
    if call.name != "trunc_normal_" or not uses_aten(call):
        return False
    try:
        mean, std, a, b = _numbers(call, mean=0.0, std=1.0, a=-2.0, b=2.0)
    except Exception:
        return False
    return not (b - a > std / 100 and a - 2 * std < mean < b + 2 * std)


def _check_error(call: Call, error: Exception) -> None:
    received = f"{type(error).__name__}: {error}"
    is_right = isinstance(error, (ValueError, TypeError, RuntimeError))
    is_right &= not isinstance(error, (RecursionError, UnicodeError))
    _require(is_right, f"leaks {type(error).__name__}", received)
    is_named = call.function in str(error) or (call.transform and _is_torch_s(call, error))
    kind = re.sub("'.*'?|tensor.*", "_", received[:60])
    _require(is_named, f"does not name the function: {kind}", received)


def _is_torch_s(call: Call, error: Exception) -> bool:
    """Whether torch itself refuses a transform, in its words."""
    words = (
        "vmap",
        "functorch",
        "jvp",
        "forward",
        "tangent",
        "_like",
        "leaf Variable",
        "batch",
        "primal",
    )
    return call.input.memory is None or any(word in str(error) for word in words)


class _State:
    """Memory, version and generators before a call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        tensor, memory = call.input.tensor, call.input.memory
        self._bytes = None if memory is None else memory.numpy().copy()
        self._version = None
        if isinstance(tensor, torch.Tensor) and not tensor.is_inference():
            self._version = tensor._version
        own = call.arguments.get("generator")
        self._own = own.object if own and isinstance(own.object, torch.Generator) else None
        if self._own is not None and self._own.device.type != "cpu":
            self._own = None
        self.default = torch.default_generator.get_state()
        self.own = None if self._own is None else self._own.get_state()

    def _version_moved(self) -> bool:
        return self._version is not None and self._call.input.tensor._version != self._version

    def _default_moved(self) -> bool:
        now = torch.default_generator.get_state()
        return not np.array_equal(self.default.numpy(), now.numpy())

    def _own_moved(self) -> bool:
        return self._own is not None and not np.array_equal(
            self.own.numpy(), self._own.get_state().numpy()
        )

    def check_unchanged(self) -> None:
        """After an error."""
        if self._bytes is not None:
            same = np.array_equal(self._bytes, self._call.input.memory.numpy())
            _require(same, "an error after something was written")
        _require(not self._version_moved(), "an error after the version has moved")
        _require(not self._default_moved(), "an error after the default generator has moved")
        _require(not self._own_moved(), "an error after the generator has moved")

    def check_written(self) -> None:
        """After a success."""
        call = self._call
        is_written = call.input.is_written and call.transform != "jvp"
        if self._bytes is not None:
            now = call.input.memory.numpy()
            others = slice(None)
            if is_written:
                others = ~inputs.elements(call.input.tensor, call.input.memory)
            same = np.array_equal(now[others], self._bytes[others])
            _require(same, "bytes beside the tensor were written")
        if is_written and self._version is not None:
            _require(self._version_moved(), "the version has not moved")
        if call.transform:
            return
        draws = call.is_random and (is_written or _is_empty_part(call))
        is_aten = uses_aten(call)
        if not is_aten:  # torch draws as it likes
            has_key = "key" in call.arguments or self._own is not None
            wanted = draws and not has_key
            _require(self._default_moved() == wanted, f"the default generator moved: {not wanted}")
            if self._own is not None:
                _require(self._own_moved() == draws, f"the generator moved: {not draws}")


def _is_empty_part(call: Call) -> bool:
    """Whether the tensor has no elements, as a part of one that has: it draws as the others do."""
    tensor, shard = call.input.tensor, call.arguments.get("shard")
    whole = shard is not None and getattr(shard.object, "global_shape", (0,))
    return bool(whole) and 0 not in whole and not tensor.is_meta and tensor.numel() == 0


def uses_aten(call: Call) -> bool:
    tensor = call.input.tensor
    is_complex = isinstance(tensor, torch.Tensor) and tensor.is_complex()
    return "use_backend('aten')" in call.modes or is_complex


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous copy without history."""
    with torch.no_grad():
        if not (tensor.is_neg() or tensor.is_complex()):  # not every dtype can be copied
            words = tensor.view(_WORDS[tensor.itemsize])
            return words.contiguous().detach().as_subclass(torch.Tensor).clone().view(tensor.dtype)
        return (
            tensor.detach()
            .as_subclass(torch.Tensor)
            .clone(memory_format=torch.contiguous_format)
            .resolve_neg()
            .resolve_conj()
        )


def bits(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    """The bytes of a contiguous tensor."""
    return tensor.as_strided((tensor.numel(),), (1,)).view(torch.uint8).numpy()


def _check_values(call: Call, before: _State) -> None:
    found = plain(call.input.tensor)
    if not call.is_random:
        _check_fixed(call, found)
        return
    if uses_aten(call):
        return
    _check_law(call, found)
    shape = tuple(found.shape)
    again = inputs.placed(shape, inputs.row_major(shape), 0, found.dtype).tensor
    if "key" in call.arguments:
        call.make(again)
    elif "generator" in call.arguments:
        call.make(again, generator=torch.Generator().manual_seed(1))
    else:
        after = torch.default_generator.get_state()
        torch.default_generator.set_state(before.default)
        call.make(again)
        now = torch.default_generator.get_state()
        _require(np.array_equal(now.numpy(), after.numpy()), "another number of draws")
    if "orthogonal" in call.name:
        difference = (again.double() - found.double()).abs().max().item()
        most = found.double().abs().max().item()
        close = 8 * max(_eps(found.dtype), 1e-6 if found.dtype != torch.float64 else 0)
        _require(
            difference <= close * most or most < 1e-30,
            "other values in a contiguous tensor",
            difference,
        )
    else:
        _require(np.array_equal(bits(found), bits(again)), "other values in a contiguous tensor")


def _eps(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps


def _numbers(call: Call, **defaults: float) -> list[float]:
    drawn = call.arguments
    return [float(drawn[name].object) if name in drawn else it for name, it in defaults.items()]


def _check_fixed(call: Call, found: torch.Tensor) -> None:
    expected = torch.empty(found.shape, dtype=found.dtype)
    arguments = {name: value.object for name, value in call.arguments.items()}
    try:
        getattr(torch.nn.init, call.name)(expected, **arguments)
    except Exception:
        return
    _require(np.array_equal(bits(found), bits(expected)), "other values than torch's", found)


def _check_law(call: Call, found: torch.Tensor) -> None:
    exact, dtype = found.double(), found.dtype
    _require(bool(exact.isfinite().all()), "values that are not finite", exact)
    if call.name == "uniform_":
        a, b = _numbers(call, a=0.0, b=1.0)
        if a < b:
            _require(bool(((exact >= a) & (exact < b)).all()), "values outside [a, b)", exact)
        else:
            _require(bool((exact - a).abs().max() <= abs(a) * _eps(dtype) + 1e-9), "not a", exact)
    elif call.name == "trunc_normal_":
        _, _, a, b = _numbers(call, mean=0.0, std=1.0, a=-2.0, b=2.0)
        if a < b:
            _require(bool(((exact >= a) & (exact <= b)).all()), "values outside [a, b]", exact)
    elif call.name == "sparse_" and "shard" not in call.arguments:
        sparsity, std = _numbers(call, sparsity=0.0, std=0.01)
        wanted = math.ceil(sparsity * len(exact))
        zeros = (exact == 0).sum(dim=0)
        _require(bool((zeros >= wanted).all()), "too few zeros in a column", zeros)
        if std > 1e-3 and dtype.itemsize > 2:
            _require(bool((zeros == wanted).all()), "too many zeros in a column", zeros)
    elif call.name == "orthogonal_" and not {"shard", "chunks", "batch_dims"} & {*call.arguments}:
        _check_orthogonal(call, exact.flatten(1), dtype)
    elif call.name == "delta_orthogonal_" and "shard" not in call.arguments:
        center = exact[(..., *(size // 2 for size in exact.shape[2:]))]
        _require(
            int((exact != 0).sum()) == int((center != 0).sum()), "values beside the center", exact
        )
        _check_orthogonal(call, center, dtype)


def _check_orthogonal(call: Call, matrix: torch.Tensor, dtype: torch.dtype) -> None:
    (gain,) = _numbers(call, gain=1.0)
    if max(matrix.shape) > 100 or not 1e-3 < abs(gain) < 1e3:
        return
    matrix = matrix / gain
    product = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
    away = (product - torch.eye(len(product), dtype=torch.float64)).abs().max().item()
    most = 20 * _eps(dtype) * math.sqrt(max(matrix.shape))
    _require(dtype.itemsize == 1 or away <= most, "not orthogonal", away)
