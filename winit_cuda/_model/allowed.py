"""The operators of torch that a plan may call: they compute tensors, and touch nothing else."""

from __future__ import annotations

import re

# By kind: made from nothing, copied and laid out, drawn, elementwise, reduced, of matrices.
_NAMES = """
    arange bartlett_window blackman_window hamming_window hann_window kaiser_window empty empty_like
    empty_permuted empty_strided eye fill_ fill full full_like linspace logspace new_empty
    new_empty_strided new_full new_ones new_zeros ones ones_like scalar_tensor tril_indices
    triu_indices zero_ zeros zeros_like

    alias as_strided_ as_strided as_strided_scatter block_diag cat clone constant_pad_nd contiguous
    copy_ copy detach diag_embed diagonal_copy diagonal_scatter embedding expand fill_diagonal_ flip
    gather im2col index index_add_ index_add index_copy index_copy_ index_fill index_fill_ index_put
    index_put_ index_select lift_fresh lift_fresh_copy masked_fill masked_fill_ masked_scatter
    masked_scatter_ masked_select nonzero reflection_pad1d reflection_pad2d repeat repeat_interleave
    replication_pad1d replication_pad2d _reshape_copy roll rot90 scatter scatter_ scatter_add_
    scatter_add scatter_reduce scatter_reduce_ select_scatter slice_scatter stack take _to_copy tril
    tril_ triu triu_ unfold _unsafe_view view where

    bernoulli bernoulli_ cauchy_ exponential_ geometric_ log_normal_ multinomial normal normal_
    poisson rand rand_like randint randint_like randn randn_like random_ randperm uniform_

    abs_ abs acos acos_ acosh add add_ addcdiv addcdiv_ addcmul_ addcmul asin asinh atan atan2 atanh
    bitwise_and bitwise_and_ bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
    bitwise_xor ceil_ ceil celu clamp clamp_ clamp_max clamp_max_ clamp_min_ clamp_min complex
    copysign cos cos_ cosh digamma div_ div elu eq eq_ erf erf_ erfc erfinv_ erfinv exp_ exp exp2
    expm1 expm1_ floor_ floor floor_divide_ floor_divide fmax fmin fmod frac ge gelu gt hardtanh
    hardtanh_ heaviside hypot isfinite isinf isnan le leaky_relu lerp lerp_ lgamma log_ log log10
    log1p_ log1p log2 logical_and log_sigmoid_forward logical_and_ logical_not_ logical_not
    logical_or logical_or_ logical_xor logit lt maximum minimum mish mul mul_ nan_to_num nan_to_num_
    ne neg_ neg polar pow_ pow reciprocal reciprocal_ relu_ relu remainder_ remainder round round_
    rsqrt rsqrt_ rsub sgn sigmoid_ sigmoid sign sign_ silu sin_ sin sinc sinh softplus special_ndtri
    sqrt_ sqrt square sub_ sub tan tanh tanh_ trunc xlogy

    all amax amin aminmax any argmax argmin argsort bucketize count_nonzero cummax cummin cumprod_
    cumprod cumsum_ cumsum linalg_vector_norm _log_softmax logcumsumexp logsumexp max mean median
    min nansum native_batch_norm norm prod searchsorted _softmax sort std std_mean sum topk _unique2
    unique_consecutive var var_mean

    _adaptive_avg_pool2d addmm addmm_ addmv avg_pool1d avg_pool2d baddbmm bmm cdist _cdist_forward
    cholesky convolution cross diag dot _fft_c2c _fft_c2r _fft_r2c grid_sampler_2d inverse
    linalg_cholesky_ex linalg_cross _linalg_det linalg_eig linalg_eigh _linalg_eigh geqrf
    linalg_householder_product linalg_inv_ex linalg_lu_factor_ex linalg_matrix_exp linalg_pinv
    linalg_qr _linalg_solve_ex linalg_solve_triangular _linalg_svd mm mv native_group_norm
    native_layer_norm outer trace triangular_solve upsample_bicubic2d _upsample_bicubic2d_aa
    upsample_bilinear2d _upsample_bilinear2d_aa upsample_linear1d upsample_nearest1d
    upsample_nearest2d vdot _weight_norm_interface
"""

OPERATORS = frozenset(re.findall(r"\w+", _NAMES))
# Functions of torch.nn.init that are known as a whole, and initializers of this package.
FUNCTIONS = frozenset({"initializer", "trunc_normal_", "orthogonal_", "sparse_", "dirac_", "eye_"})
