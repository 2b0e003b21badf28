"""Parts of several boxes: what they may be, and how Megatron-LM divides a dimension."""

from __future__ import annotations

import doctest
import inspect
import io
import pickle
import time
import typing

import numpy as np
import pytest
import torch

import winit_cuda as winit
from initializers import needs_core
from meshes import numbered, taken

Box = winit.Box
ROWS = (Box((0, 0), (2, 6), (0, 0)), Box((4, 0), (2, 6), (2, 0)))


def test_boxes_are_plain_data():
    box = Box(offsets=torch.Size([1, 2]), sizes=[np.int64(3), 4], local_offsets=(0, 0))
    assert box == Box((1, 2), (3, 4), (0, 0))
    assert repr(box) == "Box(offsets=(1, 2), sizes=(3, 4), local_offsets=(0, 0))"
    shards = winit.Shards(list(ROWS), [8, 6])
    assert shards == winit.Shards(boxes=ROWS, global_shape=(8, 6))
    assert hash(shards) == hash(winit.Shards(ROWS, (8, 6)))
    assert shards != winit.Shards(ROWS, (9, 6))
    assert shards.local_shape == (4, 6)
    for value, name in ((box, "sizes"), (shards, "boxes")):
        with pytest.raises(AttributeError):
            setattr(value, name, ())


@pytest.mark.parametrize("value", [ROWS[1], winit.Shards(ROWS, (8, 6)), winit.Shard((4,), (1,))])
def test_shards_survive_files(value):
    assert pickle.loads(pickle.dumps(value)) == value
    file = io.BytesIO()
    torch.save({"part": value}, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == {"part": value}
    assert type(value).__module__ == "winit_cuda"
    assert typing.get_type_hints(type(value))


@needs_core
@pytest.mark.parametrize(
    "documented",
    [Box, winit.Shard, winit.Shards, winit.Shard.partition, winit.Shard.from_checkpointable],
)
def test_examples_run(documented):
    """Those of classes that name another module than their own, which doctest does not find."""
    text = inspect.getdoc(documented)
    examples = doctest.DocTestParser().get_doctest(text, {}, documented.__name__, None, 0)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (((1, 2), (3,), (0, 0)), ValueError, "sizes must be as long as offsets, 2, got (3,)"),
        (((1, 2), (3, 4), (0,)), ValueError, "local_offsets must be as long as offsets, 2"),
        (((1,), (-3,), (0,)), ValueError, "sizes must be of integers that are at least 0"),
        (((1.5,), (3,), (0,)), TypeError, "offsets must be a sequence of integers"),
        (((1,), (3,), 0), TypeError, "local_offsets must be a sequence of integers, got 0"),
    ],
)
def test_what_a_box_may_not_be(values, error, message):
    with pytest.raises(error, match=r"^Box: ") as caught:
        Box(*values)
    assert message in str(caught.value)


def columns(*intervals):
    """A row's boxes: (first in the whole, how many, first in the local tensor)."""
    return [Box((0, a), (3, size), (0, local)) for a, size, local in intervals]


@pytest.mark.parametrize(
    ("boxes", "error", "message"),
    [
        ([], ValueError, "boxes must be at least one box"),
        (ROWS[0], TypeError, "boxes must be a sequence of winit_cuda.Box, got Box"),
        ([(0, 0)], TypeError, "boxes must be a sequence of winit_cuda.Box"),
        ([Box((0,), (1,), (0,))], ValueError, "of 2 dimensions, as global_shape is"),
        (columns((0, 2, 0), (8, 3, 2)), ValueError, "inside global_shape = (3, 10)"),
        (columns((0, 2, 0), (1, 2, 2)), ValueError, "disjoint in the whole tensor"),
        (columns((0, 2, 0), (4, 2, 1)), ValueError, "disjoint in the local tensor"),
        (columns((0, 2, 0), (4, 2, 3)), ValueError, "without a gap in the local tensor"),
        (columns((0, 2, 1), (4, 2, 3)), ValueError, "without a gap in the local tensor"),
        # The volumes add up, but two boxes share what a third lacks.
        (columns((0, 2, 0), (3, 2, 0), (6, 2, 4)), ValueError, "disjoint in the local tensor"),
        # Only boxes that begin far apart meet.
        (columns((0, 9, 1), (9, 1, 0), (4, 1, 10)), ValueError, "disjoint in the whole tensor"),
    ],
)
def test_what_shards_may_not_be(boxes, error, message):
    with pytest.raises(error, match=r"^Shards: ") as caught:
        winit.Shards(boxes, (3, 10))
    assert message in str(caught.value)


