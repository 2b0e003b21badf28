"""What the cases have to reach on the CPU with all threads, by instruction set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """What a case has to reach."""

    ratio: float  # time of torch.nn.init / time of winit_cuda
    of_fill: float | None = None  # time of fill_ / time of winit_cuda


_UNIFORM, _NORMAL = Goal(18, of_fill=0.95), Goal(12, of_fill=0.5)
# By the names of a case, its dtype and its size. A portable core leaves orthogonal_ to torch's
# products; torch itself uses the best instruction set of the processor whatever ours is.
GOALS: dict[str, dict[tuple[str, str, str], Goal]] = {
    "avx512": {
        ("uniform_", "float32", "4096x4096"): _UNIFORM,
        ("xavier_uniform_", "float32", "4096x4096"): _UNIFORM,
        ("normal_", "float32", "4096x4096"): _NORMAL,
        ("kaiming_normal_", "float32", "4096x4096"): _NORMAL,
        ("trunc_normal_", "float32", "4096x4096"): Goal(200, of_fill=0.5),
        ("uniform_", "bfloat16", "4096x4096"): Goal(25),
        ("normal_", "bfloat16", "4096x4096"): Goal(16),
        ("uniform_", "float64", "4096x4096"): Goal(12),
        ("normal_", "float64", "4096x4096"): Goal(14),
        ("sparse_", "float32", "4096x4096"): Goal(30),
        ("orthogonal_", "float32", "512x512"): Goal(3.5),
        ("orthogonal_", "float32", "1024x1024"): Goal(3.5),
        ("orthogonal_", "float32", "2048x2048"): Goal(8),
        ("orthogonal_", "float32", "4096x4096"): Goal(6),
        ("orthogonal_", "float32", "16384x512"): Goal(3.5),
        ("orthogonal_, batch", "float32", "1000x64x64"): Goal(13),
        ("300 small tensors", "float32", "256 to 65536"): Goal(8.5),
    },
    "avx2": {
        ("uniform_", "float32", "4096x4096"): Goal(7.5),
        ("normal_", "float32", "4096x4096"): Goal(5.5),
        ("trunc_normal_", "float32", "4096x4096"): Goal(85),
        ("uniform_", "bfloat16", "4096x4096"): Goal(10),
        ("normal_", "bfloat16", "4096x4096"): Goal(7),
        ("uniform_", "float64", "4096x4096"): Goal(5.5),
        ("normal_", "float64", "4096x4096"): Goal(8),
        ("sparse_", "float32", "4096x4096"): Goal(12),
        ("orthogonal_", "float32", "2048x2048"): Goal(4),
        ("orthogonal_", "float32", "16384x512"): Goal(3),
    },
}
GOALS["sse2"] = GOALS["portable"] = {
    ("uniform_", "float32", "4096x4096"): Goal(2),
    ("normal_", "float32", "4096x4096"): Goal(2),
    ("trunc_normal_", "float32", "4096x4096"): Goal(10),
    ("uniform_", "bfloat16", "4096x4096"): Goal(2),
    ("normal_", "bfloat16", "4096x4096"): Goal(2),
    ("uniform_", "float64", "4096x4096"): Goal(1),
    ("normal_", "float64", "4096x4096"): Goal(1),
    ("sparse_", "float32", "4096x4096"): Goal(2),
    ("orthogonal_", "float32", "2048x2048"): Goal(1),
    ("orthogonal_", "float32", "16384x512"): Goal(1),
}
# 16 elements, for dirac_ as a convolution: a call of any initializer takes less than torch's own.
_SMALL, _AT_SMALL = ("4x4", "2x2x4"), Goal(1.1)


def goal_of(isa: str, name: str, dtype: str, size: str) -> Goal | None:
    """The goal of a case whose core uses this instruction set."""
    if dtype == "float32" and size in _SMALL and isa in GOALS:
        return _AT_SMALL
    return GOALS.get(isa, {}).get((name, dtype, size))
