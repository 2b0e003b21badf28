"""Initializers that give a matrix or a convolution its structure: identity, sparse, orthogonal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.overrides import handle_torch_function

from . import checks, dispatch, target
from .checks import unfit, wrong
from .fills import DIRAC, ORTHOGONAL, SPARSE
from .torch_internals import has_torch_function

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from .keys import Key


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity, and return it.

    w[i, j] = 1 where i == j, else 0: a linear layer keeps as many inputs as it can.

    Args:
        tensor: Shape (rows, columns), any dtype.

    Raises:
        TypeError: The tensor is not dense.
        ValueError: The tensor does not have two dimensions.
        RuntimeError: Elements of the tensor share memory.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.eye_(torch.empty(2, 3))
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    if has_torch_function(tensor):
        return handle_torch_function(eye_, (tensor,), tensor)
    _check_dimensions("eye_", tensor, 2, 2)
    return dispatch.fill(DIRAC, "eye_", tensor, (1,))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill the weight of a convolution with the Dirac delta, and return it.

    With out = groups * m, w[g m + d, d, center of the kernel] = 1 for d < min(m, in), else 0: each
    group of output channels keeps as many input channels as it can.

    Args:
        tensor: Shape (out, in, *kernel) with a kernel of one to three dimensions, any dtype.
        groups: Groups of the convolution, a divisor of `out`.

    Raises:
        TypeError: The tensor is not dense, or `groups` is not an integer.
        ValueError: The tensor does not have three to five dimensions, or `groups` is less than 1 or
            does not divide `out`.
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
        return handle_torch_function(dirac_, (tensor,), tensor, groups=groups)
    _check_dimensions("dirac_", tensor, 3, 5)
    groups = checks.count("dirac_", "groups", groups)
    if tensor.shape[0] % groups:
        requirement = f"a divisor of tensor.shape[0] = {tensor.shape[0]}"
        raise wrong("dirac_", "groups", requirement, groups)
    return dispatch.fill(DIRAC, "dirac_", tensor, (groups,))


def orthogonal_(
    tensor: Tensor,
    gain: float = 1,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
) -> Tensor:
    """Fill `tensor` with gain times a random (semi-)orthogonal matrix, and return it.

    The tensor is a matrix of shape[0] rows and the product of the other sizes columns. Its rows
    are orthonormal times gain where it is wide, its columns where it is tall, and a square one has
    the Haar distribution. Values between devices agree to rounding.

    Args:
        tensor: At least two dimensions; float64, float32, float16, bfloat16, float8_e4m3fn or
            float8_e5m2, in any memory layout. It is computed in float32 or float64 and rounded.
        gain: A factor, see `calculate_gain`.
        generator: Where the key comes from; None is torch's default CPU generator.
        key: The key itself, instead of a generator.

    Raises:
        TypeError: The tensor is not dense, or not of a floating dtype.
        ValueError: The tensor has fewer than two dimensions, or `gain` is NaN or infinite.
        RuntimeError: Elements of the tensor share memory, or the generator is on another device.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.orthogonal_(torch.empty(3, 5), key=winit.key(0))
        >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-6)
        True

    Papers:
        A. M. Saxe, J. L. McClelland & S. Ganguli, "Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks", ICLR 2014.
        G. W. Stewart, "The efficient generation of random orthogonal matrices with an application
        to condition estimators", SIAM J. Numer. Anal. 17(3), 1980.
    """
    if has_torch_function(tensor):
        return handle_torch_function(
            orthogonal_, (tensor,), tensor, gain=gain, generator=generator, key=key
        )
    _check_dimensions("orthogonal_", tensor, 2, math.inf)
    return dispatch.fill(ORTHOGONAL, "orthogonal_", tensor, (gain,), generator, key)


def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: Generator | None = None,
    *,
    key: Key | None = None,
) -> Tensor:
    """Fill a matrix with normal values and zeros, and return it.

    In each column ceil(sparsity * rows) elements, every choice of them equally likely, are 0; the
    others are from N(0, std^2). The key, or the generator, decides both.

    Args:
        tensor: Shape (rows, columns); float64, float32, float16, bfloat16, float8_e4m3fn or
            float8_e5m2.
        sparsity: The fraction of zeros in a column, in [0, 1].
        std: The standard deviation of the other values, at least 0.
        generator: Where the key comes from; None is torch's default CPU generator.
        key: The key itself, instead of a generator.

    Raises:
        TypeError: The tensor is not dense, or not of a floating dtype.
        ValueError: The tensor does not have two dimensions, `sparsity` is not in [0, 1], `std` is
            negative, NaN or infinite, or values are too large for the dtype.
        RuntimeError: Elements of the tensor share memory, or the generator is on another device.

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
        )
    _check_dimensions("sparse_", tensor, 2, 2)
    return dispatch.fill(SPARSE, "sparse_", tensor, (sparsity, std), generator, key)


def _check_dimensions(function: str, tensor: Tensor, least: int, most: float) -> None:
    if not isinstance(tensor, torch.Tensor) or tensor.is_nested:  # a nested tensor has no shape
        target.check(function, tensor)
    if least <= tensor.dim() <= most:
        return
    requirement = f"of {least} dimensions"
    if most == math.inf:
        requirement = f"of at least {least} dimensions"
    elif most != least:
        requirement = f"of {least} to {most} dimensions"
    shape = f"shape {tuple(tensor.shape)}"
    raise unfit(function, "tensor", requirement, shape, ValueError)
