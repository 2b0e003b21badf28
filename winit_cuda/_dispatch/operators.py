"""The operator `torch.ops.winit_cuda.fill_`, by which torch sees a fill.

`torch.compile`, `torch.export`, `torch.jit.trace`, fake tensors, dispatch modes, forward-mode AD
and `torch.func` do not look into a call of the core; they look at operators. This one takes any
random fill by name. A call with neither key nor generator draws its key when it runs, so a compiled
function draws anew each time.

It is an operator in place, as torch's own fills are: it has no derivative, it sets tangents to 0,
and it counts the version up once it has written.
"""

from __future__ import annotations

from typing import Any

import torch

from .._core import target
from .._core.checks import unfit
from .._core.torch_internals import below_autograd, forward_ad
from .._fills.structured import FILLS
from .._keys.keys import MASK, Key
from . import single

_NAME = "winit_cuda::fill_"
_SCHEMA = (
    "fill_(Tensor(a!) tensor, str function, str fill, float first, float second, float third, "
    "float fourth, SymInt[] structure, SymInt? seed, SymInt? stream, Generator? generator) -> ()"
)


def _fill(
    tensor: torch.Tensor,
    function: str,
    fill: str,
    first: float,
    second: float,
    third: float,
    fourth: float,
    structure: list[int],
    seed: int | None,
    stream: int | None,
    generator: torch.Generator | None,
) -> None:
    key = None if seed is None or stream is None else Key(seed & MASK, stream & MASK)
    what = FILLS[fill]
    if structure:
        what = what.structured(tuple(structure))
    numbers = (first, second, third, fourth)[: what.number_count]
    numbers = what.prepared(function, tensor.dtype, numbers)
    single.write(what, function, tensor, numbers, generator, key)


def _fill_in_autograd(tensor: torch.Tensor, *rest: Any) -> None:
    """Set the tangent to 0, where there may be one, and go on below autograd."""
    if forward_ad._current_level >= 0:  # noqa: SLF001
        with torch.no_grad():
            tensor.zero_()
    with below_autograd():
        torch.ops.winit_cuda.fill_.default(tensor, *rest)


def _fill_fake(*_: object) -> None:
    """Write nothing: a fake tensor has no values, and the checks ran before the operator."""


def _fill_batched(
    info: Any,
    in_dims: tuple[int | None, ...],
    tensor: torch.Tensor,
    function: str,
    fill: str,
    *rest: Any,
) -> tuple[None, None]:
    """The rule for vmap: one key for each example, or one for all.

    With randomness="different" example j is filled as by the j-th of that many calls; with
    randomness="same", with a key and where nothing is random, all examples are filled alike.
    """
    batch, seed = in_dims[0], rest[5]
    if batch is None:
        raise RuntimeError(f"{function}: the tensor must be one that vmap maps over")
    if target.overlaps(tensor.shape, tensor.stride()):
        requirement = "without elements that share memory (clone it first)"
        received = f"a batch of shape {tuple(tensor.shape)} with strides {tensor.stride()}"
        raise unfit(function, "tensor", requirement, received, RuntimeError)
    draws = seed is None
    if draws and info.randomness == "error":
        raise RuntimeError(f'{function}: vmap(randomness="error") allows no call without key')
    examples = tensor.unbind(batch)
    if draws and info.randomness == "different":
        for example in examples:
            torch.ops.winit_cuda.fill_.default(example, function, fill, *rest)
    elif examples:
        torch.ops.winit_cuda.fill_.default(examples[0], function, fill, *rest)
        for example in examples[1:]:
            example.copy_(examples[0])
    return None, None


# (torch's own types of this are incomplete.)
library: Any = torch.library.Library("winit_cuda", "FRAGMENT")  # type: ignore[no-untyped-call]
"""Holds what is registered."""

library.define(_SCHEMA, tags=(torch.Tag.nondeterministic_seeded, torch.Tag.pt2_compliant_tag))
library.impl("fill_", _fill, "CompositeExplicitAutograd")
library.impl("fill_", _fill_in_autograd, "Autograd")
torch.library.register_fake(_NAME, _fill_fake, lib=library)
if hasattr(torch.library, "register_vmap"):  # since torch 2.5
    torch.library.register_vmap(_NAME, _fill_batched, lib=library)
