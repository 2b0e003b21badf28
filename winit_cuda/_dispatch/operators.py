"""The operators by which torch sees a fill: `torch.ops.winit_cuda.fill_`, and `filled`.

`torch.compile`, `torch.export`, `torch.jit.trace`, fake tensors, dispatch modes, forward-mode AD
and `torch.func` do not look into a call of the core; they look at operators. These take any random
fill by name.

`fill_` writes in place, as torch's own fills do: it has no derivative, it sets tangents to 0, and
it counts the version up once it has written. `filled` returns a new tensor instead, for
`torch.func.functionalize`, which takes no operator in place but torch's.

The key of a call without one is drawn by an operator of torch's, and handed over in a tensor: so a
compiled function draws anew each time, and what is computed twice, as by checkpointing, gets the
same key twice.
"""

from __future__ import annotations

from typing import Any

import torch

from .._core import target
from .._core.torch_internals import below_autograd, forward_ad, is_dtensor, serves_vmap
from .._distributed.dtensor import written
from .._fills.constants import FixedFill
from .._fills.structured import FILLS
from .._keys.generators import is_capturing, is_seeded_apart
from .._keys.keys import MASK, Key
from . import fixed, single

_ARGUMENTS = (
    "str function, str fill, Scalar first, float second, float third, float fourth, "
    "SymInt[] structure, SymInt? seed, SymInt? stream, Tensor? words, Generator? generator"
)
_WORDS = 8  # where they are among these, behind the function


def _fill(
    tensor: torch.Tensor,
    function: str,
    fill: str,
    first: complex,
    second: float,
    third: float,
    fourth: float,
    structure: list[int],
    seed: int | None,
    stream: int | None,
    words: torch.Tensor | None,
    generator: torch.Generator | None,
) -> None:
    what = FILLS[fill]
    if structure:
        what = what.structured(tuple(structure))
    numbers = (first, second, third, fourth)[: what.number_count]
    if isinstance(what, FixedFill):
        fixed.fill(what, function, tensor, numbers)
        return
    key = None
    if seed is not None and stream is not None:
        key = Key(seed & MASK, stream & MASK)
    elif words is not None and generator is None and _are_to_be_used(tensor, what.shard is None):
        key = Key(*(word & MASK for word in words.tolist()))
    numbers = what.prepared(function, tensor.dtype, numbers)
    single.write(what, function, tensor, numbers, generator, key)


def _are_to_be_used(tensor: torch.Tensor, is_whole: bool) -> bool:
    """Whether words of the CPU's generator rule: the core fills, and no CUDA generator does."""
    if target.problem(tensor) is not None:
        return False
    if not tensor.is_cuda:
        return True
    device = tensor.get_device()
    return not is_capturing(device) and not (is_whole and is_seeded_apart(device))


def _fill_in_autograd(tensor: torch.Tensor, *arguments: Any) -> None:
    """Set the tangent to 0, where there may be one, and go on below autograd.

    Of a DTensor what goes on is this rank's part, whose place in the whole is added.
    """
    if forward_ad._current_level >= 0:  # noqa: SLF001
        with torch.no_grad():
            tensor.zero_()
    if not is_dtensor(tensor):
        with below_autograd():
            torch.ops.winit_cuda.fill_.default(tensor, *arguments)
        return
    function, fill, first, second, third, fourth, structure, *key = arguments
    what = FILLS[fill].structured(tuple(structure)) if structure else FILLS[fill]
    with written(function, tensor) as (local, shard), below_autograd():
        part = what.part(shard).structure
        numbers = (first, second, third, fourth)
        torch.ops.winit_cuda.fill_.default(local, function, fill, *numbers, part, *key)


def _filled(tensor: torch.Tensor, *arguments: Any) -> torch.Tensor:
    values = torch.empty_like(tensor)
    torch.ops.winit_cuda.fill_.default(values, *arguments)
    return values


def _fill_fake(*_: object) -> None:
    """Write nothing: a fake tensor has no values, and the checks ran before the operator."""


def _filled_fake(tensor: torch.Tensor, *_: object) -> torch.Tensor:
    return torch.empty_like(tensor)


def _fill_batched(
    info: Any,
    in_dims: tuple[int | None, ...],
    tensor: torch.Tensor,
    function: str,
    *arguments: Any,
) -> tuple[None, None]:
    """The rule for vmap: one key for each example, or one for all.

    With randomness="different" example j is filled as by the j-th of that many calls; with
    randomness="same", with a key and where nothing is random, all examples are filled alike.
    """
    if not serves_vmap:
        raise RuntimeError(f"{function}: inside torch.func.vmap this needs torch 2.7 or later")
    batch, seed = in_dims[0], arguments[6]
    if batch is None:
        raise RuntimeError(f"{function}: the tensor must be one that vmap maps over")
    draws = seed is None
    if draws and info.randomness == "error":
        raise RuntimeError(f'{function}: vmap(randomness="error") allows no call without key')
    examples = tensor.unbind(batch)
    for i, example in enumerate(examples):
        if i == 0:
            single.call_operator(example, function, *arguments)
        elif draws and info.randomness == "different":
            single.call_operator(
                example, function, *arguments[:_WORDS], None, *arguments[_WORDS + 1 :]
            )
        else:
            example.copy_(examples[0])
    return None, None


def _filled_batched(
    info: Any, in_dims: tuple[int | None, ...], tensor: torch.Tensor, *arguments: Any
) -> tuple[torch.Tensor, int | None]:
    values = torch.empty_like(tensor)
    _fill_batched(info, in_dims, values, *arguments)
    return values, in_dims[0]


# (torch's own types of this are incomplete.)
library: Any = torch.library.Library("winit_cuda", "FRAGMENT")  # type: ignore[no-untyped-call]
"""Holds what is registered."""

_TAGS = (torch.Tag.nondeterministic_seeded, torch.Tag.pt2_compliant_tag)
library.define(f"fill_(Tensor(a!) tensor, {_ARGUMENTS}) -> ()", tags=_TAGS)
library.define(f"filled(Tensor tensor, {_ARGUMENTS}) -> Tensor", tags=_TAGS)
library.impl("fill_", _fill, "CompositeExplicitAutograd")
library.impl("fill_", _fill_in_autograd, "Autograd")
library.impl("filled", _filled, "CompositeExplicitAutograd")
for _name, _fake, _batched in (
    ("winit_cuda::fill_", _fill_fake, _fill_batched),
    ("winit_cuda::filled", _filled_fake, _filled_batched),
):
    torch.library.register_fake(_name, _fake, lib=library)
    for _lazy in ("Conjugate", "Negative"):  # a fill sees to these views itself
        library.impl(_name, torch.library.fallthrough_kernel, _lazy)
    if hasattr(torch.library, "register_vmap"):  # since torch 2.5
        torch.library.register_vmap(_name, _batched, lib=library)
