"""The operator `torch.ops.winit_cuda.fill_`, by which torch sees a fill.

`torch.compile`, `torch.export`, fake tensors, dispatch modes and `torch.func` do not look into a
call of the core; they look at operators. This one takes any random fill by name. A call with
neither key nor generator draws its key when it runs, so a compiled function draws anew each time.
"""

from __future__ import annotations

from typing import Any

import torch

from .._fills.structured import FILLS
from .._keys.keys import MASK, Key
from . import single

_NAME = "winit_cuda::fill_"
_SCHEMA = (
    "(Tensor(a!) tensor, str function, str fill, float first, float second, float third, "
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
    single.fill(what, function, tensor, numbers, generator, key)


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


operator = torch.library.custom_op(_NAME, _fill, mutates_args=("tensor",), schema=_SCHEMA)
operator.register_fake(_fill_fake)
if hasattr(operator, "register_vmap"):  # since torch 2.5
    operator.register_vmap(_fill_batched)
