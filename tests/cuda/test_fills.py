"""CPU = CUDA bits through the public functions: dtypes, layouts, sizes, devices, errors.

What the core writes is compared by the tests of csrc, which run on CUDA too (the id `cuda`). Here
everything in between takes part: addresses, boxes, streams, devices.
"""

from __future__ import annotations

import math

import pytest
import torch

import winit_cuda as winit
from core import DTYPES, draw
from initializers import FIXED, ORTHOGONAL, RANDOM, Initializer, Unchanged, every, every_elementwise
from standin import OTHER_DEVICES, needs_two_devices
from winit_cuda._core import backend, target
from winit_cuda._fills import householder
from winit_cuda._keys.keys import words_of_cuda_generator

KEY = winit.Key(0x0123456789ABCDEF, 0xFEDCBA9876543210)

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def same_bits(a, b):
    """Equal byte for byte, wherever they are."""
    a, b = (tensor.detach().cpu().contiguous().view(-1).view(torch.uint8) for tensor in (a, b))
    return torch.equal(a, b)


def agree(initializer, found, expected):
    """The same bits; orthogonal_ goes through products that are rounded differently."""
    if initializer.name not in ORTHOGONAL:
        return same_bits(found, expected)
    # One step of the dtype at 1, where 1e-6 is finer than that.
    tolerance = max(1e-6, torch.finfo(found.dtype).eps)
    wide = found.cpu().double(), expected.double()
    return torch.allclose(*wide, rtol=0, atol=tolerance)


def apply(initializer, tensor, key=KEY):
    options = {"key": key} if initializer.is_random else {}
    result = initializer(tensor, **options)
    assert result is tensor
    return tensor


# ------------------------------------------------------------------------- dtypes and layouts


# Truncated on one side of the mean; spreads below 2^-90: maps and kernels of their own.
SPECIAL = [
    Initializer("trunc_normal_", (6, 5), (0.0, 1.0, 1.0, 3.0)),
    Initializer("uniform_", (6, 5), (-1e-30, 1e-30)),
    Initializer("normal_", (6, 5), (0.0, 1e-30)),
    Initializer("trunc_normal_", (6, 5), (0.0, 1e-30, -2e-30, 2e-30)),
    Initializer("trunc_normal_", (6, 5), (0.0, 1e-30, 0.0, 3e-30)),
]
every_and_special = pytest.mark.parametrize(
    "initializer",
    [*RANDOM, *FIXED, *(pytest.param(each, id=f"{each}{each.arguments}") for each in SPECIAL)],
    ids=str,
)


@every_and_special
@every_dtype
def test_every_initializer_and_dtype(initializer, dtype):
    for shape in (initializer.shape, (67, 43, *initializer.shape[2:])):
        found = torch.full(shape, 7.0).to(dtype).cuda()
        expected = torch.empty(shape, dtype=dtype)
        assert agree(initializer, apply(initializer, found), apply(initializer, expected))


def transposed(shape, dtype, device):
    memory = torch.full((math.prod(shape) + 9,), 7.0).to(dtype).to(device)
    return memory, memory[: math.prod(shape)].view(shape[::-1]).permute(*range(len(shape))[::-1])


def sliced(shape, dtype, device):
    memory = torch.full([2 * n + 3 for n in shape], 7.0).to(dtype).to(device)
    return memory, memory[tuple(slice(1, 1 + 2 * n, 2) for n in shape)]


def misaligned(shape, dtype, device):
    memory = torch.full((math.prod(shape) + 9,), 7.0).to(dtype).to(device)
    return memory, memory[1 : 1 + math.prod(shape)].view(shape)


def expanded_then_cut(shape, dtype, device):
    """Rows that end in the middle of a group of elements, with a gap behind each."""
    memory = torch.full((*shape[:-1], shape[-1] + 5), 7.0).to(dtype).to(device)
    return memory, memory[..., : shape[-1]]


LAYOUTS = (transposed, sliced, misaligned, expanded_then_cut)


