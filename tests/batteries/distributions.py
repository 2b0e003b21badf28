"""Kolmogorov-Smirnov, counts and moments of 10**8 values of each law.

    python tests/batteries/distributions.py --json tests/batteries/results/distributions.json

Float32 and float64 values go through their exact distribution function into equal bins, of which
the Kolmogorov-Smirnov distance and a chi-square statistic are taken; the first four moments are
held against the exact ones. Of the short types every value is counted and held against the
probability of what rounds to it. It takes some minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from scipy.special import kolmogorov, ndtr

import winit_cuda as winit
from record import ROOT, write
from winit_cuda import Shard

sys.path.insert(0, str(ROOT / "tests" / "support"))
from laws import Law, moments, rounded_law

LAWS = (
    Law("uniform", (0.0, 1.0)),
    Law("uniform", (-0.3, 0.1)),
    Law("normal", (0.0, 1.0)),
    Law("normal", (0.5, 0.02)),
    Law("trunc_normal", (0.0, 1.0, -2.0, 2.0)),
    Law("trunc_normal", (0.0, 1.0, -1.0, 3.0)),
    Law("trunc_normal", (0.0, 1.0, 2.0, 5.0)),
)
WIDE = (torch.float32, torch.float64)
SHORT = (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
WORDS_OF = {1: (torch.uint8, np.uint8), 2: (torch.int16, np.uint16)}
# Some 80 p-values, of which one would be below this in one run of a hundred by chance; and as many
# moments, of which one would be further than this in ten thousand.
LEAST_P = 1e-4
MOST_DEVIATIONS = 5.0
# Bins of the distance, which they cannot change by more than a hundredth of what would be noticed,
# and of the chi-square statistic.
FINE, COARSE = 1 << 20, 1 << 12
LEAST_EXPECTED = 25.0  # in a count of the chi-square statistic of a short type
AT_A_TIME = 1 << 20


def main() -> int:
    """Test every law in every dtype; 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--count", type=int, default=10**8, help="values of each law (10**8)")
    options = parser.parse_args()
    rows = []
    for number, law in enumerate(LAWS):
        for dtype in (*WIDE, *SHORT):
            begun = time.monotonic()
            key = winit.fold_in(winit.fold_in(winit.key(2026), "distributions"), number)
            test = wide if dtype in WIDE else short
            found = test(law, dtype, options.count, key)
            p = min(value for name, value in found.items() if name.startswith("p_"))
            furthest = max((abs(z) for z in found.get("moments_z", ())), default=0.0)
            row = {
                "law": str(law),
                "dtype": str(dtype).removeprefix("torch."),
                "passed": bool(p >= LEAST_P and furthest <= MOST_DEVIATIONS),
                **found,
                "seconds": round(time.monotonic() - begun, 1),
            }
            rows.append(row)
            print(row, flush=True)
    passed = all(row["passed"] for row in rows)
    if options.json:
        result = {
            "battery": "distributions",
            "values": options.count,
            "threshold_p": LEAST_P,
            "threshold_deviations": MOST_DEVIATIONS,
            "passed": passed,
            "rows": rows,
        }
        write(options.json, result)
    return 0 if passed else 1


def values_of(law: Law, dtype: torch.dtype, count: int, key: winit.Key) -> Any:
    """The values of one tensor, part by part."""
    function = getattr(winit, f"{law.name}_")
    for begin in range(0, count, AT_A_TIME):
        part = torch.empty(min(AT_A_TIME, count - begin), dtype=dtype)
        yield function(part, *law.numbers, key=key, shard=Shard((count,), (begin,)))


def share_below(law: Law, values: Any) -> Any:
    """The law's distribution function, in an upper tail by what is above: nothing cancels."""
    if law.name == "uniform":
        low, high = law.numbers
        return (values - low) / (high - low)
    mean, std = law.numbers[:2]
    if law.name == "normal":
        return ndtr((values - mean) / std)
    sign = -1.0 if law.numbers[2] > mean else 1.0
    low, high = (ndtr(sign * (bound - mean) / std) for bound in law.numbers[2:])
    return np.clip((ndtr(sign * (values - mean) / std) - low) / (high - low), 0.0, 1.0)