def test_boxes_beside_each_other_in_any_dimension():
    """A grid of boxes, turned by a dimension, is a local tensor without a gap or an overlap."""
    quarters = [(row, column) for row in (0, 4) for column in (0, 3)]
    boxes = [Box((r, c), (4, 3), (4 - r, 3 - c)) for r, c in quarters]
    shards = winit.Shards(boxes, (8, 6))
    whole = numbered((8, 6))
    assert torch.equal(taken(whole, (8, 6), shards), whole.roll((4, 3), (0, 1)))


def test_empty_boxes():
    """They are in nobody's way, and alone they are an empty tensor."""
    empty = Box((3, 5), (0, 6), (0, 0))
    assert winit.Shards([empty], (8, 11)).local_shape == (0, 6)
    assert winit.Shards([*ROWS, Box((0, 0), (0, 6), (1, 0))], (8, 6)).local_shape == (4, 6)
    assert winit.Shards([Box((), (), ())], ()).local_shape == ()
    with pytest.raises(ValueError, match="disjoint"):
        winit.Shards([Box((), (), ())] * 2, ())


def test_many_boxes_take_little_time_to_check():
    """Each is compared with its neighbors, not with all."""
    step, count = 2, 6_000
    boxes = [Box((0, step * i), (3, 1), (0, i)) for i in range(count)]
    begin = time.process_time()
    assert winit.Shards(boxes, (3, step * count)).local_shape == (3, count)
    assert time.process_time() - begin < 6  # all pairs take half a minute, this a third of a second


def test_shards_fit_one_shape():
    shards = winit.Shards(ROWS, (8, 6))
    shards.check("fill_", (4, 6))
    with pytest.raises(ValueError, match=r"^fill_: shard\.local_shape must be \(5, 6\), as the te"):
        shards.check("fill_", (5, 6))
    with pytest.raises(ValueError, match=r"^fill_: shard\.global_shape must be of 1 dimensions"):
        shards.check("fill_", (4,))
    assert shards.boxes_of((4, 6)) == ROWS
    assert winit.Shard((8, 6), (2, 1)).boxes_of((3, 5)) == (Box((2, 1), (3, 5), (0, 0)),)


# ------------------------------------------------------------------------- partition


def megatron(whole, dim, rank, world, stride):
    """The pieces that Megatron-LM gives to a rank, joined."""
    pieces = whole.split(whole.shape[dim] // world // stride, dim)
    return torch.cat(pieces[rank::world], dim)


@pytest.mark.parametrize("shape", [(24,), (24, 5), (3, 24), (2, 24, 3)])
@pytest.mark.parametrize(("world", "stride"), [(1, 1), (1, 3), (4, 1), (2, 2), (3, 4), (8, 3)])
def test_partitions_are_megatrons(shape, world, stride):
    whole = numbered(shape)
    dim = shape.index(24)
    for rank in range(world):
        expected = megatron(whole, dim, rank, world, stride)
        for given in (dim, dim - len(shape)):
            part = winit.Shard.partition(shape, given, rank, world, stride)
            part.check("fill_", expected.shape)
            assert torch.equal(taken(whole, tuple(expected.shape), part), expected)
            is_one = world == 1 or stride == 1
            assert isinstance(part, winit.Shard if is_one else winit.Shards)


def test_partition_of_nothing():
    assert winit.Shard.partition((0, 4), 0, 1, 2, 3) == winit.Shard((0, 4), (0, 0))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((9, 4), 0, 0, 2), ValueError, "global_shape must be divisible by world * stride = 2 in"),
        (((8, 4), 0, 0, 2, 3), ValueError, "divisible by world * stride = 6 in dimension 0"),
        (((8, 4), 2, 0, 2), ValueError, "dim must be a dimension of global_shape = (8, 4), got 2"),
        (((8, 4), -3, 0, 2), ValueError, "dim must be a dimension of global_shape"),
        (((), 0, 0, 1), ValueError, "dim must be a dimension of global_shape = ()"),
        (((8, 4), 0, 2, 2), ValueError, "rank must be at least 0 and below world = 2, got 2"),
        (((8, 4), 0, -1, 2), ValueError, "rank must be at least 0"),
        (((8, 4), 0, 0, 0), ValueError, "world must be at least 1"),
        (((8, 4), 0, 0, 2, 0), ValueError, "stride must be at least 1"),
        (((8, 4), 0.5, 0, 2), TypeError, "dim must be an integer"),
        ((8, 0, 0, 2), TypeError, "global_shape must be a sequence of integers"),
    ],
)
def test_what_cannot_be_partitioned(arguments, error, message):
    with pytest.raises(error, match=r"^Shard\.partition: ") as caught:
        winit.Shard.partition(*arguments)
    assert message in str(caught.value)