@every_and_special
@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout(initializer, dtype, layout):
    shape = (31, 18, *initializer.shape[2:])
    memory, view = layout(shape, dtype, "cuda")
    expected_memory, expected = layout(shape, dtype, "cpu")
    apply(initializer, view)
    apply(initializer, expected)
    assert agree(initializer, view, expected)
    # Between the elements everything stays: fill the elements alike, and compare all.
    view.copy_(expected)
    assert same_bits(memory, expected_memory)


@every_elementwise
@pytest.mark.parametrize(
    ("shape", "memory_format"),
    [((8, 3, 5, 7), torch.channels_last), ((2, 3, 4, 5, 6), torch.channels_last_3d)],
    ids=["channels_last", "channels_last_3d"],
)
def test_memory_formats(initializer, shape, memory_format):
    found = torch.empty(shape, device="cuda").to(memory_format=memory_format)
    apply(initializer, found)
    assert found.is_contiguous(memory_format=memory_format)
    assert same_bits(found, apply(initializer, torch.empty(shape)))


@every_elementwise
def test_parameters_of_modules(initializer):
    found, expected = torch.nn.Linear(37, 53, device="cuda"), torch.nn.Linear(37, 53)
    assert same_bits(apply(initializer, found.weight), apply(initializer, expected.weight))
    assert found.weight.requires_grad


# ------------------------------------------------------------------------- sizes

LAWS = {
    "uniform": (winit.uniform_, "uniform", (-1.0, 1.0)),
    "normal": (winit.normal_, "normal", (0.0, 1.0)),
    "two-sided": (winit.trunc_normal_, "trunc_normal", (0.0, 1.0, -2.0, 2.0)),
    "one-sided": (winit.trunc_normal_, "trunc_normal", (0.0, 1.0, 1.0, 3.0)),
}
TINY = {
    "tiny uniform": (winit.uniform_, "uniform", (-1e-30, 1e-30)),
    "tiny normal": (winit.normal_, "normal", (0.0, 1e-30)),
}
every_law = pytest.mark.parametrize("law", LAWS)


@pytest.mark.parametrize("law", [*LAWS, *TINY])
@every_dtype
def test_odd_sizes(law, dtype):
    function, _, numbers = {**LAWS, **TINY}[law]
    for count in (1, 2, 3, 5, 255, 257, 4095, 4097, 65537, 1_000_003):
        tensors = torch.empty(count, dtype=dtype, device="cuda"), torch.empty(count, dtype=dtype)
        assert same_bits(*(function(each, *numbers, key=KEY) for each in tensors))


# Kernels could count in 32 bits where they may not.
large = pytest.mark.cuda("4 GiB and more are too slow to emulate")


def require_free(count):
    free = torch.cuda.mem_get_info()[0]
    if free < count:
        pytest.skip(f"needs {count / 2**30:.1f} GiB of CUDA memory, {free / 2**30:.1f} are free")


def expected_at(law, dtype, index, count=1000):
    _, name, numbers = LAWS[law]
    return draw(name, count, dtype, *numbers, key=(KEY.seed, KEY.stream), index=index)


@large
@every_law
@pytest.mark.parametrize("offset", [0, 1], ids=["aligned", "misaligned"])
def test_more_than_2_32_elements(law, offset):
    dtype, count = torch.float8_e5m2, (1 << 32) + (1 << 20) + 7
    require_free(2 * count)
    tensor = torch.empty(count + offset, dtype=dtype, device="cuda")[offset:]
    function, _, numbers = LAWS[law]
    function(tensor, *numbers, key=KEY)
    for index in (0, (1 << 31) - 99, (1 << 32) - 101, count - 1000):
        assert same_bits(tensor[index : index + 1000], expected_at(law, dtype, index))


@large
def test_more_than_2_32_bytes_of_float64():
    count = (1 << 29) + (1 << 18) + 3
    require_free(10 * count)
    tensor = winit.normal_(torch.empty(count, dtype=torch.float64, device="cuda"), key=KEY)
    for index in (0, (1 << 29) - 101, count - 1000):
        found = tensor[index : index + 1000]
        assert same_bits(found, expected_at("normal", torch.float64, index))


