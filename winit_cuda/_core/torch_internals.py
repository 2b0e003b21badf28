"""Every name of torch that is not documented and that winit_cuda uses, each with why.

All of them exist from torch 2.4 to 2.15; where one is missing, the nearest documented behavior
takes its place. Nothing else in the package touches a private name of torch, but
`_model/fake_tensors.py`, which takes long to import.
"""

from __future__ import annotations

import contextlib
import operator
import sys
from typing import TYPE_CHECKING, Any, cast

import torch

# Of these, what every call reads: `forward_ad._current_level` (at least 0 inside of
# `forward_ad.dual_level`, where tensors may have tangents) and `profiler._is_profiler_enabled`. A
# function around each would cost more than it does.
from torch.autograd import forward_ad as forward_ad
from torch.autograd import profiler as profiler

if TYPE_CHECKING:
    from collections.abc import Callable

has_torch_function = torch.overrides.has_torch_function_unary
"""Whether a tensor's class or an active TorchFunctionMode overrides torch's functions."""


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


unwrapped = getattr(torch.func, "debug_unwrap", _itself)
"""The tensor under all wrappers of `torch.func`; public, but meant for debugging."""

serves_vmap = hasattr(torch.library, "register_vmap") and unwrapped is not _itself
"""Whether operators have working rules for vmap. Those of torch 2.5 and 2.6 may neither draw nor be
nested, and what is under the wrappers is not to be known."""


def _never() -> bool:
    return False


def _no_modes() -> int:
    return 0


dispatch_modes = getattr(torch._C, "_len_torch_dispatch_stack", _no_modes)  # noqa: SLF001
"""How many TorchDispatchModes (fake tensors, tracing, counting) are active."""

transforms_active = getattr(torch._C, "_are_functorch_transforms_active", _never)  # noqa: SLF001
"""Whether a `torch.func` transform (vmap, grad, ...) is running."""


without_dispatch_modes = getattr(torch._C, "_DisableTorchDispatch", contextlib.nullcontext)  # noqa: SLF001
"""A context in which TorchDispatchModes (fake tensors among them) are not asked."""

is_jit_tracing: Callable[[], bool] = getattr(torch._C, "_is_tracing", torch.jit.is_tracing)  # type: ignore[attr-defined]  # noqa: SLF001
"""Whether `torch.jit.trace` is running, without a step through Python."""

_is_compiling = torch.compiler.is_dynamo_compiling

is_functional_tensor = torch._is_functional_tensor  # noqa: SLF001
"""Whether `torch.func.functionalize` has wrapped the tensor."""


def is_watched() -> bool:
    """Whether torch looks at the operators that run, to compile, trace or transform them."""
    return _is_compiling() or dispatch_modes() > 0 or transforms_active() or is_jit_tracing()


def writes_are_seen() -> bool:
    """Whether torch looks at what is written, as `is_watched` says or in forward-mode AD."""
    return is_watched() or forward_ad._current_level >= 0  # noqa: SLF001


def _parametrizations(name: str) -> tuple[Any, ...]:
    found = getattr(torch.nn.utils.parametrizations, name, None)
    return () if found is None else (found,)


spectral_norm_types = _parametrizations("_SpectralNorm")
"""The class of the parametrization `spectral_norm`, which no function gives."""

weight_norm_types = _parametrizations("_WeightNorm")
"""That of `weight_norm`."""


def has_right_inverse(parametrization: torch.nn.Module) -> bool:
    """Whether a weight can be set through a parametrization.

    That of torch's `orthogonal` only raises without a base, for maps that torch cannot undo.
    """
    own_map = getattr(getattr(parametrization, "orthogonal_map", None), "name", None)
    if own_map in ("matrix_exp", "cayley") and not hasattr(parametrization, "base"):
        return False
    return hasattr(parametrization, "right_inverse")


below_autograd = torch._C._AutoDispatchBelowAutograd  # noqa: SLF001
"""A context in which operators pass autograd by."""

set_grad_enabled = getattr(torch._C, "_set_grad_enabled", torch.set_grad_enabled)  # noqa: SLF001
"""Switch grad mode, without an object that switches it back."""


def _current_stream(index: int) -> int:
    return torch.cuda.current_stream(index).cuda_stream


cuda_stream = getattr(torch._C, "_cuda_getCurrentRawStream", _current_stream)  # noqa: SLF001
"""The handle of the current CUDA stream of a device, without building a Stream object."""


def _version_bump() -> Callable[[tuple[torch.Tensor, ...]], None]:
    """The C function under `torch.autograd.graph.increment_version`.

    It took a tensor up to torch 2.5 and takes any iterable of tensors since.
    """
    bump: Callable[[Any], None] = torch._C._increment_version  # noqa: SLF001
    try:
        bump((torch.empty(0, device="cpu"),))
    except (TypeError, RuntimeError):  # which of the two depends on the release

        def bump_each(tensors: tuple[torch.Tensor, ...]) -> None:
            for tensor in tensors:
                bump(tensor)

        return bump_each
    return bump


increment_version = _version_bump()
"""Tell autograd that the tensors of a tuple were written."""

