"""Initializers that give a matrix or a convolution its structure: identity, sparse, orthogonal."""

import math

from torch import Generator, Tensor
from torch.overrides import handle_torch_function

from .._core.checks import wrong
from .._core.torch_internals import has_torch_function, is_dtensor
from .._dispatch import fixed
from .._dispatch.single import fill, is_seen_by_torch
from .._distributed.shard import Shard, Shards
from .._fills.constants import DIRAC, EYE
from .._fills.structured import DELTA_ORTHOGONAL, ORTHOGONAL, SPARSE, OrthogonalFill
from .._keys import generators
from .._keys.keys import Key
from .part import part
from .shapes import (
    check_countable,
    check_delta,
    check_dimensions,
    check_groups,
    check_matrices,
    whole_shape,
)


def eye_(tensor: Tensor, *, shard: Shard | Shards | None = None) -> Tensor:
    """Fill a matrix with the identity, and return it.

    w[i, j] = 1 where i == j, else 0: a linear layer keeps as many inputs as it can.

    Args:
        tensor: Shape (rows, columns), any dtype.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has.

    Raises:
        TypeError: The tensor is not dense, or `shard` is neither a Shard nor Shards.
        ValueError: The tensor does not have two dimensions, or `tensor` is not the part that
            `shard` says or is a DTensor with Partial placements.
        RuntimeError: Elements of the tensor share memory.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.eye_(torch.empty(2, 3))
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    if has_torch_function(tensor):
        return handle_torch_function(eye_, (tensor,), tensor, shard=shard)
    check_dimensions("eye_", whole_shape("eye_", tensor, shard), 2, 2)
    what = EYE if shard is None else EYE.part(shard)
    return fixed.fill(what, "eye_", tensor)


def dirac_(tensor: Tensor, groups: int = 1, *, shard: Shard | Shards | None = None) -> Tensor:
    """Fill the weight of a convolution with the Dirac delta, and return it.

    With out = groups * m, w[g m + d, d, center of the kernel] = 1 for d < min(m, in), else 0: each
    group of output channels keeps as many input channels as it can.

    Args:
        tensor: Shape (out, in, *kernel) with a kernel of one to three dimensions, any dtype.
        groups: Groups of the convolution, a divisor of `out`.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has.

    Raises:
        TypeError: The tensor is not dense, `groups` is not an integer, or `shard` is neither a
            Shard nor Shards.
        ValueError: The tensor does not have three to five dimensions, `groups` is less than 1 or
            does not divide `out`, or `tensor` is not the part that `shard` says or is a DTensor
            with Partial placements.
        RuntimeError: Elements of the tensor share memory.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.dirac_(torch.empty(2, 2, 3))
        >>> x = torch.tensor([[[1., 2., 3.], [4., 5., 6.]]])
        >>> torch.equal(torch.nn.functional.conv1d(x, w, padding=1), x)
        True

    Paper:
        S. Zagoruyko & N. Komodakis, "DiracNets: training very deep neural networks without skip
        connections", 2017.
    """
    if has_torch_function(tensor):
        return handle_torch_function(dirac_, (tensor,), tensor, groups=groups, shard=shard)
    shape = whole_shape("dirac_", tensor, shard)
    check_dimensions("dirac_", shape, 3, 5)
    named = "tensor.shape[0]" if shard is None else "shard.global_shape[0]"
    groups = check_groups("dirac_", shape[0], groups, named)
    what = DIRAC if shard is None else DIRAC.part(shard)
    return fixed.fill(what, "dirac_", tensor, (groups,))


def orthogonal_(
    tensor: Tensor,
    gain: float = 1,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    batch_dims: int = 0,
    chunks: int = 1,
    shard: Shard | Shards | None = None,
) -> Tensor:
    """Fill `tensor` with gain times a random (semi-)orthogonal matrix, or several, and return it.

    The tensor is a matrix of shape[0] rows and the product of the other sizes columns:

        w w^T = gain^2 I where it is wide,    w^T w = gain^2 I where it is tall,

    with the Haar distribution: that of the first rows or columns of a uniformly random orthogonal
    matrix. Values between devices agree to rounding, within 1e-6 times gain for float32.

    Several matrices are each orthogonal by itself, and independent: matrix j, in row-major order of
    batch and chunk, is the one that the key `fold_in(key, j)` gives alone. The recurrent weights of
    an LSTM have one for each gate, `chunks=4`, those of a GRU `chunks=3`, a stack of experts or
    heads has `batch_dims=1`.

    Args:
        tensor: At least two dimensions; float64, float32, float16, bfloat16, float8_e4m3fn or
            float8_e5m2, in any memory layout. It is computed in float32 or float64 and rounded.
        gain: A factor, see `calculate_gain`.
        generator: Where the key comes from; None is torch's default CPU generator. Ranks that fill
            parts of one tensor must be seeded alike, which cannot be checked; with `key` they need
            not be.
        key: The key itself, instead of a generator.
        batch_dims: How many leading dimensions number matrices; at least two others are left.
        chunks: Into how many matrices the rows are cut, a divisor of their number.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has. Equal to rounding.

    Raises:
        TypeError: The tensor is not dense, or not of a floating dtype, `batch_dims` or `chunks` is
            not an integer, or `shard` is neither a Shard nor Shards.
        ValueError: The tensor has fewer than batch_dims + 2 dimensions, `gain` is NaN or infinite,
            `chunks` does not divide the rows, `tensor` is not the part that `shard` says or is a
            DTensor with Partial placements, or a matrix of the shard has more than 2**53 rows or
            columns.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, ATen
            would fill the tensor though a key or a shard is given or it is a DTensor, or a shard of
            several matrices gets no key while a CUDA graph is captured.

    Example:
        >>> import torch, winit_cuda as winit
        >>> k = winit.key(0)
        >>> w = winit.orthogonal_(torch.empty(3, 5), key=k)
        >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-6)
        True
        >>> weight_hh = winit.orthogonal_(torch.empty(4 * 8, 8), key=k, chunks=4)
        >>> second = winit.orthogonal_(torch.empty(8, 8), key=winit.fold_in(k, 1))
        >>> torch.allclose(weight_hh[8:16], second, atol=1e-6)
        True
        >>> columns = winit.Shard(global_shape=(3, 5), offsets=(0, 2))
        >>> local = winit.orthogonal_(torch.empty(3, 2), key=k, shard=columns)
        >>> torch.allclose(local, w[:, 2:4], atol=1e-6)
        True

    Papers:
        A. M. Saxe, J. L. McClelland & S. Ganguli, "Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks", ICLR 2014.
        G. W. Stewart, "The efficient generation of random orthogonal matrices with an application
        to condition estimators", SIAM J. Numer. Anal. 17(3), 1980.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            orthogonal_,
            (tensor,),
            tensor,
            gain=gain,
            generator=generator,
            key=key,
            batch_dims=batch_dims,
            chunks=chunks,
            shard=shard,
        )
    shape = whole_shape("orthogonal_", tensor, shard)
    check_dimensions("orthogonal_", shape, 2, math.inf)
    what = ORTHOGONAL
    is_default = type(batch_dims) is int and type(chunks) is int and batch_dims == 0 and chunks == 1
    if shard is not None or not is_default:
        batch_dims, chunks = check_matrices("orthogonal_", shape, batch_dims, chunks, shard)
        is_part = shard is not None or is_dtensor(tensor)
        if is_part and key is None and (batch_dims or chunks > 1):
            _check_capture(tensor)
        what = OrthogonalFill(batch_dims, chunks, shard)
    return fill(what, "orthogonal_", tensor, (gain,), generator, key)