# ------------------------------------------------------------------------- checkpointable tensors


def checkpointable(shape, boxes, global_shape):
    """A tensor with the attributes of torch's `CheckpointableTensor`."""
    tensor = torch.zeros(shape)
    tensor.global_shape = global_shape
    tensor.global_offsets = tuple(offsets for offsets, _, _ in boxes)
    tensor.local_sizes = tuple(sizes for _, sizes, _ in boxes)
    tensor.local_offsets = tuple(local for _, _, local in boxes)
    return tensor


def test_parts_of_checkpointable_tensors():
    read = winit.Shard.from_checkpointable
    one = checkpointable((2, 6), [((4, 0), (2, 6), (0, 0))], torch.Size((8, 6)))
    assert read(one) == winit.Shard((8, 6), (4, 0))
    several = [(box.offsets, box.sizes, box.local_offsets) for box in ROWS]
    assert read(checkpointable((4, 6), several, (8, 6))) == winit.Shards(ROWS, (8, 6))
    assert read(checkpointable((), [((), (), ())], ())) == winit.Shard((), ())
    assert read(checkpointable((0, 6), [], (8, 6))) == winit.Shard((8, 6), (0, 0))
    protocol = pytest.importorskip("torch.distributed.checkpoint")
    if hasattr(protocol, "CheckpointableTensor"):  # since torch 2.14
        assert isinstance(one, protocol.CheckpointableTensor)


@pytest.mark.parametrize(
    ("tensor", "error", "message"),
    [
        (torch.zeros(2), TypeError, "tensor must be a tensor with the sequences global_shape, gl"),
        (checkpointable(4, [((0,), (3,), (0,))], (8,)), ValueError, "local_shape must be (4,)"),
        (checkpointable(4, [((0,), (3,), (1,))], (8,)), ValueError, "without a gap in the local"),
        (checkpointable(4, [((6,), (4,), (0,))], (8,)), ValueError, "inside global_shape = (8,)"),
        (checkpointable(4, [], (8,)), ValueError, "without elements, as it has no box"),
        (checkpointable(4, [((0, 0), (4, 1), (0, 0))], (8, 1)), ValueError, "of 1 dimensions"),
        (checkpointable(4, [((0,), (4.5,), (0,))], (8,)), TypeError, "a sequence of integers"),
    ],
)
def test_what_checkpointable_tensors_may_not_say(tensor, error, message):
    with pytest.raises(error) as caught:
        winit.Shard.from_checkpointable(tensor)
    assert message in str(caught.value)


def test_lists_of_different_lengths():
    tensor = checkpointable((4, 6), [((0, 0), (4, 6), (0, 0))], (8, 6))
    tensor.local_sizes *= 2
    with pytest.raises(ValueError, match=r"of as many global_offsets, local_sizes, .*\[1, 2, 1\]"):
        winit.Shard.from_checkpointable(tensor)
