"""The comparison with NumPy and JAX: what takes part, and what the page says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import peers

SHAPE = (8, 8)


@pytest.mark.parametrize(("name", "least", "most"), [("uniform_", 0, 1), ("normal_", -9, 9)])
def test_numpy_draws_float32_from_the_same_law(name: str, least: float, most: float) -> None:
    call = peers.sides(name, SHAPE)[peers.NUMPY]
    found = np.asarray(call())
    again = np.asarray(call())
    assert found is again  # into the memory that is there
    assert found.dtype == np.float32
    assert ((least <= found) & (found < most)).all()


def test_numpy_has_no_orthogonal_matrices() -> None:
    assert peers.NUMPY not in peers.sides("orthogonal_", SHAPE)


def test_jax_draws_from_the_same_law() -> None:
    pytest.importorskip("jax")
    matrix = torch.from_numpy(np.array(peers.sides("orthogonal_", SHAPE)[peers.JAX]()))
    assert torch.allclose(matrix @ matrix.t(), torch.eye(8), atol=1e-5)
    call = peers.sides("normal_", SHAPE)[peers.JAX]
    assert not np.array_equal(np.array(call()), np.array(call()))


def test_the_page_has_a_ratio_for_each_other_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "CASES", (("uniform_", SHAPE), ("orthogonal_", SHAPE)))
    monkeypatch.setattr(peers, "_jax", lambda *_: None)
    text = peers.page(peers.rows(), {"date": "2025-03-04", "cpu": "a processor"})
    table = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row[2] for row in table] == [peers.US, peers.TORCH, peers.NUMPY, peers.US, peers.TORCH]
    assert [row[4].endswith("x |") for row in table] == [row[2] != peers.US for row in table]
