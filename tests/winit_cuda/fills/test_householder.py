"""The orthogonal matrix as matrix products: against that of its reflectors, in every form."""

from __future__ import annotations

import pytest
import torch

import winit_cuda as winit
from core import KEY, reflectors
from initializers import needs_core
from reference import Key, householder_product
from winit_cuda._core import backend
from winit_cuda._core.dtypes import CODES
from winit_cuda._core.target import describe
from winit_cuda._fills import householder
from winit_cuda._fills.householder import Part, write_batch, write_boxes, write_orthogonal

pytestmark = needs_core

SHAPES = [(1, 1), (1, 4), (4, 1), (4, 4), (9, 5), (5, 9), (40, 40), (70, 33), (33, 70), (60, 60)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture(params=["one product", "panels", "panels and pieces"])
def form(request, monkeypatch):
    """Each way to the matrix, for matrices of a size that tests can have."""
    if request.param != "one product":
        monkeypatch.setattr(householder, "_MEDIUM", 0)
        monkeypatch.setattr(householder, "_PANEL", 8)
    if request.param == "panels and pieces":
        monkeypatch.setattr(householder, "_SPARE_BYTES", 0)
    return request.param


def exact(shape, key=KEY):
    tall = max(shape), min(shape)
    q = torch.from_numpy(householder_product(*reflectors(*tall, torch.float64, key=key)))
    return q if shape == tall else q.t()


def write(tensor, part, gain=1.0, key=KEY):
    write_orthogonal(backend.loaded, describe(tensor), (0, *key), gain, part, tensor)
    return tensor


def nan(*shape, dtype=torch.float64):
    return torch.full(shape, torch.nan).to(dtype)


def close(found, expected, tolerance=1e-14):
    return torch.allclose(found.double(), expected.double(), rtol=0, atol=tolerance)


@every_shape
@pytest.mark.usefixtures("form")
def test_the_whole_matrix(shape):
    assert close(write(nan(*shape), Part.whole(*shape)), exact(shape))
    found = write(nan(*shape), Part.whole(*shape), gain=-2.5)
    assert close(found, -2.5 * exact(shape), 1e-13)


PARTS = [(0, 1, 0, 1), (3, 4, 0, 33), (0, 60, 7, 2), (20, 40, 30, 3), (59, 1, 32, 1), (5, 30, 0, 9)]


@pytest.mark.parametrize("part", PARTS, ids=str)
@pytest.mark.parametrize("shape", [(60, 33), (33, 60), (60, 60)], ids=str)
@pytest.mark.usefixtures("form")
def test_parts_are_those_of_the_whole(part, shape):
    first_row, row_count, first_column, column_count = part
    if shape[0] < shape[1]:
        first_row, row_count, first_column, column_count = (*part[2:], *part[:2])
    found = write(nan(row_count, column_count), Part(*shape, first_row, row_count, *(
        first_column, column_count
    )))  # fmt: skip
    rows = slice(first_row, first_row + row_count)
    assert close(found, exact(shape)[rows, first_column : first_column + column_count])


FEW_LINES = [(3, 4, 0, 33), (0, 60, 7, 2), (20, 39, 30, 3), (59, 1, 32, 1), (8, 9, 11, 9)]
MANY_LINES = [(0, 60, 2, 12), (5, 50, 16, 17)]  # as columns worth one product
ROWS = [(0, 3, 0, 33), (20, 4, 0, 33), (50, 2, 5, 28)]


@pytest.mark.parametrize("places", [FEW_LINES, MANY_LINES, ROWS], ids=["few", "many", "rows"])
@pytest.mark.parametrize("shape", [(60, 33), (33, 60), (60, 60)], ids=str)
@pytest.mark.usefixtures("form")
def test_boxes_are_those_of_the_whole(shape, places):
    boxes = []
    for place in places:
        part = Part(max(shape), min(shape), *place)
        part = part if shape[0] >= shape[1] else part.transposed()
        boxes.append((part, nan(part.row_count, part.column_count)))
    tensor = boxes[0][1]
    write_boxes(backend.loaded, describe(tensor), (0, *KEY), 1.0, boxes)
    whole = exact(shape)
    for part, found in boxes:
        rows = slice(part.first_row, part.first_row + part.row_count)
        assert close(found, whole[rows, part.first_column : part.first_column + part.column_count])


def test_boxes_share_the_reflectors():
    boxes = [(Part(600, 400, row, 8, 0, 400), nan(8, 400)) for row in range(0, 600, 40)]
    entries = []
    for few in (boxes[:1], boxes):
        core = Counting()
        write_boxes(core, describe(few[0][1]), (0, *KEY), 1.0, few)
        entries.append(core.entries)
    assert entries[0] == entries[1]


class Counting:
    """The core, and how many numbers its reflectors had."""

    def __init__(self):
        self.entries = 0

    def reflectors(self, pointer, code, rows, columns, first, count, *rest):
        self.entries += (rows - first) * count
        backend.loaded.reflectors(pointer, code, rows, columns, first, count, *rest)


@pytest.mark.parametrize("by", ["rows", "columns"])
def test_a_part_costs_what_it_is_large(by, monkeypatch):
    """Products of a thin X; and of the reflectors only those that the part's columns take."""
    monkeypatch.setattr(householder, "_PANEL", 16)
    multiplied = []
    mm = torch.mm

    def counting_mm(a, b):
        multiplied.append(a.shape[0] * a.shape[1] * b.shape[1])
        return mm(a, b)

    monkeypatch.setattr(householder.torch, "mm", counting_mm)
    costs = {}
    for size in (10, 20, 200):
        part = Part(200, 200, 0, size, 0, 200) if by == "rows" else Part(200, 200, 0, 200, 90, size)
        if size == 200:
            part = Part.whole(200, 200)
            monkeypatch.setattr(householder, "_MEDIUM", 0)
        core, tensor = Counting(), nan(part.row_count, part.column_count)
        multiplied.clear()
        write_orthogonal(core, describe(tensor), (0, *KEY), 1.0, part, tensor)
        triangles = 16 * core.entries
        costs[size] = sum(multiplied) - triangles, core.entries
    # All of X's rows meet all panels, half of them in the whole matrix.
    assert costs[10][0] < 0.6 * costs[20][0]
    assert costs[20][0] < 0.3 * costs[200][0]
    if by == "columns":
        assert costs[10][1] < 200 * (90 + 10 + 16)


@every_shape
def test_shapes_and_layouts(shape):
    expected = write(nan(*shape), Part.whole(*shape))
    rows, columns = shape
    for tensor in (
        nan(columns, rows).t(),
        nan(2 * rows, 3 * columns)[::2, ::3],
        nan(rows * columns),
        nan(columns, 1, rows).permute(2, 1, 0),
    ):
        write(tensor, Part.whole(*shape))
        assert torch.equal(tensor.reshape(shape), expected)


def test_dimensions_that_are_not_one():
    expected = write(nan(6, 20), Part.whole(6, 20))
    tensor = nan(5, 4, 6).permute(2, 1, 0)
    assert torch.equal(write(tensor, Part.whole(6, 20)).reshape(6, 20), expected)


@pytest.mark.parametrize("dtype", CODES, ids=str)
def test_rounded_once(dtype):
    double = write(nan(50, 40), Part.whole(50, 40), 1.5)
    found = write(nan(50, 40, dtype=dtype), Part.whole(50, 40), 1.5)
    expected = double if dtype == torch.float64 else double.float().to(dtype)
    assert torch.equal(found.double(), expected.double())


@pytest.mark.parametrize("shape", [(300, 300), (400, 280), (280, 400)], ids=str)
@pytest.mark.usefixtures("form")
def test_float32_products(shape, monkeypatch):
    monkeypatch.setattr(householder, "_PANEL", 64)
    single = write(nan(*shape, dtype=torch.float32), Part.whole(*shape)).double()
    double = write(nan(*shape), Part.whole(*shape))
    assert close(single, double, 1e-6)
    for matrix, tolerance in ((single, 1e-6), (double, 1e-14)):
        gram = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
        assert close(gram, torch.eye(len(gram)), tolerance)


@pytest.mark.parametrize("size", [8, 300])
def test_neither_matmul_precision_nor_autocast_shows(size):
    def made():
        return write(nan(size, size, dtype=torch.float32), Part.whole(size, size))

    expected = made()
    torch.set_float32_matmul_precision("medium")
    try:
        assert close(made(), expected, 1e-6)
    finally:
        torch.set_float32_matmul_precision("highest")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(made(), expected)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (260, 258), (3, 1030)], ids=str)
