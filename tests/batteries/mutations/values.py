"""Faults of `csrc/values`: the frozen contract."""

from __future__ import annotations

from mutations.mutation import Mutation

GOLDEN, VALUES = "tests/csrc/values/test_golden.py", "tests/csrc/values"
SPARSE, KEYS = "tests/csrc/sparse", "tests/winit_cuda/keys"

OF_VALUES = (
    Mutation(
        "Philox has nine rounds",
        "version",
        "csrc/values/philox.h",
        "round < kLast",
        "round < kLast - 1",
        (GOLDEN,),
    ),
    Mutation(
        "domains begin elsewhere in the counter",
        "index",
        "csrc/values/philox.h",
        "static_cast<uint64_t>(domain) << kDomainShift",
        "static_cast<uint64_t>(domain) << (kDomainShift - 1)",
        (GOLDEN,),
    ),
    Mutation(
        "a single word is of the other half of its block",
        "order",
        "csrc/values/philox.h",
        "(index & 2) ? pair[1] : pair[0]",
        "(index & 2) ? pair[0] : pair[1]",
        (GOLDEN, SPARSE),
    ),
    Mutation(
        "a distance from the end is rounded up",
        "rounding",
        "csrc/values/scalar.h",
        "size & ~(size >> 24)",
        "size & ~(size >> 25)",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "float64 refines the tails twice as much",
        "rounding",
        "csrc/values/scalar.h",
        "0x1p-56",
        "0x1p-55",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "ties round away from zero",
        "rounding",
        "csrc/values/dtype.h",
        "((1u << (kDropped - 1)) - 1) + ((magnitude >> kDropped) & 1u)",
        "1u << (kDropped - 1)",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "bfloat16 ties round away from zero",
        "rounding",
        "csrc/values/dtype.h",
        "bits + 0x7FFFu + ((bits >> 16) & 1u)",
        "bits + 0x8000u",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "a bound in the dtype lies above the bound",
        "rounding",
        "csrc/values/limits.cpp",
        "static_cast<double>(value) > x",
        "static_cast<double>(value) < x",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "the open end of an interval is closed",
        "rounding",
        "csrc/values/limits.cpp",
        "std::nextafter(x, -kInfinity)",
        "x",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "a tie above the largest value goes the other way",
        "rounding",
        "csrc/values/limits.cpp",
        "kTieGoesDown && size == middle",
        "!kTieGoesDown && size == middle",
        ("tests/csrc/many/test_constants.py", VALUES),
    ),
    Mutation(
        "probabilities may reach a half",
        "rounding",
        "csrc/values/distributions.cpp",
        "fused(Real(0x1p31), numbers.tail_slope, numbers.tail_start) > kBelowHalf<Real>",
        "fused(Real(0x1p31), numbers.tail_slope, numbers.tail_start) > kBelowOne<Real>",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "tiny spreads keep their scale",
        "rounding",
        "csrc/values/distributions.cpp",
        "spread < 0x1p-90",
        "spread < 0x1p-140",
        (f"{VALUES}/test_limits.py", GOLDEN, VALUES),
    ),
    Mutation(
        "a kept table of another interval is taken",
        "index",
        "csrc/values/distributions.cpp",
        "table->alpha == alpha",
        "table->alpha >= alpha",
        (GOLDEN, VALUES),
    ),
    Mutation(
        "a one-sided interval is turned round",
        "order",
        "csrc/values/distributions.cpp",
        "direction > 0 ? 0 : 1",
        "direction > 0 ? 1 : 0",
        (GOLDEN,),
    ),
    Mutation(
        "a name that fills its block of the hash has another one",
        "carry",
        "csrc/values/child_key.h",
        "begin + kBlockBytes >= bytes",
        "begin + kBlockBytes > bytes",
        (f"{KEYS}/test_keys.py", VALUES),
    ),
)
