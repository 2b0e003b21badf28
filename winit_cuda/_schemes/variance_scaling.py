"""Initializers whose numbers follow from the fans of a layer: Xavier (Glorot) and Kaiming (He).

A weight of shape (out, in, *kernel) has fan_in = in * prod(kernel) and fan_out = out *
prod(kernel). Scale and bound are computed in float64, operation by operation as in
`torch.nn.init`, so that they are the same numbers.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function

from .._core import checks, target
from .._core.checks import warn, wrong
from .._core.subnormals import SMALLEST, kept
from .._core.torch_internals import has_torch_function
from .._dispatch.single import fill, negate
from .._distributed.shard import Shard, Shards
from .._fills.elementwise import NORMAL, UNIFORM
from .._keys.keys import Key
from .gain import Nonlinearity, gain_of
from .part import global_shape, part
from .shapes import fans

FanMode = Literal["fan_in", "fan_out"]
_INF = math.inf
_SQRT_3 = math.sqrt(3.0)
# torch's own sentence, which users filter by.
_NO_ELEMENTS = "Initializing zero-element tensors is a no-op"


def xavier_uniform_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    """Fill `tensor` from the uniform distribution on [-bound, bound), and return it.

    bound = gain * sqrt(6 / (fan_in + fan_out)). A negative gain flips the signs.

    Args:
        tensor: At least two dimensions, a floating dtype; see `uniform_`.
        gain: A factor, see `calculate_gain`; 0 gives zeros.
        generator: Where the key comes from; None is torch's default CPU generator. Ranks that fill
            parts of one tensor must be seeded alike, which cannot be checked; with `key` they need
            not be.
        key: The key itself, instead of a generator.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has.

    Raises:
        TypeError: The tensor is not dense or not of a floating dtype, or `shard` is neither a Shard
            nor Shards.
        ValueError: The tensor has fewer than two dimensions, `gain` is NaN or infinite, or `tensor`
            is not the part that `shard` says or is a DTensor with Partial placements.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.xavier_uniform_(torch.empty(2, 4), key=winit.key(0))
        >>> w.abs().max().item() <= 1
        True

    Paper:
        X. Glorot & Y. Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            xavier_uniform_, (tensor,), tensor, gain=gain, generator=generator, key=key, shard=shard
        )
    if not SMALLEST and not is_dynamo_compiling():
        with kept():
            return xavier_uniform_(tensor, gain, generator, key=key, shard=shard)
    bound = _SQRT_3 * _xavier_std("xavier_uniform_", tensor, gain, shard)
    size = abs(bound)
    what = UNIFORM if shard is None else part(UNIFORM, "xavier_uniform_", tensor, shard)
    fill(what, "xavier_uniform_", tensor, (0.0 - size, size), generator, key)
    return negate(tensor) if bound < 0 else tensor


