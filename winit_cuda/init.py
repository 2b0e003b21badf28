"""Every public name of `torch.nn.init`: `from winit_cuda import init` in place of torch's.

`delta_orthogonal_` is here besides. All take shard=, random ones key=, and `orthogonal_` more.

The functions fill a tensor in place and return it, under `torch.no_grad`, as torch's do: leaves
that require grad, views of them, and tensors in inference mode are written, the version counter
moves on, meta and fake tensors have their arguments checked and are left alone.

What differs: the values do not depend on device, memory layout or number of threads; key= names
them; bad numbers raise ValueError, and every error leaves tensor and generator as they were. Errors
are of the type that torch raises, too.

What torch cannot tell: a tensor made by `torch.from_numpy` of a read-only array is written all the
same.
"""

from ._schemes.deprecated import (
    constant,
    dirac,
    eye,
    kaiming_normal,
    kaiming_uniform,
    normal,
    orthogonal,
    sparse,
    uniform,
    xavier_normal,
    xavier_uniform,
)
from ._schemes.elementwise import (
    constant_,
    normal_,
    ones_,
    trunc_normal_,
    uniform_,
    zeros_,
)
from ._schemes.gain import calculate_gain
from ._schemes.structured import (
    delta_orthogonal_,
    dirac_,
    eye_,
    orthogonal_,
    sparse_,
)
from ._schemes.variance_scaling import (
    _calculate_correct_fan as _calculate_correct_fan,
)
from ._schemes.variance_scaling import (
    _calculate_fan_in_and_fan_out as _calculate_fan_in_and_fan_out,
)
from ._schemes.variance_scaling import (
    kaiming_normal_,
    kaiming_uniform_,
    xavier_normal_,
    xavier_uniform_,
)

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "delta_orthogonal_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]
