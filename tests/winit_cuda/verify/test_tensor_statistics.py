"""Statistics of whole tensors: every dtype and layout, what is not finite, no copy, DTensors."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from initializers import needs_core
from winit_cuda._verify import tensor_statistics
from winit_cuda._verify.tensor_statistics import BINS, Statistics, statistics_of, tiles

RANKS = Path(__file__).resolve().parents[2] / "support" / "report_ranks.py"
DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def of(tensor: torch.Tensor, center: float = 0.0) -> Statistics:
    return statistics_of([tensor], [center])[0]


@pytest.fixture
def values() -> torch.Tensor:
    """More than a tile, and no multiple of it."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(301, 257, generator=generator) * 0.5 + 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(values, dtype):
    tensor = values.to(getattr(torch, dtype))
    exact, found = tensor.double(), of(tensor, 1.0)
    assert (found.count, found.nan, found.infinite) == (values.numel(), 0, 0)
    assert (found.low, found.high) == (exact.min().item(), exact.max().item())
    assert found.mean == pytest.approx(exact.mean().item(), rel=1e-12)
    assert found.std == pytest.approx(exact.std(correction=0).item(), rel=1e-12)
    assert found.zeros == int((exact == 0).sum())
    assert found.mean_square(0.5) == pytest.approx(((exact - 0.5) ** 2).mean().item())


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.t(),
        lambda x: x[::2, 3:],
        lambda x: x[:1].expand(400, -1),
        lambda x: x[:, None, :].permute(2, 0, 1),
        lambda x: x[0, 0],
        lambda x: x[:, :0],
    ],
)
def test_every_layout(values, view):
    tensor = view(values)
    found, expected = of(tensor), of(tensor.clone(memory_format=torch.contiguous_format))
    if tensor.numel():
        assert found.mean == pytest.approx(expected.mean, rel=1e-12)
        assert (found.low, found.high, found.zeros) == (expected.low, expected.high, expected.zeros)
    assert found.count == tensor.numel() == sum(map(len, tiles(tensor)))


def test_dense_tensors_are_not_copied(values):
    for tensor in (values, values.t(), values.view(7, 43, 257).permute(2, 0, 1)):
        memory = tensor.untyped_storage()
        assert all(tile.untyped_storage().data_ptr() == memory.data_ptr() for tile in tiles(tensor))


def test_what_is_not_finite_is_counted_and_left_out(values):
    expected = of(values.flatten()[4:])
    values.view(-1)[:4] = torch.tensor([math.nan, math.inf, -math.inf, math.nan])
    found = of(values)
    assert (found.nan, found.infinite, found.is_finite) == (2, 2, False)
    assert found.mean == pytest.approx(expected.mean, rel=1e-12)
    assert (found.low, found.high) == (expected.low, expected.high)
    assert abs(sum(found.histogram) - sum(expected.histogram)) <= 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_what_is_not_finite_in_short_dtypes(dtype):
    found = of(torch.tensor([1.0, math.nan, 2.0]).to(getattr(torch, dtype)))
    assert (found.nan, found.infinite, found.low, found.mean) == (1, 0, 1.0, 1.5)


def test_nothing_finite_and_nothing_at_all():
    found = of(torch.full((3,), math.nan))
    assert (found.count, found.nan, found.zeros) == (3, 3, 0)
    assert math.isnan(found.mean)
    assert sum(found.histogram) == 0
    found = of(torch.empty(0, 3))
    assert (found.count, found.is_constant) == (0, False)


def test_constants_have_no_deviation():
    found = of(torch.full((100_000,), 0.1, dtype=torch.float64))
    assert (found.mean, found.std, found.is_constant) == (0.1, 0.0, True)


def test_digits_do_not_cancel():
    tensor = 1e6 + torch.arange(5, dtype=torch.float64) * 1e-6
    assert of(tensor, 1e6).std == pytest.approx(2**0.5 * 1e-6, rel=1e-4)


def test_the_histogram(values):
    uniform = torch.linspace(0, 1, 10 * BINS + 1)
    assert set(of(uniform).histogram) <= {9, 10, 11}
    found = of(values)
    step = -(-values.numel() // tensor_statistics._SAMPLE)
    sample = values.flatten()[::step]
    expected = torch.histc(sample.double(), BINS, found.low, found.high)
    assert max(abs(torch.tensor(found.histogram) - expected)) <= 1  # at the edges of bins
    assert sum(found.histogram) == len(sample)


@needs_core
def test_dtensors_on_two_processes(tmp_path):
    """Uneven shards, replicas counted once, an empty part, equal tensors, findings of a report."""
    pytest.importorskip("dtensors")
    if not torch.distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    ranks = [
        subprocess.Popen(
            [sys.executable, str(RANKS), str(rank), str(tmp_path / "store")], stdout=subprocess.PIPE
        )
        for rank in range(2)
    ]
    answers = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    first, second = map(json.loads, answers)
    check_batches(first.pop("batches"), second.pop("batches"))
    assert first == second
    for name, (of_dtensor, of_whole) in first["statistics"].items():
        assert of_dtensor == pytest.approx(of_whole, rel=1e-12), name
    assert first["findings"] == {
        "even": ["same values"],
        "uneven": [],
        "replicated": ["all zero"],
        "again": [],  # the first of the two
        "columns": ["not finite"],
    }


def check_batches(*ranks):
    """Under FSDP2 each rank has whole layers and its own batch; else its part of split layers."""
    for batches in ranks:
        split, whole, units = batches["tp"].values()
        for name in ("down", "norm"):
            assert split[name] == pytest.approx(whole[name], rel=1e-5)
        assert units == [16, 32]
        if batches["fsdp"] is not None:
            assert batches["fsdp"]["split"] == batches["fsdp"]["whole"]
            assert batches["fsdp"]["units"] == [32, 32]
    # Each rank has a half of the outputs, and all of them together have the mean square of both.
    for name in ("up", "act"):
        stds = [batches["tp"]["split"][name][0] for batches in ranks]
        assert stds[0] != stds[1]
        assert min(stds) < ranks[0]["tp"]["whole"][name][0] < max(stds)
    if ranks[0]["fsdp"] is not None:
        assert ranks[0]["fsdp"]["split"] != ranks[1]["fsdp"]["split"]