def xavier_normal_(
    tensor: Tensor,
    gain: float = 1.0,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    """Fill `tensor` from the normal distribution N(0, std^2), and return it.

    std = gain * sqrt(2 / (fan_in + fan_out)). A negative gain flips the signs.

    Args:
        tensor: At least two dimensions, a floating dtype; see `normal_`.
        gain: A factor, see `calculate_gain`; 0 gives zeros.
        generator: Where the key comes from; None is torch's default CPU generator. Ranks that fill
            parts of one tensor must be seeded alike, which cannot be checked; with `key` they need
            not be.
        key: The key itself, instead of a generator.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has.

    Raises:
        TypeError: The tensor is not dense or not of a floating dtype, or `shard` is neither a Shard
            nor Shards.
        ValueError: The tensor has fewer than two dimensions, `gain` is NaN or infinite, or `tensor`
            is not the part that `shard` says or is a DTensor with Partial placements.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> k = winit.key(0)
        >>> w = winit.xavier_normal_(torch.empty(300, 100), key=k)
        >>> round(w.std().item(), 2)
        0.07
        >>> below = winit.Shard(global_shape=(300, 100), offsets=(150, 0))
        >>> local = winit.xavier_normal_(torch.empty(150, 100), key=k, shard=below)
        >>> torch.equal(local, w[150:])
        True

    Paper:
        X. Glorot & Y. Bengio, "Understanding the difficulty of training deep feedforward neural
        networks", AISTATS 2010.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            xavier_normal_, (tensor,), tensor, gain=gain, generator=generator, key=key, shard=shard
        )
    if not SMALLEST and not is_dynamo_compiling():
        with kept():
            return xavier_normal_(tensor, gain, generator, key=key, shard=shard)
    std = _xavier_std("xavier_normal_", tensor, gain, shard)
    what = NORMAL if shard is None else part(NORMAL, "xavier_normal_", tensor, shard)
    fill(what, "xavier_normal_", tensor, (0.0, abs(std)), generator, key)
    return negate(tensor) if std < 0 else tensor


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: FanMode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    """Fill `tensor` from the uniform distribution on [-bound, bound), and return it.

    bound = gain * sqrt(3 / fan), with the fan that `mode` names and the gain of the nonlinearity. A
    tensor without elements is left as it is, with a warning.

    Args:
        tensor: At least two dimensions, a floating dtype; see `uniform_`. The shape is (out, in,
            *kernel): for a weight used as x @ w pass w.T.
        a: The negative slope of the nonlinearity, used with "leaky_relu".
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: Its name in `torch.nn.functional`, see `calculate_gain`.
        generator: Where the key comes from; None is torch's default CPU generator. Ranks that fill
            parts of one tensor must be seeded alike, which cannot be checked; with `key` they need
            not be.
        key: The key itself, instead of a generator.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has.

    Raises:
        TypeError: The tensor is not dense or not of a floating dtype, or `shard` is neither a Shard
            nor Shards.
        ValueError: The tensor has fewer than two dimensions, the mode or nonlinearity is unknown,
            `a` is not a finite number, or `tensor` is not the part that `shard` says or is a
            DTensor with Partial placements.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.kaiming_uniform_(torch.empty(5, 6), nonlinearity="relu", key=winit.key(0))
        >>> w.abs().max().item() <= 1
        True

    Paper:
        K. He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification", ICCV 2015.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            kaiming_uniform_,
            (tensor,),
            tensor,
            a=a,
            mode=mode,
            nonlinearity=nonlinearity,
            generator=generator,
            key=key,
            shard=shard,
        )
    std = _kaiming_std("kaiming_uniform_", tensor, shard, a, mode, nonlinearity)
    if std is None:
        warn(_NO_ELEMENTS)
        return tensor
    bound = _SQRT_3 * std
    what = UNIFORM if shard is None else part(UNIFORM, "kaiming_uniform_", tensor, shard)
    return fill(what, "kaiming_uniform_", tensor, (0.0 - bound, bound), generator, key)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: FanMode = "fan_in",
    nonlinearity: Nonlinearity = "leaky_relu",
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    """Fill `tensor` from the normal distribution N(0, std^2), and return it.

    std = gain / sqrt(fan), with the fan that `mode` names and the gain of the nonlinearity. A
    tensor without elements is left as it is, with a warning.

    Args:
        tensor: At least two dimensions, a floating dtype; see `normal_`. The shape is (out, in,
            *kernel): for a weight used as x @ w pass w.T.
        a: The negative slope of the nonlinearity, used with "leaky_relu".
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: Its name in `torch.nn.functional`, see `calculate_gain`.
        generator: Where the key comes from; None is torch's default CPU generator. Ranks that fill
            parts of one tensor must be seeded alike, which cannot be checked; with `key` they need
            not be.
        key: The key itself, instead of a generator.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has.

    Raises:
        TypeError: The tensor is not dense or not of a floating dtype, or `shard` is neither a Shard
            nor Shards.
        ValueError: The tensor has fewer than two dimensions, the mode or nonlinearity is unknown,
            `a` is not a finite number, or `tensor` is not the part that `shard` says or is a
            DTensor with Partial placements.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.kaiming_normal_(torch.empty(300, 200), nonlinearity="relu", key=winit.key(0))
        >>> round(w.std().item(), 2)
        0.1

    Paper:
        K. He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet
        classification", ICCV 2015.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            kaiming_normal_,
            (tensor,),
            tensor,
            a=a,
            mode=mode,
            nonlinearity=nonlinearity,
            generator=generator,
            key=key,
            shard=shard,
        )
    std = _kaiming_std("kaiming_normal_", tensor, shard, a, mode, nonlinearity)
    if std is None:
        warn(_NO_ELEMENTS)
        return tensor
    what = NORMAL if shard is None else part(NORMAL, "kaiming_normal_", tensor, shard)
    return fill(what, "kaiming_normal_", tensor, (0.0, std), generator, key)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Return (fan_in, fan_out); not public in torch either, but there for those who call it."""
    return _fans("_calculate_fan_in_and_fan_out", tensor)