# What a module itself has, by name, None among it. `named_parameters` and its like find the same,
# but take 3 us a module.
own_parameters: Callable[[torch.nn.Module], dict[str, torch.nn.Parameter | None]]
own_parameters = operator.attrgetter("_parameters")
own_buffers: Callable[[torch.nn.Module], dict[str, torch.Tensor | None]]
own_buffers = operator.attrgetter("_buffers")
own_modules: Callable[[torch.nn.Module], dict[str, torch.nn.Module | None]]
own_modules = operator.attrgetter("_modules")
forward_pre_hooks: Callable[[torch.nn.Module], dict[int, Any]]
forward_pre_hooks = operator.attrgetter("_forward_pre_hooks")
"""What a module calls before its forward, the older `spectral_norm` among them."""

_PLAIN_DISPATCH = torch.Tensor.__torch_dispatch__


def dispatches_itself(tensor: torch.Tensor) -> bool:
    """Whether the tensor's class runs operators on its own (wrapper subclasses)."""
    return type(tensor).__torch_dispatch__ is not _PLAIN_DISPATCH


_ORDINARY = frozenset({torch.Tensor, torch.nn.Parameter})
# A class can only be met once its module is loaded, so nothing is imported to ask.
_TRACING = (
    ("torch._subclasses.fake_tensor", "FakeTensor"),
    ("torch._subclasses.functional_tensor", "FunctionalTensor"),
)
_DTENSOR = (("torch.distributed.tensor", "DTensor"), ("torch.distributed._tensor", "DTensor"))
_PENDING = (("torch.distributed._functional_collectives", "AsyncCollectiveTensor"),)
_PLACEMENTS = (
    "torch.distributed.tensor.placement_types",
    "torch.distributed._tensor.placement_types",  # torch 2.4
)
_SHARD = tuple((module, "Shard") for module in _PLACEMENTS)
_STRIDED_SHARD = tuple((module, "_StridedShard") for module in _PLACEMENTS)


def is_tracing_tensor(tensor: torch.Tensor) -> bool:
    """Whether the tensor stands for one in a traced program, with no values to write."""
    return type(tensor) not in _ORDINARY and _is_any(tensor, _TRACING)


def is_dtensor(tensor: torch.Tensor) -> bool:
    """Whether the tensor is a `torch.distributed.tensor.DTensor`."""
    return type(tensor) not in _ORDINARY and _is_any(tensor, _DTENSOR)


def _is_any(tensor: torch.Tensor, classes: tuple[tuple[str, str], ...]) -> bool:
    return isinstance(tensor, tuple(_loaded(classes)))


def _loaded(classes: tuple[tuple[str, str], ...]) -> list[Any]:
    """Those of the classes whose module is loaded and has them."""
    found = [getattr(sys.modules.get(module), name, None) for module, name in classes]
    return [each for each in found if each is not None]


def schema(operator: Any) -> Any:
    """Name and arguments of an operator of torch, and whether it writes any."""
    return operator._schema  # noqa: SLF001


def gradient_hooks(tensor: torch.Tensor) -> tuple[dict[int, Any] | None, dict[int, Any] | None]:
    """What is called with a gradient, and what once it is there; None where there never was any."""
    hooks: Any = tensor
    return hooks._backward_hooks, hooks._post_accumulate_grad_hooks  # noqa: SLF001


def is_zero_tensor(tensor: torch.Tensor) -> bool:
    """Whether the tensor is one of autograd's immutable zeros, which have no memory."""
    return bool(tensor._is_zerotensor())  # noqa: SLF001


# Where a rank's part of a DTensor lies. `DTensor.to_local` would do, but under grad mode it is a
# step of autograd, and of a parameter it is a new view, which dispatch modes see.


def local_tensor(dtensor: Any) -> torch.Tensor:
    """The memory of a DTensor on this rank, once what is still being received has come."""
    local: Any = dtensor._local_tensor  # noqa: SLF001
    if type(local) not in _ORDINARY and _is_any(local, _PENDING):
        local = local.wait()
    return cast("torch.Tensor", local)


def shard_factor(placement: Any) -> int | None:
    """Into how many blocks a placement cuts before it shards; None if it is no kind of Shard.

    1 is `Shard`; another number is `_StridedShard`, which FSDP2 makes over tensor parallelism.
    Classes derived from them may shard in another way and are none of them.
    """
    kind = type(placement)
    if kind in _loaded(_SHARD):
        return 1
    return int(placement.split_factor) if kind in _loaded(_STRIDED_SHARD) else None


_RELEASE = tuple(map(int, torch.__version__.split(".")[:2]))

strided_blocks = _RELEASE >= (2, 10)
"""Whether a `_StridedShard` splits each of its blocks alone; before, into chunks of one size.

The two differ where the number of chunks does not divide the size.
"""

hides_strides = (2, 10) <= _RELEASE < (2, 12)
"""Whether FSDP2 overlooks the `_StridedShard` of tensor parallelism that it shards, not `Shard`.

Its own placement is then an ordinary `Shard`, from which nobody can tell that it was applied last.
"""


def shard_order(dtensor: Any) -> tuple[int, ...] | None:
    """The mesh dimensions of a DTensor in the order in which they shard it.

    None where it is from left to right, as before torch 2.10 always, or said by strided shards,
    of which torch 2.10 has an order, too.
    """
    entries = getattr(dtensor._spec, "shard_order", None)  # noqa: SLF001
    if entries is None or all(list(dims) == sorted(dims) for _, dims in entries):
        return None
    if any((shard_factor(placement) or 1) > 1 for placement in dtensor.placements):
        return None
    return tuple(mesh_dim for _, dims in entries for mesh_dim in dims)
