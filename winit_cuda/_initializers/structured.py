"""Initializers that give a matrix or a convolution its structure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .._core import checks
from .._core.checks import wrong
from .._fills.constants import DIRAC, EYE
from .._fills.structured import DELTA_ORTHOGONAL, ORTHOGONAL, SPARSE, OrthogonalFill
from .._schemes.shapes import (
    check_countable,
    check_delta,
    check_dimensions,
    check_groups,
    check_matrices,
)
from .base import Initializer, Law


@dataclass(frozen=True, repr=False)
class Eye(Initializer):
    """The identity, as `eye_` writes it: w[i, j] = 1 where i == j, else 0.

    Example:
        >>> import torch, winit_cuda as winit
        >>> winit.Eye()(torch.empty(2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    def law(self, shape: Sequence[int]) -> Law:
        """The identity of a matrix."""
        check_dimensions("Eye", shape, 2, 2)
        return Law(EYE, ())


@dataclass(frozen=True, repr=False)
class Dirac(Initializer):
    """The Dirac delta of a convolution, as `dirac_` writes it.

    Args:
        groups: Groups of the convolution, a divisor of shape[0].

    Raises:
        TypeError: `groups` is not an integer.
        ValueError: `groups` is less than 1.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.Dirac()(torch.empty(2, 2, 3))
        >>> torch.equal(w, winit.dirac_(torch.empty(2, 2, 3)))
        True
    """

    groups: int = 1

    def __post_init__(self) -> None:
        self._set(groups=checks.count("Dirac", "groups", self.groups))

    def law(self, shape: Sequence[int]) -> Law:
        """The delta of a convolution with these groups."""
        check_dimensions("Dirac", shape, 3, 5)
        return Law(DIRAC, (check_groups("Dirac", shape[0], self.groups, "tensor.shape[0]"),))


@dataclass(frozen=True, repr=False)
class Orthogonal(Initializer):
    """gain times a random (semi-)orthogonal matrix, or several, as `orthogonal_` makes them.

    Args:
        gain: A factor, see `calculate_gain`.
        batch_dims: How many leading dimensions number matrices.
        chunks: Into how many matrices the rows are cut: 4 for an LSTM's gates.

    Raises:
        TypeError: `gain` is not a number, `batch_dims` or `chunks` not an integer.
        ValueError: `gain` is NaN or infinite, batch_dims < 0 or chunks < 1.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.Orthogonal()(torch.empty(3, 5), key=winit.key(0))
        >>> torch.allclose(w @ w.T, torch.eye(3), atol=1e-6)
        True

    Paper:
        A. M. Saxe, J. L. McClelland & S. Ganguli, "Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks", ICLR 2014.
    """

    gain: float = 1.0
    batch_dims: int = 0
    chunks: int = 1

    def __post_init__(self) -> None:
        function = "Orthogonal"
        batch_dims = checks.integer(function, "batch_dims", self.batch_dims)
        if batch_dims < 0:
            raise wrong(function, "batch_dims", "at least 0", batch_dims)
        self._set(
            gain=checks.finite(function, "gain", self.gain),
            batch_dims=batch_dims,
            chunks=checks.count(function, "chunks", self.chunks),
        )

    def law(self, shape: Sequence[int]) -> Law:
        """The matrices that a tensor of this shape holds."""
        check_dimensions("Orthogonal", shape, 2, math.inf)
        batch_dims, chunks = check_matrices("Orthogonal", shape, self.batch_dims, self.chunks)
        columns = math.prod(shape[batch_dims + 1 :])
        check_countable("Orthogonal", shape[batch_dims], columns, shape)
        is_one = batch_dims == 0 and chunks == 1
        return Law(ORTHOGONAL if is_one else OrthogonalFill(batch_dims, chunks), (self.gain,))


@dataclass(frozen=True, repr=False)
class DeltaOrthogonal(Initializer):
    """An orthogonal matrix at the center of a convolution, as `delta_orthogonal_` writes it.

    Args:
        gain: A factor, see `calculate_gain`.

    Raises:
        TypeError: `gain` is not a number.
        ValueError: `gain` is NaN or infinite.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.DeltaOrthogonal()(torch.empty(6, 4, 3), key=winit.key(0))
        >>> round(w.norm().item() ** 2, 4)
        4.0

    Paper:
        L. Xiao et al., "Dynamical isometry and a mean field theory of CNNs: how to train
        10,000-layer vanilla convolutional neural networks", ICML 2018.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        self._set(gain=checks.finite("DeltaOrthogonal", "gain", self.gain))

    def law(self, shape: Sequence[int]) -> Law:
        """The matrix at the center of a convolution."""
        check_dimensions("DeltaOrthogonal", shape, 3, 5)
        check_countable("DeltaOrthogonal", shape[0], shape[1], shape)
        check_delta("DeltaOrthogonal", shape)
        return Law(DELTA_ORTHOGONAL, (self.gain,))


@dataclass(frozen=True, repr=False)
class Sparse(Initializer):
    """Normal values with a fraction of zeros in every column, as `sparse_` writes them.

    Args:
        sparsity: The fraction of zeros in a column, in [0, 1].
        std: The standard deviation of the other values, at least 0.

    Raises:
        TypeError: A number is none.
        ValueError: `sparsity` is not in [0, 1], or `std` is negative, NaN or infinite.

    Example:
        >>> import torch, winit_cuda as winit
        >>> w = winit.Sparse(0.25)(torch.empty(8, 4), key=winit.key(0))
        >>> (w == 0).sum(dim=0)
        tensor([2, 2, 2, 2])

    Paper:
        J. Martens, "Deep learning via Hessian-free optimization", ICML 2010.
    """

    sparsity: float
    std: float = 0.01

    def __post_init__(self) -> None:
        if isinstance(self.sparsity, bool):
            raise wrong("Sparse", "sparsity", "a number", self.sparsity, TypeError)
        sparsity = checks.fraction("Sparse", "sparsity", self.sparsity)
        self._set(sparsity=sparsity, std=checks.deviation("Sparse", "std", self.std))

    def law(self, shape: Sequence[int]) -> Law:
        """Sparsity and std, of a matrix."""
        check_dimensions("Sparse", shape, 2, 2)
        check_countable("Sparse", shape[0], shape[1], shape)
        return Law(SPARSE, (self.sparsity, self.std))