@pytest.mark.parametrize("medium", [1024, 0], ids=["together", "one by one"])
def test_batches(shape, medium, monkeypatch):
    """By the core where it takes them, else by batched products, here of one matrix at a time."""
    monkeypatch.setattr(householder, "_MEDIUM", medium)
    monkeypatch.setattr(householder, "_SPARE_BYTES", 0)
    count = 3
    tensor = nan(*shape, count).permute(2, 0, 1)
    place = describe(tensor)
    write_batch(backend.loaded, place, (0, *KEY), 0.5, count, *shape, tensor)
    for matrix, child in zip(tensor, winit.split(winit.Key(*KEY), count), strict=True):
        expected = write(nan(*shape), Part.whole(*shape), 0.5, Key(child.seed, child.stream))
        assert close(matrix, expected)


def test_nothing_to_write():
    write(nan(0, 5), Part(9, 5, 3, 0, 0, 5))
    write(nan(9, 0), Part(9, 5, 0, 9, 2, 0))
    place = describe(nan(0, 3, 3))
    write_batch(backend.loaded, place, (0, *KEY), 1.0, 0, 3, 3, nan(0, 3, 3))


@pytest.fixture
def slow_core():
    """The instruction set whose matrices are made by products."""
    backend.loaded.set_simd("portable")
    yield
    backend.loaded.set_simd(None)


