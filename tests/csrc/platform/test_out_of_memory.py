"""Whatever memory fails, tensor and generator stay as they were: no key has been drawn."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

from children import in_a_child
from core import _C, CODES, KEY, bits, box_of, call, quick
from reference import Key

if TYPE_CHECKING:
    from collections.abc import Callable

FORKS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
KINDS = ("allocation", "thread_start", "worker_range")


class Operation(NamedTuple):
    """Fills a tensor that it is given, by a key that it is given what draws."""

    shape: tuple[int, ...]
    write: Callable[..., Any]
    allocations: int  # at least
    dtype: torch.dtype = torch.float32
    key: Key = KEY
    is_shared: bool = False  # large enough for several threads
    is_turned: bool = False

    def tensor(self) -> torch.Tensor:
        shape = self.shape[::-1] if self.is_turned else self.shape
        memory = torch.full(shape, 0.25, dtype=torch.float64).to(self.dtype)
        return memory.t() if self.is_turned else memory

    def run(self, tensor: torch.Tensor, threads: int = 2) -> int:
        """How often the key is drawn."""
        draws = []

        def draw():
            draws.append(1)
            return tuple(self.key)

        try:
            self.write(tensor, draw, threads)
        except RuntimeError:
            assert not draws
            raise
        return len(draws)


def law(name, *numbers):
    def write(tensor, draw, threads):
        call(name, tensor, draw, 0, 0, *numbers, threads=threads)

    return write


def quickly(name, *numbers):
    def write(tensor, draw, threads):
        assert quick(name, tensor, numbers, (draw, 0, 0), threads) is True

    return write


def sparse(zeros, shape=None, offsets=()):
    def write(tensor, draw, threads):
        thresholds = torch.empty(2 * tensor.shape[1], dtype=torch.int64)
        box = box_of(tensor, shape, offsets) if shape else None
        numbers = (*(shape or tensor.shape), zeros, 1.0, thresholds.data_ptr())
        call("sparse", tensor, draw, 0, 0, *numbers, box=box, threads=threads)

    return write


def sparse_boxes(tensor, draw, threads):
    """The first rows and the last, and some columns of others, of a matrix of 9000 x 84."""
    shape, given = (9000, 84), []
    for view, offsets in ((tensor[:200], (0, 4)), (tensor[200:, :9], (400, 4))):
        given.append((view.data_ptr(), view.numel(), box_of(view, shape, offsets)))
    view = tensor[200:, 9:]
    last = [(view.data_ptr(), view.numel(), box_of(view, shape, (400, 13)))]
    where = (CODES[tensor.dtype], -1, 0, threads, draw, 0, 0)
    _C.sparse_boxes([(4, 80, given), (13, 71, last)], *where, *shape, 4000, 1.0, 0)


def orthogonal(shape=None, first=(0, 0)):
    def write(tensor, draw, threads):
        part = (first[0], tensor.shape[0], first[1], tensor.shape[1])
        numbers = (*(shape or tensor.shape), *part, 1.5)
        call("orthogonal", tensor, draw, 0, 0, *numbers, threads=threads)

    return write


def batch(tensor, draw, threads):
    numbers = (*tensor.shape, 1.5, 0)
    call("orthogonal_batch", tensor, draw, 0, 0, *numbers, threads=threads)


def pieces(*sides):
    """Squares of these sides, one below the other."""

    def write(tensor, draw, threads):
        items, begin = [], 0
        for number, side in enumerate(sides):
            view = tensor[begin : begin + side, :side]
            box = (view.data_ptr(), view.numel(), box_of(view), 0, side, 0, side)
            items.append((number - 1, side, side, True, [(0, side)], [box]))
            begin += side
        _C.orthogonal_boxes(items, CODES[tensor.dtype], draw, 0, 0, 1.5, threads)

    return write


def fill_list(tensor, draw, threads):
    half = tensor.numel() // 2
    code, size = CODES[tensor.dtype], tensor.element_size()
    items = [
        ("trunc_normal", tensor.data_ptr(), code, half, None, 0.0, 1.0, 1.25, 3.0),
        ("constant", tensor.data_ptr() + half * size, code, tensor.numel() - half, None, 2.0),
    ]
    made = _C.FillList(-1, items)
    keys = np.array([*draw(), 0, 0], dtype=np.uint64)
    made.run(keys.ctypes.data, False, 0, threads, 0)


FEW, MANY = (1000,), (1_400_003,)
FLOAT64 = torch.float64
TALL = (20_000, 16)
OPERATIONS = {
    "uniform": Operation(MANY, law("uniform", -1.0, 1.0), 0, is_shared=True),
    "normal": Operation((1103, 811), law("normal", 0.0, 1.0), 0, is_shared=True, is_turned=True),
    "two-sided": Operation(FEW, law("trunc_normal", 0.0, 1.0, -2.0, 2.0), 0),
    # The table of a truncation is kept: these are bounds that no other test has.
    "one-sided": Operation(FEW, law("trunc_normal", 0.0, 1.0, 1.53, 3.07), 2),
    "quick, few": Operation(FEW, quickly("trunc_normal", 0.0, 1.0, 1.76, 3.07), 2),
    "quick, many": Operation(MANY, quickly("trunc_normal", 0.0, 1.0, 2.26, 3.07), 2, FLOAT64),
    "list": Operation(MANY, fill_list, 4, is_shared=True),
    "sparse, no zeros": Operation((64, 64), sparse(0), 0),
    "sparse, kept": Operation((300, 1024), sparse(100), 1, is_shared=True),
    "sparse, windows": Operation((300, 1025), sparse(100), 1, is_shared=True),
    "sparse, turned": Operation((500, 300), sparse(100), 1, is_turned=True),
    "sparse, tall": Operation((200_000, 3), sparse(50_000), 1, is_shared=True),
    "sparse, below its window": Operation(TALL, sparse(10_000), 1, key=Key(737, 1)),
    "sparse, above its window": Operation(TALL, sparse(10_000), 1, key=Key(3859, 1)),
    "sparse, boxes": Operation((300, 80), sparse_boxes, 2),
    "sparse, part": Operation((300, 3), sparse(1000, (9000, 77), (500, 70)), 1),
    "orthogonal, smallest": Operation((4, 4), orthogonal(), 0),
    "orthogonal, small": Operation((30, 30), orthogonal(), 1),
    "orthogonal, blocked": Operation((300, 200), orthogonal(), 1, is_shared=True),
    "orthogonal, wide": Operation((200, 300), orthogonal(), 1, FLOAT64),
    "orthogonal, by panels": Operation((700, 5), orthogonal((700, 690), (0, 600)), 1),
    "orthogonal, by rows": Operation((7, 600), orthogonal((700, 690), (33, 11)), 1),
    "orthogonal, turned": Operation((130, 170), orthogonal(), 1, is_turned=True),
    "batch, small": Operation((40, 8, 8), batch, 0),
    "batch, many": Operation((40, 50, 70), batch, 1, is_shared=True),
    "batch, few": Operation((1, 250, 200), batch, 1, FLOAT64),
    "pieces": Operation((540, 300), pieces(30, 10, 300, 200), 2),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))


@pytest.fixture(autouse=True)
def nothing_fails_afterwards():
    yield
    for kind in KINDS:
        _C.fail_after(kind, -1)


@every_operation
def test_every_allocation(operation):
    for passing in itertools.count():
        _C.free_kept_memory()
        tensor, untouched = operation.tensor(), bits(operation.tensor())
        _C.fail_after("allocation", passing)
        try:
            assert operation.run(tensor) == 1
            break
        except RuntimeError as error:
            words = str(error).split()
            assert words[:5] == ["out", "of", "memory:", "it", "needs"]
            assert int(words[5]) > 0
            assert np.array_equal(bits(tensor), untouched)
    assert passing >= operation.allocations
    _C.fail_after("allocation", -1)
    expected = operation.tensor()
    operation.run(expected, threads=1)
    assert np.array_equal(bits(tensor), bits(expected))
    assert not np.array_equal(bits(tensor), untouched)


@every_operation
def test_nothing_is_allocated_after_the_draw(operation):
    if operation.write is fill_list:
        pytest.skip("a list is set up before")
    written = operation.tensor()

    def draw():
        _C.fail_after("allocation", 0)
        return tuple(operation.key)

    operation.write(written, draw, 3)
    room = torch.empty(30, 30)
    with pytest.raises(RuntimeError, match="out of memory"):  # that one still comes
        orthogonal()(room, lambda: KEY, 1)


def test_a_list_that_runs_allocates_nothing():
    tensor = torch.empty(MANY)
    item = ("normal", tensor.data_ptr(), CODES[tensor.dtype], tensor.numel(), None, 0.0, 1.0)
    made, keys = _C.FillList(-1, [item]), np.array(KEY, dtype=np.uint64)
    _C.fail_after("allocation", 0)
    made.run(keys.ctypes.data, False, 0, 3, 0)
    with pytest.raises(RuntimeError, match="out of memory"):
        _C.FillList(-1, [item])


@FORKS
@pytest.mark.parametrize("passing", range(4))
def test_every_thread(passing):
    tensors = [operation.tensor() for operation in OPERATIONS.values()]

    def results(threads):
        for tensor, operation in zip(tensors, OPERATIONS.values(), strict=True):
            operation.write(tensor, lambda operation=operation: tuple(operation.key), threads)
        return [bits(tensor).tobytes() for tensor in tensors]

    expected = results(1)

    def work():  # where no thread has been started yet, and torch's are gone
        _C.fail_after("thread_start", passing)
        return b"same" if results(4) == expected else b"others"

    assert in_a_child(work) == b"same"


SHARED = {name: operation for name, operation in OPERATIONS.items() if operation.is_shared}


@pytest.mark.parametrize("operation", SHARED.values(), ids=list(SHARED))
def test_a_worker_that_fails(operation):
    def run():
        tensor = operation.tensor()
        operation.write(tensor, lambda: tuple(operation.key), 4)
        return bits(tensor)

    def run_often():  # workers may come too late for some
        for _ in range(1000):
            run()

    expected = run()
    _C.fail_after("worker_range", 0)
    with pytest.raises(RuntimeError, match="a worker fails for a test"):
        run_often()
    for _ in range(3):
        assert np.array_equal(run(), expected)


@pytest.mark.parametrize("rows", [1 << 40, 1 << 57, 1 << 62, (1 << 63) - 1])
@pytest.mark.parametrize("columns", [5, 1 << 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_sizes_beyond_any_memory(rows, columns, dtype):
    for shape in ((rows, columns), (columns, rows), (rows, rows)):
        for first in ((0, 0), (shape[0] - 3, shape[1] - 4)):
            tensor = torch.full((3, 4), 0.25, dtype=dtype)
            with pytest.raises(RuntimeError, match=r"it needs \d{14,19} bytes"):
                orthogonal(shape, first)(tensor, pytest.fail, 2)
            assert (tensor == 0.25).all()


@pytest.mark.parametrize("rows", [1 << 62, (1 << 63) - 1])
def test_a_sparse_column_of_any_length(rows):
    tensor = torch.full((3, 4), 0.25)
    for zeros in (1, rows // 2, rows - 1, rows):
        _C.fail_after("allocation", 0)
        with pytest.raises(RuntimeError, match=r"it needs \d+ bytes"):
            sparse(zeros, (rows, 4))(tensor, pytest.fail, 2)
    assert (tensor == 0.25).all()


def test_a_batch_beyond_any_memory():
    tensor = torch.empty(0)
    where = (tensor.data_ptr(), CODES[tensor.dtype], 1 << 60, None, -1, 0, 2)
    with pytest.raises(RuntimeError, match=r"it needs \d{16,19} bytes"):
        _C.orthogonal_batch(*where, pytest.fail, 0, 0, 1, 1 << 30, 1 << 30, 1.0, 0)