def wide(law: Law, dtype: torch.dtype, count: int, key: winit.Key) -> dict[str, Any]:
    """Distance, counts and moments of a law in float32 or float64."""
    counts = np.zeros(FINE, dtype=np.int64)
    powers = np.zeros(5)
    mean, std = law.exact.mean(), law.exact.std()
    for part in values_of(law, dtype, count, key):
        values = part.double().numpy()
        bins = (share_below(law, values) * FINE).astype(np.int64)
        counts += np.bincount(np.minimum(bins, FINE - 1), minlength=FINE)
        y = (values - mean) / std
        squares = y * y
        sums = (len(y), y.sum(), squares.sum(), (squares * y).sum(), (squares * squares).sum())
        powers += np.array(sums)
    distance = np.abs(np.cumsum(counts) / count - np.arange(1, FINE + 1) / FINE).max()
    coarse = counts.reshape(COARSE, -1).sum(axis=1)
    expected = moments(law, dtype, 8)
    deviations = np.sqrt((expected[2:9:2] - expected[1:5] ** 2) / count)
    return {
        "ks_distance": float(distance),
        "p_ks": float(kolmogorov(distance * np.sqrt(count))),
        "p_chi_square": float(stats.chisquare(coarse).pvalue),
        "moments_z": [
            round(float(z), 2) for z in (powers[1:] / count - expected[1:5]) / deviations
        ],
    }


def short(law: Law, dtype: torch.dtype, count: int, key: winit.Key) -> dict[str, Any]:
    """Counts of every value of a short type; those that are seldom are counted together."""
    values, probabilities = rounded_law(law, dtype)
    words, patterns = WORDS_OF[dtype.itemsize], 1 << 8 * dtype.itemsize
    counts = np.zeros(patterns, dtype=np.int64)
    for part in values_of(law, dtype, count, key):
        counts += np.bincount(part.view(words[0]).numpy().view(words[1]), minlength=patterns)
    drawn = torch.arange(patterns).to(words[0]).view(dtype).double().numpy()
    place = np.minimum(np.searchsorted(values, drawn), len(values) - 1)
    is_value = values[place] == drawn  # zeros of both signs are
    found = np.bincount(place[is_value], counts[is_value], len(values))
    outside = int(counts[~is_value].sum())
    expected = probabilities * count
    counted, p = chi_square(*paired(law, values, found, expected))
    single_p = chi_square(found, expected)[1]
    return {
        "counted": counted,
        "not_values_of_the_law": outside,
        "p_chi_square": p * (not outside),
        "single_values_p": single_p,  # with the known bias near 0; not held to the threshold
    }


def paired(law: Law, values: Any, found: Any, expected: Any) -> tuple[Any, Any]:
    """Counts with neighbors together where ties to even matter, as docs/values.md says.

    Uniform values at 0 are multiples of 2**-25 of the interval or more: where a short type's
    spacing is not much larger, many of them are ties, and go to the even neighbor.
    """
    if law.name != "uniform":
        return found, expected
    low, high = law.numbers
    spacing = np.diff(values, append=np.inf)
    fine = np.flatnonzero(spacing < (high - low) * 2.0**-16)
    group = np.arange(len(values))
    if len(fine):
        group[fine] -= (fine - fine[0]) % 2
    return np.bincount(group, found), np.bincount(group, expected)


def chi_square(found: Any, expected: Any) -> tuple[int, float]:
    """How many counts are compared, and the p-value."""
    often = expected >= LEAST_EXPECTED
    seen = np.append(found[often], found[~often].sum())
    wanted = np.append(expected[often], expected[~often].sum())
    if wanted[-1] < LEAST_EXPECTED:  # too few of them all: with the last that is often
        seen = np.append(seen[:-2], seen[-2:].sum())
        wanted = np.append(wanted[:-2], wanted[-2:].sum())
    wanted *= seen.sum() / wanted.sum()  # rounding
    return len(seen), float(stats.chisquare(seen, wanted).pvalue) if len(seen) > 1 else 1.0


if __name__ == "__main__":
    sys.exit(main())