CALLS = [
    ((40, 40), {}),
    ((300, 70), {}),
    ((70, 300), {"gain": 2.0}),
    ((3, 64, 40), {"batch_dims": 1}),
    ((120, 50), {"chunks": 3}),
    ((50, 30), {"shard": winit.Shard((90, 60), (20, 15))}),
    ((80, 20), {"chunks": 2, "shard": winit.Shard((120, 60), (20, 40))}),
]


@pytest.mark.parametrize(("shape", "options"), CALLS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_the_same_matrix_as_the_core_s(shape, options, dtype, request):
    def made():
        return winit.orthogonal_(torch.empty(shape, dtype=dtype), key=winit.Key(*KEY), **options)

    expected = made()
    request.getfixturevalue("slow_core")
    found = made()
    assert dtype == torch.bfloat16 or not torch.equal(found, expected)  # the bits are torch's
    assert close(found, expected, {torch.float32: 1e-6, torch.float64: 1e-14}.get(dtype, 2**-8))


@pytest.mark.usefixtures("slow_core")
@pytest.mark.parametrize(
    ("shape", "options"),
    [*CALLS, ((1100, 1030), {}), ((2, 1), {}), ((300, 1), {}), ((70, 3, 3, 3), {})],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_the_largest_gains(shape, options, dtype):
    """No sum on the way to an entry leaves the dtype."""
    largest = torch.finfo(dtype).max
    options = {**options, "key": winit.Key(*KEY)}
    one = winit.orthogonal_(torch.empty(shape, dtype=torch.float64), **{**options, "gain": 1.0})
    for gain in (largest, -largest, largest / 3, largest / 2048):
        found = winit.orthogonal_(torch.empty(shape, dtype=dtype), **{**options, "gain": gain})
        assert close(found.double() / gain, one, 2**-8 if dtype == torch.bfloat16 else 1e-6)


def test_small_matrices_are_the_core_s(request):
    expected = winit.orthogonal_(torch.empty(32, 32), key=winit.Key(*KEY))
    request.getfixturevalue("slow_core")
    assert torch.equal(winit.orthogonal_(torch.empty(32, 32), key=winit.Key(*KEY)), expected)


def test_delta_orthogonal_by_products(request):
    expected = winit.delta_orthogonal_(torch.empty(64, 40, 3), key=winit.Key(*KEY))
    request.getfixturevalue("slow_core")
    found = winit.delta_orthogonal_(torch.empty(64, 40, 3), key=winit.Key(*KEY))
    assert close(found, expected, 1e-6)
    assert not found[..., ::2].any()


@pytest.mark.usefixtures("slow_core")
@pytest.mark.parametrize("own", [False, True], ids=["default generator", "generator"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [((64, 64), {}), ((2, 64, 64), {"batch_dims": 1}), ((128, 64), {"chunks": 2})],
    ids=str,
)
def test_failing_products_leave_tensor_and_generator(own, shape, options, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no memory")

    generator = torch.Generator() if own else torch.default_generator
    tensor = torch.ones(shape)
    before = generator.get_state()
    with monkeypatch.context() as patched:
        patched.setattr(torch.linalg, "solve_triangular", fail)
        with pytest.raises(RuntimeError, match="orthogonal_: no memory"):
            winit.orthogonal_(tensor, generator=generator if own else None, **options)
        with pytest.raises(RuntimeError, match="delta_orthogonal_: no memory"):
            winit.delta_orthogonal_(torch.empty(64, 64, 3), generator=generator if own else None)
    assert torch.equal(generator.get_state(), before)
    assert (tensor == 1).all()
    key = torch.empty(2, dtype=torch.int64).random_(generator=generator).tolist()
    generator.set_state(before)
    winit.orthogonal_(tensor, generator=generator if own else None, **options)
    expected = winit.orthogonal_(torch.empty(shape), key=winit.Key(*key), **options)
    assert torch.equal(tensor, expected)