@large
@every_law
def test_more_than_2_32_elements_transposed(law):
    dtype, rows, columns = torch.float8_e5m2, (1 << 16) + 1, (1 << 16) + 3
    require_free(2 * rows * columns)
    tensor = torch.empty(columns, rows, dtype=dtype, device="cuda").t()
    function, _, numbers = LAWS[law]
    function(tensor, *numbers, key=KEY)
    for row in (0, 1 << 15, (1 << 16) - 1, 1 << 16):
        expected = expected_at(law, dtype, row * columns, columns)
        assert same_bits(tensor[row], expected)


@large
def test_more_than_2_32_constants():
    count = (1 << 32) + 19
    require_free(2 * count)
    memory = torch.zeros(count + 16, dtype=torch.uint8, device="cuda")
    winit.constant_(memory[1 : count + 1], 3)
    assert memory[0] == 0
    assert not memory[count + 1 :].any()
    for part in memory[1 : count + 1].split(1 << 28):
        assert (part == 3).all()


# ------------------------------------------------------------------------- devices


@needs_two_devices
@pytest.mark.parametrize("index", OTHER_DEVICES)
@every
def test_a_device_that_is_not_current(initializer, index):
    expected = apply(initializer, initializer.empty())
    for current, other in ((0, index), (index, 0)):
        with torch.cuda.device(current):
            found = apply(initializer, initializer.empty(device=f"cuda:{other}"))
            assert torch.cuda.current_device() == current
        assert agree(initializer, found, expected)


@needs_two_devices
@pytest.mark.parametrize("index", OTHER_DEVICES)
def test_a_stream_of_a_device_that_is_not_current(index):
    device = torch.device("cuda", index)
    stream = torch.cuda.Stream(device)
    tensor = torch.zeros(1_000_003, device=device)
    torch.cuda.synchronize(device)
    with torch.cuda.stream(stream):  # makes the device current
        torch.cuda._sleep(50_000_000)
        with torch.cuda.device(0):
            winit.normal_(tensor, key=KEY)
    stream.synchronize()
    assert same_bits(tensor, winit.normal_(torch.empty(1_000_003), key=KEY))


@needs_two_devices
@pytest.mark.parametrize("index", OTHER_DEVICES)
def test_default_generator_of_a_device_that_is_not_current(index):
    generator = torch.cuda.default_generators[index]
    generator.manual_seed(5)
    offset = generator.get_offset()
    found = winit.normal_(torch.empty(99, device=f"cuda:{index}"), generator=generator)
    assert same_bits(
        found, winit.normal_(torch.empty(99), key=winit.Key(*words_of_cuda_generator(5, offset)))
    )


@needs_two_devices
def test_a_generator_of_another_device_is_an_error():
    tensor, generator = torch.ones(9, device="cuda:0"), torch.cuda.default_generators[1]
    with Unchanged(tensor, generator), pytest.raises(RuntimeError, match="generator must be on"):
        winit.normal_(tensor, generator=generator)


# ------------------------------------------------------------------------- errors

BAD_CALLS = {
    "std below 0": (winit.normal_, (0.0, -1.0), {}),
    "std that is not a number": (winit.normal_, (0.0, math.nan), {}),
    "a above b": (winit.uniform_, (1.0, 0.0), {}),
    "truncated, a above b": (winit.trunc_normal_, (0.0, 1.0, 2.0, -2.0), {}),
    "sparsity above 1": (winit.sparse_, (1.5,), {}),
    "mode unknown": (winit.kaiming_normal_, (), {"mode": "fan_up"}),
    "key of another type": (winit.normal_, (), {"key": 5}),
    "generator of another type": (winit.normal_, (), {"generator": 5}),
}


