"""Initializers whose rows or blocks have laws of their own."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit
from dtensors import Shard, distributed
from initializers import Unchanged, needs_core
from meshes import fake_group, mesh_at
from winit_cuda._initializers import composite

pytestmark = needs_core
KEY = winit.key(5)
SHAPE = (8, 3)
BLOCKS = winit.Composite(
    winit.XavierNormal(-1.0),
    {0: winit.Uniform(), (1, 3): winit.Ones(), -1: winit.XavierUniform(-2.0)},
    chunks=4,
)


def values(dtype=torch.float32):
    """Block by block, by the functions; the draws are numbered in order."""
    whole = winit.xavier_normal_(torch.empty(SHAPE, dtype=dtype), -1.0, key=KEY)
    part = torch.empty(2, 3, dtype=dtype)
    whole[:2] = winit.uniform_(part, key=winit.fold_in(KEY, 1))
    whole[2:6] = 1
    whole[6:] = winit.xavier_uniform_(part, -2.0, key=winit.fold_in(KEY, 2))
    return whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_values_block_by_block(dtype):
    tensor = torch.full(SHAPE, 7.0, dtype=dtype)
    assert BLOCKS(tensor, key=KEY) is tensor
    assert torch.equal(tensor, values(dtype))
    leaf = torch.nn.Parameter(torch.empty(SHAPE, dtype=dtype).t())
    across = winit.Composite(BLOCKS.base, BLOCKS.pieces, 4, dim=-1)
    version = leaf._version
    across(leaf, key=KEY)
    assert leaf._version > version
    assert torch.equal(leaf[0, 2:6], torch.ones(4, dtype=dtype))


def test_one_draw_of_the_generator():
    found, again = torch.empty(SHAPE), torch.empty(SHAPE)
    generator = torch.Generator().manual_seed(3)
    BLOCKS(found, generator=generator)
    after = generator.get_state()
    generator.manual_seed(3)
    winit.normal_(again, generator=generator)
    assert torch.equal(generator.get_state(), after)
    torch.manual_seed(3)
    assert torch.equal(BLOCKS(again), found)
    torch.manual_seed(3)
    winit.Composite(winit.Zeros(), {0: winit.Ones()})(torch.empty(3))  # draws nothing
    assert torch.equal(BLOCKS(again), found)


@pytest.mark.parametrize("generator", [None, torch.Generator()])
def test_the_draw_is_undone_where_the_work_fails(monkeypatch, generator):
    """As where the memory does not suffice for one of several steps."""

    def fail(*_):
        raise RuntimeError("out of memory")

    drawn_from = torch.default_generator if generator is None else generator
    drawn_from.manual_seed(0)
    state = drawn_from.get_state()
    tensor = torch.zeros(SHAPE)
    monkeypatch.setattr(composite.Batch, "run", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        BLOCKS(tensor, generator=generator)
    assert torch.equal(drawn_from.get_state(), state)
    assert not tensor.any()
    monkeypatch.undo()
    BLOCKS(tensor, generator=generator)
    assert not torch.equal(drawn_from.get_state(), state)


def test_parts_of_a_tensor():
    whole = values()
    for start in range(7):
        part = winit.Shard(SHAPE, (start, 1))
        local = BLOCKS(torch.full((2, 2), 7.0), key=KEY, shard=part)
        assert torch.equal(local, whole[start : start + 2, 1:])
    boxes = winit.Shards(
        [winit.Box((1, 0), (2, 3), (0, 0)), winit.Box((5, 0), (2, 3), (2, 0))], SHAPE
    )
    local = BLOCKS(torch.full((4, 3), 7.0), key=KEY, shard=boxes)
    assert torch.equal(local, torch.cat([whole[1:3], whole[5:7]]))


def test_dtensors():
    """A rank draws from the generator what all draw, whatever blocks it has."""
    torch.manual_seed(3)
    whole = BLOCKS(torch.empty(SHAPE))
    with fake_group():
        for rank in range(3):
            dtensor = distributed(torch.full(SHAPE, 7.0), mesh_at((3,), (rank,)), [Shard(0)])
            torch.manual_seed(3)
            assert BLOCKS(dtensor) is dtensor
            assert torch.equal(dtensor.to_local(), whole[3 * rank : 3 * rank + 3])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: winit.Composite(winit.Normal(), 3), TypeError, "pieces must be a mapping"),
        (lambda: winit.Composite(winit.Normal(), [3]), TypeError, "pieces must be a mapping"),
        (lambda: winit.Composite(1.0, {}), TypeError, "base must be an initializer with one law"),
        (
            lambda: winit.Composite(BLOCKS, {}),
            TypeError,
            "base must be an initializer with one law",
        ),
        (lambda: winit.Composite(winit.Ones(), {0: 1}), TypeError, "piece 0 must be an init"),
        (lambda: winit.Composite(winit.Ones(), {True: winit.Ones()}), TypeError, "an integer or"),
        (lambda: winit.Composite(winit.Ones(), {"0": winit.Ones()}), TypeError, "an integer"),
        (lambda: winit.Composite(winit.Ones(), {(2, 2): winit.Ones()}), ValueError, "start < stop"),
        (lambda: winit.Composite(winit.Ones(), {}, chunks=0), ValueError, "chunks must be at"),
        (lambda: winit.Composite(winit.Ones(), {}, dim=0.5), TypeError, "dim must be an integer"),
    ],
)
def test_wrong_fields(call, error, message):
    with pytest.raises(error, match=f"^Composite: .*{message}"):
        call()


@pytest.mark.parametrize(
    ("initializer", "message"),
    [
        (winit.Composite(winit.Ones(), {8: winit.Zeros()}), "of a block 8 in dimension 0"),
        (winit.Composite(winit.Ones(), {-9: winit.Zeros()}), "of a block -9 in dimension 0"),
        (winit.Composite(winit.Ones(), {(0, 5): winit.Zeros()}, 4), r"of a block \(0, 5\)"),
        (winit.Composite(winit.Ones(), {0: winit.Zeros()}, 3), "of a multiple of chunks = 3"),
        (winit.Composite(winit.Ones(), {0: winit.Zeros()}, dim=2), "of a dimension 2, as dim is"),
        (winit.Composite(winit.Ones(), {0: winit.Zeros(), -8: winit.Ones()}), "different blocks"),
        (winit.Composite(winit.Ones(), {0: winit.Dirac()}), "^Dirac: tensor must be"),
        (winit.Composite(winit.Ones(), {0: winit.Constant(1e39)}), "^Constant: val must be repr"),
    ],
)
def test_tensors_that_do_not_fit(initializer, message):
    tensor = torch.full(SHAPE, 7.0)
    with Unchanged(tensor), pytest.raises(ValueError, match=message):
        initializer(tensor)


def test_without_the_core():
    """What draws nothing is torch's work; a draw needs the core, and nothing is written before."""
    tensor = torch.full(SHAPE, 7.0)
    with winit.use_backend("aten"):
        gate = winit.Composite(winit.Zeros(), {1: winit.Ones()}, chunks=4)
        assert gate(torch.empty(4)).tolist() == [0, 1, 0, 0]
        random = winit.Composite(winit.Zeros(), {1: winit.Normal()}, chunks=4)
        with Unchanged(tensor), pytest.raises(RuntimeError, match=r"Composite: .*the native core"):
            random(tensor)


def test_no_law_of_a_whole_tensor():
    with pytest.raises(TypeError, match="its use must be where a tensor may have several laws"):
        BLOCKS.law(SHAPE)


def test_a_constructor_that_is_read():

    def factory():
        model = torch.nn.Linear(3, 8, bias=False)
        winit.Composite(winit.Normal(), {0: winit.Uniform(), 2: winit.Ones()})(model.weight)
        return model

    entry = winit.plan(factory)["weight"]  # a draw of torch's generator would be a warning
    assert [piece.offsets for piece in entry.pieces] == [(0, 0), (2, 0)]
    assert [piece.key_name for piece in entry.pieces] == ["weight#1", "weight"]
