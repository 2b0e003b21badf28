"""Batches, chunks, shards and convolutions on a CUDA device, against the CPU."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit
from initializers import Unchanged

KEY = winit.Key(5, 6)
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def close(found, expected):
    tolerance = 1e-13 if found.dtype == torch.float64 else max(1e-6, torch.finfo(found.dtype).eps)
    return torch.allclose(found.cpu().double(), expected.double(), rtol=0, atol=tolerance)


def both(function, shape, dtype, *numbers, **options):
    """The tensor on the device and the one on the CPU, filled with the same key."""
    return [
        function(torch.ones(shape).to(dtype).to(device), *numbers, key=KEY, **options)
        for device in ("cuda", "cpu")
    ]


@every_dtype
@pytest.mark.parametrize(
    ("shape", "batch_dims", "chunks"),
    [
        ((100, 8, 8), 1, 1),
        ((5, 64, 64), 1, 1),
        ((3, 300, 200), 1, 1),
        ((2, 3, 7, 4), 2, 1),
        ((256, 64), 0, 4),
        ((2, 12, 3, 3), 1, 3),
        ((7, 1, 1), 1, 1),
    ],
)
def test_several_matrices(shape, batch_dims, chunks, dtype):
    several = {"batch_dims": batch_dims, "chunks": chunks}
    assert close(*both(winit.orthogonal_, shape, dtype, -1.0, **several))


@every_dtype
def test_strided_batches(dtype):
    memory = torch.full((20, 19, 33), 7.0).to(dtype).cuda()
    view = memory[::2, 1:17, ::4]
    winit.orthogonal_(view, key=KEY, batch_dims=1)
    expected = winit.orthogonal_(torch.empty(view.shape, dtype=dtype), key=KEY, batch_dims=1)
    assert close(view, expected)
    assert (memory.float() == 7).sum() == memory.numel() - view.numel()


@every_dtype
@pytest.mark.parametrize(
    ("offsets", "local"),
    [((0, 0), (90, 70)), ((13, 0), (40, 70)), ((0, 9), (90, 8)), ((31, 30), (17, 40))],
)
def test_boxes(offsets, local, dtype):
    inside = tuple(slice(o, o + n) for o, n in zip(offsets, local, strict=True))
    shard = winit.Shard((90, 70), offsets)
    whole = winit.orthogonal_(torch.empty(90, 70, dtype=dtype), key=KEY)
    assert close(both(winit.orthogonal_, local, dtype, shard=shard)[0], whole[inside])
    whole = winit.sparse_(torch.empty(90, 70, dtype=dtype), 0.3, 1.0, key=KEY)
    found = both(winit.sparse_, local, dtype, 0.3, 1.0, shard=shard)[0]
    assert torch.equal(found.cpu().float(), whole[inside].float())


def test_a_box_of_chunks():
    shard = winit.Shard((12, 5), (2, 1))
    assert close(*both(winit.orthogonal_, (8, 3), torch.float32, chunks=3, shard=shard))


@every_dtype
@pytest.mark.parametrize("shape", [(6, 4, 3), (128, 96, 3, 3), (5, 5, 2, 4, 3)])
def test_delta_orthogonal(shape, dtype):
    assert close(*both(winit.delta_orthogonal_, shape, dtype))


def test_one_seed_is_enough():
    """A batch without a key draws the same one for both devices, and one key only."""
    values = []
    for device in ("cuda", "cpu"):
        torch.manual_seed(3)
        values.append(winit.orthogonal_(torch.empty(9, 5, 5, device=device), batch_dims=1))
    assert close(*values)


def test_a_captured_batch_draws_anew_at_each_replay():
    tensor = torch.zeros(20, 16, 16, device="cuda")
    winit.orthogonal_(tensor, batch_dims=1)  # what is loaded on first use cannot be captured
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        winit.orthogonal_(tensor, batch_dims=1)
    values = []
    for _ in range(2):
        graph.replay()
        values.append(tensor.clone())
    assert not torch.equal(*values)
    for value in values:
        gram = value.double() @ value.double().mT
        assert (gram - torch.eye(16, device="cuda")).abs().max() < 1e-6


def test_a_captured_shard_of_several_needs_a_key():
    tensor, other = torch.zeros(4, 4, device="cuda"), torch.zeros(4, device="cuda")
    shard = winit.Shard((8, 4), (0, 0))
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with Unchanged(tensor), torch.cuda.stream(stream):
        graph.capture_begin()
        winit.normal_(other, key=KEY)  # torch warns of an empty graph
        try:
            with pytest.raises(RuntimeError, match="key must be given"):
                winit.orthogonal_(tensor, chunks=2, shard=shard)
        finally:
            graph.capture_end()
