"""The orthogonal matrix of a key: Householder reflectors from the core, put together by BLAS.

Stewart's construction needs no factorization. With independent Gaussian vectors x_i of length
m - i, reflector i is H_i = I - v_i v_i^T, v_i along x_i + sign(x_i[0]) |x_i| e_1 and |v_i|^2 = 2,
and Q = H_0 H_1 ... H_{n-1} [I; 0] diag(sigma) with sigma_i = -sign(x_i[0]) has the Haar law. The
core writes V = [v_0 ... v_{n-1}] and sigma. The product of all reflectors is I - V M^{-1} V^T with
M the unit upper triangle of V^T V (Puglisi's and Joffrain's UT form), so that

    M W = V[:n]^T,    Q = ([I; 0] - V W) diag(sigma)

takes matrix products only.

Papers:
    G. W. Stewart, "The efficient generation of random orthogonal matrices with an application to
    condition estimators", SIAM J. Numer. Anal. 17(3), 1980.
    T. Joffrain, T. M. Low, E. S. Quintana-Orti, R. van de Geijn, F. G. Van Zee, "Accumulating
    Householder transformations, revisited", ACM Trans. Math. Softw. 32(2), 2006.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .dtypes import CODES

if TYPE_CHECKING:
    from .generators import Words
    from .target import Place

# Up to this many columns the products are short enough for float64 to cost nothing that shows.
_SMALL = 256


def write_orthogonal(
    native: Any, place: Place, words: Words, gain: float, tensor: torch.Tensor
) -> None:
    """Write gain times the (semi-)orthogonal matrix of the key into `tensor`, rounded once.

    The matrix is (shape[0], product of the other sizes). A wide one is the transpose of the tall
    one that the key gives.
    """
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    tall, wide = (rows, columns) if rows >= columns else (columns, rows)
    dtype = _compute_dtype(tensor, wide)
    reflectors = torch.empty(tall, wide, dtype=dtype, device=tensor.device)
    signs = torch.empty(wide, dtype=dtype, device=tensor.device)
    addresses = reflectors.data_ptr(), CODES[dtype], tall, wide, 0, wide, signs.data_ptr()
    native(*addresses, *place[4:], *words)
    with torch.no_grad():
        if dtype == torch.float64:
            matrix = accumulate(reflectors, signs, gain)
        else:  # autocast leaves float64 alone
            with torch.autocast(tensor.device.type, enabled=False):
                matrix = accumulate(reflectors, signs, gain)
        tensor.copy_((matrix if rows >= columns else matrix.t()).view(tensor.shape))


def accumulate(reflectors: torch.Tensor, signs: torch.Tensor, gain: float) -> torch.Tensor:
    """Return gain ([I; 0] - V W) diag(sigma), as explained above, for reflectors V."""
    transposed = reflectors.t()
    gram = torch.mm(transposed, reflectors)
    weights = torch.linalg.solve_triangular(
        gram, transposed[:, : reflectors.shape[1]], upper=True, unitriangular=True
    )
    product = torch.mm(reflectors, weights)
    product.diagonal().sub_(1)
    return product.mul_(signs.mul_(-gain))


def _compute_dtype(tensor: torch.Tensor, columns: int) -> torch.dtype:
    """float32 only where it saves time that shows, and where its products are float32 throughout.

    "high" and "medium" matmul precision let TF32 or bfloat16 into float32 products, which would
    leave the matrix orthogonal to three digits only.
    """
    if tensor.dtype == torch.float64 or tensor.is_cuda or columns <= _SMALL:
        return torch.float64
    return torch.float32 if torch.get_float32_matmul_precision() == "highest" else torch.float64
