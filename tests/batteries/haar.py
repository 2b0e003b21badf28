"""Haar's law: entries, determinants, eigenvalue angles and their spacings of orthogonal_.

    python tests/batteries/haar.py --json tests/batteries/results/haar.json

Many matrices of one size are made in one call. Entries and projections are held against their
exact law, determinants against one half, traces of powers against their exact moments, the angle of
one eigenvalue of each matrix against the exact density of angles, and spacings between neighbors
against those of matrices that numpy's QR makes of normal ones. It takes some minutes.
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

import winit_cuda as winit
from record import write

# Of each size so many matrices: made one reflector after the other, and in panels.
SIZES = {8: 100_000, 48: 8_000}
# Some 40 p-values: one would be below this in one run of 250 by chance.
LEAST_P = 1e-4
ENTRIES = ((0, 0), (0, -1), (-1, 0), (-1, -1), (3, 5))
POWERS = (1, 2, 3, 4)


def main() -> int:
    """Test both sizes; 1 where a p-value is too small."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="where the results go")
    options = parser.parse_args()
    rows = []
    for n, count in SIZES.items():
        begun = time.monotonic()
        tensor = torch.empty(count, n, n, dtype=torch.float64)
        matrices = winit.orthogonal_(tensor, key=winit.key(n), batch_dims=1).numpy()
        p_values = {
            **entries(matrices),
            **determinants(matrices),
            **traces(matrices),
            **angles(matrices),
        }
        rows.append(
            {
                "rows": n,
                "matrices": count,
                "passed": min(p_values.values()) >= LEAST_P,
                "p": {name: float(f"{p:.4g}") for name, p in p_values.items()},
                "seconds": round(time.monotonic() - begun, 1),
            }
        )
        print(rows[-1], flush=True)
    passed = all(row["passed"] for row in rows)
    if options.json:
        result = {"battery": "Haar", "threshold_p": LEAST_P, "passed": passed, "rows": rows}
        write(options.json, result)
    return 0 if passed else 1


def two_sided(values: Any, mean: float, variance: float) -> float:
    """The p-value of the mean of independent values with this mean and variance."""
    z = (np.mean(values) - mean) / np.sqrt(variance / len(values))
    return float(2 * stats.norm.sf(abs(z)))


def entries(matrices: Any) -> dict[str, float]:
    """Entries, and the product with two vectors, against the law of a unit vector's entry."""
    n = matrices.shape[1]
    law = stats.beta((n - 1) / 2, (n - 1) / 2, loc=-1, scale=2)
    found = {
        f"entry {i}, {j}": float(stats.kstest(matrices[:, i, j], law.cdf).pvalue)
        for i, j in ENTRIES
    }
    generator = np.random.default_rng(n)
    left, right = generator.normal(size=(2, n))
    projected = matrices @ (right / np.linalg.norm(right)) @ (left / np.linalg.norm(left))
    found["projection"] = float(stats.kstest(projected, law.cdf).pvalue)
    # E[q11 q22 q12 q21] = -1 / ((n - 1) n (n + 2)) tells independent entries from orthogonal ones.
    minor = matrices[:, 0, 0] * matrices[:, 1, 1] * matrices[:, 0, 1] * matrices[:, 1, 0]
    expected = -1 / ((n - 1) * n * (n + 2))
    found["product of a minor"] = two_sided(minor, expected, minor.var())
    return found


def determinants(matrices: Any) -> dict[str, float]:
    """As many +1 as -1."""
    positive = int((np.linalg.det(matrices) > 0).sum())
    return {"determinant": float(stats.binomtest(positive, len(matrices)).pvalue)}


def traces(matrices: Any) -> dict[str, float]:
    """E tr(Q^k) = 1 for even k and 0 for odd ones, and E tr(Q^k)^2 = k + the same, for 2 k <= n."""
    n, power, found = matrices.shape[1], np.eye(matrices.shape[1]), {}
    for k in POWERS:
        power = power @ matrices
        trace = power.trace(axis1=1, axis2=2)
        even = 1 - k % 2
        if 2 * k <= n:
            found[f"trace of power {k}"] = two_sided(trace, even, k)
            found[f"its square, {k}"] = two_sided(trace**2, k + even, (trace**2).var())
    return found


def angles(matrices: Any) -> dict[str, float]:
    """Angles of eigenvalues in (0, pi), by the sign of the determinant, and their spacings."""
    n, generator = matrices.shape[1], np.random.default_rng(1)
    normals = generator.normal(size=matrices.shape)
    q, r = np.linalg.qr(normals)
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    found = {}
    for sign, name in ((1, "+1"), (-1, "-1")):
        ours, theirs = (angles_of(each, sign) for each in (matrices, q))
        pairs = n // 2 if sign > 0 else n // 2 - 1
        assert ours.shape[1] == pairs
        # One of each matrix: those of one matrix depend on each other.
        one = ours[np.arange(len(ours)), generator.integers(pairs, size=len(ours))]
        found[f"angle, determinant {name}"] = float(
            stats.kstest(one, lambda t, s=sign, m=pairs: angle_law(t, s, m)).pvalue
        )
        middle = pairs // 2
        for place, what in ((0, "first"), (middle, "middle")):
            gap = ours[:, place + 1] - ours[:, place]
            gap_of_theirs = theirs[:, place + 1] - theirs[:, place]
            found[f"{what} spacing, determinant {name}"] = float(
                stats.ks_2samp(gap, gap_of_theirs, method="asymp").pvalue
            )
        found[f"smallest angle, determinant {name}"] = float(
            stats.ks_2samp(ours[:, 0], theirs[:, 0], method="asymp").pvalue
        )
    return found


def angles_of(matrices: Any, sign: int) -> Any:
    """The sorted angles in (0, pi) of the matrices with this sign of their determinant.

    With a determinant of -1, of an even size, 1 and -1 are eigenvalues and say nothing.
    """
    chosen = matrices[np.sign(np.linalg.det(matrices)) == sign]
    sorted_angles = np.sort(np.abs(np.angle(np.linalg.eigvals(chosen))), axis=1)
    if sign < 0:
        sorted_angles = sorted_angles[:, 1:-1]
    return sorted_angles[:, ::2]  # each is there twice, as a conjugate pair


def angle_law(angle: Any, sign: int, pairs: int) -> Any:
    """The distribution function of a random one of so many angles.

    The density is 1/pi plus or minus the sum of cos(2 k angle) / (pi pairs) over k below the number
    of pairs, for SO(2 pairs), or up to it, for determinants of -1.
    """
    last = pairs - 1 if sign > 0 else pairs
    waves = sum(np.sin(2 * k * angle) / (2 * k) for k in range(1, last + 1))
    return angle / np.pi + sign * waves / (np.pi * pairs)


if __name__ == "__main__":
    sys.exit(main())
