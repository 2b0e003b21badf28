"""Initializers whose numbers the caller gives: uniform, normal, truncated normal, constants."""

from torch import Generator, Tensor
from torch.overrides import handle_torch_function

from .._core.torch_internals import has_torch_function
from .._dispatch import fixed
from .._dispatch.single import fill
from .._distributed.shard import Shard, Shards
from .._fills.constants import CONSTANT, ZEROS
from .._fills.elementwise import (
    NORMAL,
    TRUNC_NORMAL,
    UNIFORM,
)
from .._keys.keys import Key
from .part import global_shape, part


def uniform_(
    tensor: Tensor,
    a: float = 0.0,
    b: float = 1.0,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    """Fill `tensor` with values from the uniform distribution on [a, b), and return it.

    value = (a + b) / 2 + (b - a) v / 2^32, with v the element's 32-bit word as a signed integer.
    `b` is never returned, in no dtype. a == b gives `a`.

    Args:
        tensor: Any shape; float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2.
        a: The lower bound.
        b: The upper bound.
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
        ValueError: A bound is NaN or infinite or too large for the dtype, a > b, no value of the
            dtype lies in [a, b), or `tensor` is not the part that `shard` says or is a DTensor with
            Partial placements.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.uniform_(torch.empty(3, 5), -1, 1, key=winit.key(0))
        >>> bool((w >= -1).all() and (w < 1).all())
        True

    Paper:
        J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            uniform_, (tensor,), tensor, a=a, b=b, generator=generator, key=key, shard=shard
        )
    what = UNIFORM if shard is None else part(UNIFORM, "uniform_", tensor, shard)
    return fill(what, "uniform_", tensor, (a, b), generator, key)


def normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    r"""Fill `tensor` with values from the normal distribution N(mean, std^2), and return it.

    value = mean + std * Phi^-1(u), u = 1/2 + v / 2^32, with v the element's 32-bit word as a signed
    integer; the one word of u = 0 is taken for u = 2^-31.

    Args:
        tensor: Any shape; float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2.
        mean: The mean.
        std: The standard deviation, at least 0.
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
        ValueError: `mean` or `std` is NaN or infinite, std < 0, |mean| + 6.4 std is too large for
            the dtype, or `tensor` is not the part that `shard` says or is a DTensor with Partial
            placements.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.normal_(torch.empty(100, 100), std=0.02, key=winit.key(0))
        >>> round(w.std().item(), 3)
        0.02

    Paper:
        J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            normal_,
            (tensor,),
            tensor,
            mean=mean,
            std=std,
            generator=generator,
            key=key,
            shard=shard,
        )
    what = NORMAL if shard is None else part(NORMAL, "normal_", tensor, shard)
    return fill(what, "normal_", tensor, (mean, std), generator, key)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    r"""Fill `tensor` from the normal distribution truncated to [a, b], and return it.

    value = mean + std * Phi^-1(Phi(alpha) + u (Phi(beta) - Phi(alpha))), alpha = (a - mean) / std,
    beta = (b - mean) / std, with u = 1/2 + v / 2^32 and v the element's 32-bit word as a signed
    integer: one pass, nothing is drawn again, however far from the mean the interval is. `a` and
    `b` are values, not multiples of std. std == 0 gives the mean, moved into [a, b]; a == b gives
    `a`.

    Args:
        tensor: Any shape; float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2.
        mean: The mean of the distribution before truncation.
        std: Its standard deviation, at least 0.
        a: The smallest value; -inf for none.
        b: The largest value; inf for none. With a = mean and b = inf it is half-normal.
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
        ValueError: A number is NaN, mean or std is infinite, std < 0, a > b, values are too large
            for the dtype, no value of the dtype lies in [a, b], or `tensor` is not the part that
            `shard` says or is a DTensor with Partial placements.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.trunc_normal_(torch.empty(1000), std=0.02, a=-0.04, b=0.04, key=winit.key(0))
        >>> w.abs().max().item() <= 0.04
        True

    Paper:
        L. Devroye, "Non-Uniform Random Variate Generation", Springer, 1986, section II.2.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            trunc_normal_,
            (tensor,),
            tensor,
            mean=mean,
            std=std,
            a=a,
            b=b,
            generator=generator,
            key=key,
            shard=shard,
        )
    what = TRUNC_NORMAL if shard is None else part(TRUNC_NORMAL, "trunc_normal_", tensor, shard)
    return fill(what, "trunc_normal_", tensor, (mean, std, a, b), generator, key)


def constant_(tensor: Tensor, val: float, *, shard: Shard | Shards | None = None) -> Tensor:
    """Fill `tensor` with `val`, and return it.

    Args:
        tensor: Any shape, any dtype.
        val: A value of that dtype; a floating dtype rounds it, once.
        shard: The part of a larger tensor that `tensor` is; every part gets the same values. None
            for a DTensor.

    Raises:
        TypeError: The tensor is not dense, `val` is not a number, or `shard` is neither a Shard nor
            Shards.
        ValueError: The dtype cannot represent `val`: 1.5 or 300 in uint8, 1e39 in float32; or
            `tensor` is not the part that `shard` says or is a DTensor with Partial placements.
        RuntimeError: Elements of the tensor share memory.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.constant_(torch.empty(2), 0.5)
        tensor([0.5000, 0.5000])
    """
    if has_torch_function(tensor):
        return handle_torch_function(constant_, (tensor,), tensor, val=val, shard=shard)
    if shard is not None:
        global_shape("constant_", tensor, shard)
    return fixed.fill(CONSTANT, "constant_", tensor, (val,))


def ones_(tensor: Tensor, *, shard: Shard | Shards | None = None) -> Tensor:
    """Fill `tensor` with 1, and return it.

    Args:
        tensor: Any shape, any dtype.
        shard: The part of a larger tensor that `tensor` is; every part gets the same values. None
            for a DTensor.

    Raises:
        TypeError: The tensor is not dense, or `shard` is neither a Shard nor Shards.
        ValueError: `tensor` is not the part that `shard` says or is a DTensor with Partial
            placements.
        RuntimeError: Elements of the tensor share memory.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.ones_(torch.empty(2))
        tensor([1., 1.])
    """
    if has_torch_function(tensor):
        return handle_torch_function(ones_, (tensor,), tensor, shard=shard)
    if shard is not None:
        global_shape("ones_", tensor, shard)
    return fixed.fill(CONSTANT, "ones_", tensor, (1.0,))


def zeros_(tensor: Tensor, *, shard: Shard | Shards | None = None) -> Tensor:
    """Fill `tensor` with 0, and return it.

    Args:
        tensor: Any shape, any dtype.
        shard: The part of a larger tensor that `tensor` is; every part gets the same values. None
            for a DTensor.

    Raises:
        TypeError: The tensor is not dense, or `shard` is neither a Shard nor Shards.
        ValueError: `tensor` is not the part that `shard` says or is a DTensor with Partial
            placements.
        RuntimeError: Elements of the tensor share memory.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.zeros_(torch.empty(2))
        tensor([0., 0.])
    """
    if has_torch_function(tensor):
        return handle_torch_function(zeros_, (tensor,), tensor, shard=shard)
    if shard is not None:
        global_shape("zeros_", tensor, shard)
    return fixed.fill(ZEROS, "zeros_", tensor)