def delta_orthogonal_(
    tensor: Tensor,
    gain: float = 1,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    """Fill the weight of a convolution with an orthogonal matrix at its center, and return it.

    w[:, :, center of the kernel] = gain Q, all else 0, where Q, of shape (out, in), is what
    `orthogonal_` gives with the same key: a layer that keeps the length of every input to it, up to
    the borders, and trains however deep the network is. The center is size // 2, as in `dirac_`.

    Args:
        tensor: Shape (out, in, *kernel) with in <= out and a kernel of one to three dimensions, of
            the dtypes that `orthogonal_` takes.
        gain: A factor, see `calculate_gain`.
        generator: Where the key comes from; None is torch's default CPU generator. Ranks that fill
            parts of one tensor must be seeded alike, which cannot be checked; with `key` they need
            not be.
        key: The key itself, instead of a generator.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has. Equal to rounding.

    Raises:
        TypeError: The tensor is not dense or not of a floating dtype, or `shard` is neither a Shard
            nor Shards.
        ValueError: The tensor does not have three to five dimensions, in > out, `gain` is NaN or
            infinite, or `tensor` is not the part that `shard` says or is a DTensor with Partial
            placements.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.delta_orthogonal_(torch.empty(6, 4, 3), key=winit.key(0))
        >>> x = torch.ones(1, 4, 10)
        >>> y = torch.nn.functional.conv1d(x, w, padding=1)
        >>> torch.allclose(y.norm(dim=1), x.norm(dim=1))
        True

    Paper:
        L. Xiao, Y. Bahri, J. Sohl-Dickstein, S. S. Schoenholz & J. Pennington, "Dynamical isometry
        and a mean field theory of CNNs: how to train 10,000-layer vanilla convolutional neural
        networks", ICML 2018.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            delta_orthogonal_,
            (tensor,),
            tensor,
            gain=gain,
            generator=generator,
            key=key,
            shard=shard,
        )
    shape = whole_shape("delta_orthogonal_", tensor, shard)
    check_dimensions("delta_orthogonal_", shape, 3, 5)
    check_delta("delta_orthogonal_", shape)
    what = DELTA_ORTHOGONAL
    if shard is not None:
        check_countable("delta_orthogonal_", shape[0], shape[1], shape)
        what = part(DELTA_ORTHOGONAL, "delta_orthogonal_", tensor, shard)
    return fill(what, "delta_orthogonal_", tensor, (gain,), generator, key)


def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
    shard: Shard | Shards | None = None,
) -> Tensor:
    """Fill a matrix with normal values and zeros, and return it.

    In each column ceil(sparsity * rows) elements, every choice of them equally likely, are 0; the
    others are from N(0, std^2). The key, or the generator, decides both. Of a shard the columns are
    those of the whole matrix: w[i, j] = 0 where (word, i) is among the smallest of column j.

    Args:
        tensor: Shape (rows, columns); float64, float32, float16, bfloat16, float8_e4m3fn or
            float8_e5m2.
        sparsity: The fraction of zeros in a column, in [0, 1].
        std: The standard deviation of the other values, at least 0.
        generator: Where the key comes from; None is torch's default CPU generator. Ranks that fill
            parts of one tensor must be seeded alike, which cannot be checked; with `key` they need
            not be.
        key: The key itself, instead of a generator.
        shard: The part of a larger tensor that `tensor` is, which gets the values of that part of
            the whole; see `Shard` and `Shards`. None for a DTensor, whose placements say which part
            each rank has.

    Raises:
        TypeError: The tensor is not dense, or not of a floating dtype, or `shard` is neither a
            Shard nor Shards.
        ValueError: The tensor does not have two dimensions, `sparsity` is not in [0, 1], `std` is
            negative, NaN or infinite, values are too large for the dtype, `tensor` is not the part
            that `shard` says or is a DTensor with Partial placements, or a matrix of the shard has
            more than 2**53 rows or columns.
        RuntimeError: Elements of the tensor share memory, the generator is on another device, or
            ATen would fill the tensor though a key or a shard is given or it is a DTensor.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.sparse_(torch.empty(10, 4), sparsity=0.25, key=winit.key(0))
        >>> (w == 0).sum(dim=0)
        tensor([3, 3, 3, 3])

    Paper:
        J. Martens, "Deep learning via Hessian-free optimization", ICML 2010.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            sparse_,
            (tensor,),
            tensor,
            sparsity=sparsity,
            std=std,
            generator=generator,
            key=key,
            shard=shard,
        )
    shape = whole_shape("sparse_", tensor, shard)
    check_dimensions("sparse_", shape, 2, 2)
    if isinstance(sparsity, bool):
        raise wrong("sparse_", "sparsity", "a number", sparsity, TypeError)
    what = SPARSE
    if shard is not None:
        check_countable("sparse_", shape[0], shape[1], shape)
        what = part(SPARSE, "sparse_", tensor, shard)
    return fill(what, "sparse_", tensor, (sparsity, std), generator, key)


def _check_capture(tensor: Tensor) -> None:
    """Raise where the key would be drawn on the device: child keys are derived on the host."""
    if not tensor.is_cuda or is_seen_by_torch(tensor):
        return
    if generators.is_capturing(tensor.get_device()):
        raise RuntimeError(
            "orthogonal_: key must be given for a shard of several matrices while a CUDA graph is "
            "captured"
        )