@pytest.mark.parametrize(("function", "numbers", "options"), BAD_CALLS.values(), ids=BAD_CALLS)
def test_an_error_leaves_everything_as_it_was(function, numbers, options):
    tensor, generator = torch.full((6, 5), 7.0, device="cuda"), torch.Generator("cuda")
    extra = {} if {"key", "generator"} & options.keys() else {"generator": generator}
    default = torch.cuda.default_generators[0]
    with Unchanged(tensor, generator, default), pytest.raises((ValueError, TypeError)):
        function(tensor, *numbers, **options, **extra)


@pytest.mark.parametrize("initializer", RANDOM + FIXED, ids=str)
def test_elements_that_share_memory_are_an_error(initializer: Initializer):
    shared = torch.zeros(1, *initializer.shape[1:], device="cuda").expand(initializer.shape)
    with Unchanged(shared), pytest.raises(RuntimeError, match="share memory"):
        apply(initializer, shared)


# ------------------------------------------------------------------------- orthogonal matrices


def made_on(device, shape, part=None, words=(0, KEY.seed, KEY.stream), dtype=torch.float32):
    """The part of a whole matrix, by matrix products of torch."""
    part = part or householder.Part.whole(*shape)
    tensor = torch.full((part.row_count, part.column_count), math.nan, device=device).to(dtype)
    core = backend.loaded
    householder.write_orthogonal(core, target.describe(tensor), words, 0.5, part, tensor)
    return tensor


ORTHOGONAL_SHAPES = [(1, 1), (30, 30), (300, 280), (280, 300), (1100, 1100), (2000, 200)]


@pytest.mark.parametrize("shape", ORTHOGONAL_SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_orthogonal_matrices_are_those_of_the_cpu(shape, dtype):
    found, expected = (made_on(device, shape, dtype=dtype) for device in ("cuda", "cpu"))
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    assert torch.allclose(found.cpu(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rows", [(0, 300, 17, 40), (100, 20, 0, 290)], ids=["columns", "rows"])
def test_parts_of_orthogonal_matrices(rows):
    whole = made_on("cuda", (300, 290))
    first_row, row_count, first_column, column_count = rows
    part = made_on("cuda", (300, 290), householder.Part(300, 290, *rows))
    expected = whole[first_row : first_row + row_count, first_column : first_column + column_count]
    assert torch.allclose(part, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("setting", ["tf32", "autocast"])
def test_no_short_products(setting):
    expected = made_on("cuda", (600, 600))
    if setting == "autocast":
        with torch.autocast("cuda", dtype=torch.bfloat16):
            found = made_on("cuda", (600, 600))
    else:
        torch.set_float32_matmul_precision("medium")
        try:
            found = made_on("cuda", (600, 600))
        finally:
            torch.set_float32_matmul_precision("highest")
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)


def batch_on(device, count, shape, words=(0, KEY.seed, KEY.stream)):
    tensor = torch.full((count, *shape), math.nan, device=device)
    place = target.describe(tensor)
    householder.write_batch(backend.loaded, place, words, 0.5, count, *shape, tensor)
    return tensor


@pytest.mark.parametrize("shape", [(4, 4), (64, 64), (70, 200), (200, 200), (300, 290)], ids=str)
def test_batches_of_orthogonal_matrices(shape):
    expected = batch_on("cpu", 9, shape)
    assert torch.allclose(batch_on("cuda", 9, shape).cpu(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (300, 290)], ids=str)
@pytest.mark.parametrize("make", ["one", "batch"])
def test_orthogonal_matrices_in_a_graph_take_the_key_of_the_replay(make, shape):
    def made(device, words):
        return (
            made_on(device, shape, words=words)
            if make == "one"
            else batch_on(device, 3, shape, words)
        )

    cell = torch.tensor([1, 2], device="cuda")
    words = (cell.data_ptr(), 0, 0)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        made("cuda", words)  # libraries set themselves up outside of the capture
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = made("cuda", words)
    for key in ((1, 2), (3, 4)):
        cell.copy_(torch.tensor(key))
        graph.replay()
        assert torch.allclose(found.cpu(), made("cpu", (0, *key)), rtol=0, atol=1e-6)
