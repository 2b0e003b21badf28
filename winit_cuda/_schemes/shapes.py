"""What the schemes ask of a shape: its dimensions, its fans, the matrices that it holds.

Of a part of a larger tensor the shape is that of the whole, here and everywhere.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .._core import checks, target
from .._core.checks import WrongValueError, unfit, wrong
from .._distributed.shard import Shard, Shards
from .part import global_shape

# A float counts the rows, and the zeros among them, up to here.
_LONGEST = 2**53


def whole_shape(function: str, tensor: Tensor, shard: Shard | Shards | None) -> Sequence[int]:
    """The shape of the whole tensor."""
    if shard is not None:
        return global_shape(function, tensor, shard)
    if not isinstance(tensor, torch.Tensor) or tensor.is_nested:  # that has no shape
        target.check(function, tensor)
    return tensor.shape


def check_dimensions(function: str, shape: Sequence[int], least: int, most: float) -> None:
    """Raise unless there are from `least` to `most` dimensions."""
    if least <= len(shape) <= most:
        return
    requirement = f"of {least} dimensions"
    if most == math.inf:
        requirement = f"of at least {least} dimensions"
    elif most != least:
        requirement = f"of {least} to {most} dimensions"
    raise unfit(function, "tensor", requirement, f"shape {tuple(shape)}", WrongValueError)


def fans(function: str, shape: Sequence[int]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of shape (out, in, *kernel)."""
    if len(shape) == 2:
        return shape[1], shape[0]
    if len(shape) < 2:
        requirement = "of at least two dimensions, to have fan_in and fan_out"
        raise unfit(function, "tensor", requirement, f"shape {tuple(shape)}", WrongValueError)
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def check_groups(function: str, outputs: int, groups: object, named: str) -> int:
    """Check the groups of a convolution with so many output channels."""
    count = checks.count(function, "groups", groups)
    if outputs % count:
        raise wrong(function, "groups", f"a divisor of {named} = {outputs}", count)
    return count


def check_matrices(
    function: str,
    shape: Sequence[int],
    batch_dims: object,
    chunks: object,
    shard: Shard | Shards | None = None,
) -> tuple[int, int]:
    """Check how a tensor is divided into matrices, and return batch_dims and chunks."""
    most = len(shape) - 2
    count = checks.integer(function, "batch_dims", batch_dims)
    if not 0 <= count <= most:
        requirement = f"in [0, {most}], as a matrix has at least 2 of {most + 2} dimensions"
        raise wrong(function, "batch_dims", requirement, count)
    parts = checks.count(function, "chunks", chunks)
    rows, *columns = shape[count:]
    if shard is not None:
        check_countable(function, rows, math.prod(columns), shape)
    if rows % parts:
        raise wrong(function, "chunks", f"a divisor of the number of rows, {rows}", parts)
    return count, parts


def check_countable(function: str, rows: int, columns: int, shape: Sequence[int]) -> None:
    """Raise where a matrix of a shard is longer than floats can count."""
    if rows > _LONGEST or columns > _LONGEST:
        requirement = "of matrices with at most 2**53 rows and columns"
        raise wrong(function, "shard.global_shape", requirement, tuple(shape))


def check_delta(function: str, shape: Sequence[int]) -> None:
    """Raise where the center of a convolution cannot keep the length of all inputs."""
    outputs, inputs = shape[:2]
    if inputs > outputs and 0 not in shape:
        requirement = "of no more input than output channels, in <= out"
        received = f"shape {tuple(shape)}"
        raise unfit(function, "tensor", requirement, received, WrongValueError)
