"""The operator `torch.ops.winit_cuda.fill_`, by which torch sees a fill.

`torch.compile`, `torch.export`, fake tensors, dispatch modes and `torch.func` do not look into a
call of the core; they look at operators. This one takes any fill of `fills` by name. A call with
neither key nor generator draws its key when it runs, so a compiled function draws anew each time.
"""

from __future__ import annotations

from typing import Any

import torch

from . import dispatch
from .fills import FILLS
from .keys import MASK, Key

_NAME = "winit_cuda::fill_"
_SCHEMA = (
    "(Tensor(a!) tensor, str function, str fill, float[] numbers, int? seed, int? stream, "
    "Generator? generator) -> ()"
)


def _fill(
    tensor: torch.Tensor,
    function: str,
    fill: str,
    numbers: list[float],
    seed: int | None,
    stream: int | None,
    generator: torch.Generator | None,
) -> None:
    key = None if seed is None or stream is None else Key(seed & MASK, stream & MASK)
    dispatch.fill(FILLS[fill], function, tensor, tuple(numbers), generator, key)


def _fill_fake(*_: object) -> None:
    """Write nothing: a fake tensor has no values, and the checks ran before the operator."""


def _fill_batched(
    info: Any,
    in_dims: tuple[int | None, ...],
    tensor: torch.Tensor,
    function: str,
    fill: str,
    numbers: list[float],
    seed: int | None,
    stream: int | None,
    generator: torch.Generator | None,
) -> tuple[None, None]:
    """The rule for vmap: one key for each example, or one for all.

    With randomness="different" example j is filled as the j-th of that many calls; a call with a
    key, a fill that is not random, and randomness="same" fill all examples alike.
    """
    batch = in_dims[0]
    if batch is None:
        raise RuntimeError(f"{function}: the tensor must be one that vmap maps over")
    examples = tensor.unbind(batch)
    arguments = (function, fill, numbers, seed, stream, generator)
    if info.randomness == "error" and FILLS[fill].is_random and seed is None:
        raise RuntimeError(
            f'{function}: vmap(randomness="error") allows no random call without key'
        )
    if info.randomness == "different" and FILLS[fill].is_random and seed is None:
        for example in examples:
            torch.ops.winit_cuda.fill_.default(example, *arguments)
    elif examples:
        torch.ops.winit_cuda.fill_.default(examples[0], *arguments)
        for example in examples[1:]:
            example.copy_(examples[0])
    return None, None


operator = torch.library.custom_op(_NAME, _fill, mutates_args=("tensor",), schema=_SCHEMA)
operator.register_fake(_fill_fake)
if hasattr(operator, "register_vmap"):  # since torch 2.5
    operator.register_vmap(_fill_batched)