def _calculate_correct_fan(tensor: Tensor, mode: FanMode) -> int:
    """Return the fan that `mode` names; as above."""
    function = "_calculate_correct_fan"
    return _fans(function, tensor)[fan_mode(function, mode) == "fan_out"]


def fan_mode(function: str, mode: str) -> str:
    """The mode in lower case."""
    if type(mode) is str and (mode == "fan_in" or mode == "fan_out"):
        return mode
    lower = mode.lower() if isinstance(mode, str) else ""
    if lower not in ("fan_in", "fan_out"):
        raise wrong(function, "mode", "'fan_in' or 'fan_out'", mode)
    return lower


def _fans(function: str, tensor: Tensor) -> tuple[int, int]:
    """Return (fan_in, fan_out)."""
    try:
        shape = tensor.shape
    except (AttributeError, RuntimeError):  # no tensor, or a nested one
        target.check(function, tensor)
        raise
    return fans(function, shape)


def _whole_shape(function: str, tensor: Tensor, shard: Shard | Shards | None) -> Sequence[int]:
    """The shape of the tensor, where it is a part of another that of the whole."""
    if shard is not None:
        return global_shape(function, tensor, shard)
    if type(tensor) is not torch.Tensor and type(tensor) is not torch.nn.Parameter:
        target.check(function, tensor)
    try:
        return tensor.shape
    except RuntimeError:  # a nested tensor has none
        target.check(function, tensor)
        raise


def _xavier_std(function: str, tensor: Tensor, gain: float, shard: Shard | Shards | None) -> float:
    shape = _whole_shape(function, tensor, shard)
    if not (type(gain) is float and -_INF < gain < _INF):
        gain = checks.finite(function, "gain", gain)
    fan_in, fan_out = fans(function, shape)
    return xavier_std(gain, fan_in, fan_out)


def xavier_std(gain: float, fan_in: int, fan_out: int) -> float:
    """Gain * sqrt(2 / (fan_in + fan_out))."""
    both = fan_in + fan_out
    return gain * math.sqrt(2.0 / float(both)) if both else 0.0


def _kaiming_std(
    function: str,
    tensor: Tensor,
    shard: Shard | Shards | None,
    a: float,
    mode: str,
    nonlinearity: str,
) -> float | None:
    """Return the standard deviation, or None where the whole tensor has no elements."""
    shape = _whole_shape(function, tensor, shard)
    if tensor.numel() == 0 if shard is None else 0 in shape:
        return None
    mode = fan_mode(function, mode)
    return kaiming_std(function, fans(function, shape), a, mode, nonlinearity)


def kaiming_std(
    function: str, fan_in_and_out: tuple[int, int], a: float, mode: str, nonlinearity: str
) -> float:
    """Gain / sqrt(fan), of the fan that `mode` names."""
    fan = fan_in_and_out[mode == "fan_out"]
    return gain_of(function, "a", nonlinearity, a) / math.sqrt(fan)
