"""Several orthogonal matrices in one tensor, and the matrix at the center of a convolution."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode

import winit_cuda as winit
from initializers import ORTHOGONAL, Unchanged, needs_core
from winit_cuda._core.torch_internals import serves_vmap

KEY = winit.Key(1, 2)
LOW_PRECISION = [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


def close(found, expected):
    """Equal to the rounding of the products, and of a short dtype's last digit."""
    tolerance = 1e-14 if found.dtype == torch.float64 else max(1e-6, torch.finfo(found.dtype).eps)
    return torch.allclose(found.double(), expected.double(), rtol=0, atol=tolerance)


def one_by_one(shape, dtype, batch_dims, chunks, gain=1.0):
    """Each matrix by a call of its own, with its child key."""
    tensor = torch.empty(shape, dtype=dtype)
    numbers = itertools.count()
    for index in itertools.product(*map(range, shape[:batch_dims])):
        for chunk in tensor[index].chunk(chunks):
            chunk.copy_(
                winit.orthogonal_(
                    torch.empty(chunk.shape, dtype=dtype),
                    gain,
                    key=winit.fold_in(KEY, next(numbers)),
                )
            )
    return tensor


SEVERAL = [
    ((3, 4, 4), 1, 1),
    ((2, 3, 7, 4), 2, 1),
    ((5, 2, 3, 2), 1, 1),
    ((1, 4, 6), 1, 1),
    ((16, 4), 0, 4),
    ((9, 5), 0, 3),
    ((6, 2, 2), 0, 2),
    ((6, 5), 0, 6),
    ((2, 12, 3), 1, 3),
    ((2, 2, 4, 3, 2), 2, 2),
    ((2, 300, 280), 1, 1),
]
several = pytest.mark.parametrize(("shape", "batch_dims", "chunks"), SEVERAL, ids=str)


@needs_core
@several
def test_each_matrix_has_its_child_key(shape, batch_dims, chunks):
    for dtype in (torch.float32, torch.float64):
        tensor = torch.empty(shape, dtype=dtype)
        found = winit.orthogonal_(tensor, -1.5, key=KEY, batch_dims=batch_dims, chunks=chunks)
        assert found is tensor
        assert close(found / 1.5, one_by_one(shape, dtype, batch_dims, chunks, -1.5) / 1.5)


@needs_core
@several
def test_each_matrix_is_orthogonal_and_unlike_the_others(shape, batch_dims, chunks):
    tensor = winit.orthogonal_(torch.empty(shape), key=KEY, batch_dims=batch_dims, chunks=chunks)
    rows = shape[batch_dims] // chunks
    matrices = tensor.double().reshape(-1, rows, *shape[batch_dims + 1 :]).flatten(2)
    if rows > matrices.shape[2]:
        matrices = matrices.mT
    gram = matrices @ matrices.mT
    assert (gram - torch.eye(matrices.shape[1])).abs().max() < 1e-6
    assert len({tuple(matrix.flatten().tolist()) for matrix in matrices}) == len(matrices)


@needs_core
@pytest.mark.parametrize("dtype", LOW_PRECISION, ids=str)
def test_several_in_low_precision_are_rounded_once(dtype):
    options = {"key": KEY, "batch_dims": 1, "chunks": 2}
    low = winit.orthogonal_(torch.empty(3, 8, 5, dtype=dtype), **options)
    full = winit.orthogonal_(torch.empty(3, 8, 5), **options)
    assert torch.equal(low.float(), full.to(dtype).float())


@needs_core
def test_several_in_any_memory_layout():
    expected = winit.orthogonal_(torch.empty(3, 8, 5), key=KEY, batch_dims=1, chunks=2)
    memory = torch.full((5, 17, 7), 7.0)
    views = {
        "turned": torch.empty(5, 8, 3).permute(2, 1, 0),
        "strided": memory[::2, :16:2, 1:6],
        "negative": torch.zeros(3, 8, 5, dtype=torch.complex64).conj().imag,
    }
    for name, view in views.items():
        assert winit.orthogonal_(view, key=KEY, batch_dims=1, chunks=2) is view
        assert close(view, expected), name
    assert (memory == 7).sum() == memory.numel() - 120


@needs_core
def test_one_matrix_has_the_key_itself():
    expected = winit.orthogonal_(torch.empty(6, 4), key=KEY)
    assert torch.equal(winit.orthogonal_(torch.empty(6, 4), key=KEY, chunks=1), expected)
    batch_of_one = winit.orthogonal_(torch.empty(1, 6, 4), key=KEY, batch_dims=1)
    assert not close(batch_of_one[0], expected)


@needs_core
def test_one_draw_for_all_matrices():
    drawn = torch.empty(2, dtype=torch.int64).random_(generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    found = winit.orthogonal_(torch.empty(4, 3, 3), generator=generator, batch_dims=1)
    key = winit.Key(*drawn.tolist())
    assert close(found, winit.orthogonal_(torch.empty(4, 3, 3), key=key, batch_dims=1))
    other = torch.Generator().manual_seed(5)
    winit.normal_(torch.empty(3), generator=other)
    assert torch.equal(generator.get_state(), other.get_state())


ERRORS = [
    ((3, 4), {"batch_dims": 1}, ValueError, "batch_dims must be in [0, 0], as a matrix has"),
    ((3, 4, 5), {"batch_dims": -1}, ValueError, "batch_dims must be in [0, 1]"),
    ((3, 4, 5), {"batch_dims": 1.0}, TypeError, "batch_dims must be an integer, got 1.0"),
    ((3, 4, 5), {"batch_dims": None}, TypeError, "batch_dims must be an integer, got None"),
    ((6, 4), {"chunks": 4}, ValueError, "chunks must be a divisor of the number of rows, 6, got 4"),
    ((6, 4, 2), {"batch_dims": 1, "chunks": 3}, ValueError, "number of rows, 4, got 3"),
    ((6, 4), {"chunks": 0}, ValueError, "chunks must be at least 1, got 0"),
    ((6, 4), {"chunks": -2}, ValueError, "chunks must be at least 1, got -2"),
    ((6, 4), {"chunks": 2.0}, TypeError, "chunks must be an integer, got 2.0"),
    ((6, 4), {"chunks": True}, TypeError, "chunks must be an integer, got True"),
    ((3, 4, 5), {"batch_dims": True}, TypeError, "batch_dims must be an integer, got True"),
    ((6, 4), {"chunks": "2"}, TypeError, "chunks must be an integer, got '2'"),
    ((6, 4), {"chunks": 2, "gain": float("nan")}, ValueError, "gain must be finite"),
    ((6,), {"chunks": 2}, ValueError, "tensor must be of at least 2 dimensions"),
    ((6, 4), {"chunks": 2, "key": 0}, TypeError, "key must be a winit_cuda.Key"),
]


@pytest.mark.parametrize("case", ERRORS, ids=str)
@pytest.mark.parametrize("backend", ["aten", pytest.param("native", marks=needs_core)])
def test_bad_arguments(case, backend):
    shape, arguments, error, message = case
    tensors = torch.full(shape, 7.0), torch.full((*shape, 2), 7.0)[..., 0]
    for tensor in tensors:
        with (
            winit.use_backend(backend),
            Unchanged(tensor),
            pytest.raises(error, match=r"^orthogonal_: ") as caught,
        ):
            winit.orthogonal_(tensor, **arguments)
        assert message in str(caught.value)
    with pytest.raises(error):
        winit.orthogonal_(torch.empty(shape, device="meta"), **arguments)


def test_overlapping_matrices_are_refused():
    tensor = torch.ones(4, 4).expand(3, 4, 4)
    with Unchanged(tensor), pytest.raises(RuntimeError, match="share memory"):
        winit.orthogonal_(tensor, batch_dims=1)


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0, 4), (3, 4, 0)])
def test_no_matrices(shape):
    tensor = torch.empty(shape)
    with Unchanged(tensor):
        assert winit.orthogonal_(tensor, batch_dims=1, chunks=2) is tensor


@pytest.mark.parametrize(("shape", "batch_dims", "chunks"), SEVERAL[:-1], ids=str)
def test_aten_fills_one_matrix_after_the_other(shape, batch_dims, chunks):
    torch.manual_seed(3)
    expected = torch.empty(shape)
    for index in itertools.product(*map(range, shape[:batch_dims])):
        for chunk in expected[index].chunk(chunks):
            torch.nn.init.orthogonal_(chunk, 2.0)
    torch.manual_seed(3)
    with winit.use_backend("aten"):
        found = winit.orthogonal_(torch.empty(shape), 2.0, batch_dims=batch_dims, chunks=chunks)
        parameter = nn.Parameter(torch.zeros(shape))
        assert winit.orthogonal_(parameter, batch_dims=batch_dims, chunks=chunks).any()
    assert torch.equal(found, expected)


# ------------------------------------------------------------------------- as torch sees them


def gates(tensor, **options):
    return winit.orthogonal_(tensor, 0.5, batch_dims=1, chunks=3, **options)


EXPECTED = (2, 9, 4)


@needs_core
@pytest.mark.parametrize("key", [KEY, None], ids=["key", "generator"])
def test_compiled_and_traced(key):
    torch._dynamo.reset()
    compiled = torch.compile(lambda t: gates(t, key=key), fullgraph=True, backend="aot_eager")
    traced = make_fx(lambda t: gates(t, key=key))(torch.zeros(EXPECTED))
    values = []
    for program in (lambda t: gates(t, key=key), compiled, traced):
        torch.manual_seed(0)
        values.append(program(torch.zeros(EXPECTED)))
    assert torch.equal(values[1], values[0])
    assert torch.equal(values[2], values[0])


@needs_core
@pytest.mark.skipif(not serves_vmap, reason="torch has no vmap rules")
def test_vmap():
    batch = torch.zeros(3, *EXPECTED)
    torch.manual_seed(0)
    found = torch.func.vmap(lambda x: gates(x.clone()), randomness="different")(batch)
    torch.manual_seed(0)
    assert torch.equal(found, torch.stack([gates(torch.zeros(EXPECTED)) for _ in range(3)]))
    same = torch.func.vmap(lambda x: gates(x.clone(), key=KEY))(batch)
    assert torch.equal(same, gates(torch.zeros(EXPECTED), key=KEY).expand_as(same))


def test_fake_and_meta_tensors():
    state = torch.get_rng_state()
    with FakeTensorMode():
        tensor = torch.empty(EXPECTED)
        assert gates(tensor) is tensor
    assert gates(torch.empty(EXPECTED, device="meta")).is_meta
    assert torch.equal(torch.get_rng_state(), state)


def test_overrides_see_every_argument():
    seen = []

    class Mode(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append((func, kwargs))
            return func(*args, **(kwargs or {}))

    with Mode():
        gates(torch.zeros(EXPECTED))
    named = {"gain": 0.5, "generator": None, "key": None, "batch_dims": 1, "chunks": 3}
    assert (winit.orthogonal_, {**named, "shard": None}) in seen


@needs_core
def test_leaves_and_inference_tensors():
    expected = gates(torch.zeros(EXPECTED), key=KEY)
    parameter = nn.Parameter(torch.zeros(EXPECTED))
    before = parameter._version
    assert gates(parameter, key=KEY) is parameter
    assert parameter.is_leaf
    assert parameter._version > before
    assert torch.equal(parameter, expected)
    middle = parameter.mT.contiguous().mT
    assert torch.equal(gates(middle, key=KEY), expected)
    assert middle.grad_fn is not None
    with torch.inference_mode():
        assert torch.equal(gates(torch.zeros(EXPECTED), key=KEY), expected)
        assert torch.equal(gates(torch.zeros(EXPECTED[::-1]).permute(2, 1, 0), key=KEY), expected)


@needs_core
def test_wrapper_subclasses():
    from torch.testing._internal.two_tensor import TwoTensor

    tensor = TwoTensor(torch.zeros(EXPECTED), torch.zeros(EXPECTED))
    assert gates(tensor, key=KEY) is tensor
    assert torch.equal(tensor.a, gates(torch.zeros(EXPECTED), key=KEY))


# ------------------------------------------------------------------------- delta_orthogonal_


@needs_core
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *LOW_PRECISION], ids=str)
@pytest.mark.parametrize("kernel", [(3,), (4,), (1,), (3, 3), (2, 5), (3, 1, 2), (1, 1, 1)])
@pytest.mark.parametrize("channels", [(6, 6), (7, 3), (1, 1), (40, 36)])
def test_the_matrix_is_at_the_center(channels, kernel, dtype):
    weight = torch.ones(*channels, *kernel).to(dtype)
    assert winit.delta_orthogonal_(weight, -0.5, key=KEY) is weight
    expected = torch.zeros(weight.shape, dtype=torch.float64)
    center = tuple(size // 2 for size in kernel)
    matrix = winit.orthogonal_(torch.empty(channels, dtype=dtype), -0.5, key=KEY)
    expected[(slice(None), slice(None), *center)] = matrix.double()
    assert torch.equal(weight.double(), expected)


@needs_core
def test_the_center_is_that_of_dirac():
    for kernel in ((4,), (3, 2), (2, 5, 4)):
        ours = winit.delta_orthogonal_(torch.empty(3, 3, *kernel), key=KEY)
        dirac = winit.dirac_(torch.empty(3, 3, *kernel))
        assert torch.equal(ours.flatten(2).any(1).any(0), dirac.flatten(2).any(1).any(0))


@needs_core
def test_convolution_keeps_lengths():
    weight = winit.delta_orthogonal_(torch.empty(12, 8, 3, 3, dtype=torch.float64), key=KEY)
    x = winit.normal_(torch.empty(2, 8, 9, 9, dtype=torch.float64), key=KEY)
    y = nn.functional.conv2d(x, weight, padding=1)
    assert torch.allclose(y.norm(dim=1), x.norm(dim=1), rtol=1e-13)


@needs_core
@pytest.mark.parametrize("memory_format", [torch.channels_last, "sliced"], ids=str)
def test_delta_orthogonal_in_other_layouts(memory_format):
    expected = winit.delta_orthogonal_(torch.empty(8, 4, 3, 3), key=KEY)
    weight = torch.full((16, 4, 6, 3), 7.0)[::2, :, ::2]
    if memory_format != "sliced":
        weight = torch.empty(8, 4, 3, 3).to(memory_format=memory_format)
    assert torch.equal(winit.delta_orthogonal_(weight, key=KEY), expected)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 3), "tensor must be of 3 to 5 dimensions, got shape (3, 3)"),
        ((1, 1, 1, 1, 1, 1), "tensor must be of 3 to 5 dimensions"),
        ((3, 4, 3), "no more input than output channels, in <= out, got shape (3, 4, 3)"),
    ],
)
def test_shapes_that_delta_orthogonal_refuses(shape, message):
    tensor = torch.ones(shape)
    with Unchanged(tensor), pytest.raises(ValueError, match=r"^delta_orthogonal_: ") as caught:
        winit.delta_orthogonal_(tensor)
    assert message in str(caught.value)


def test_names_that_are_tested_everywhere():
    assert set(ORTHOGONAL) == {name for name in winit.init.__all__ if "orthogonal_" in name}


@pytest.mark.parametrize("name", ["batch_dims", "chunks"])
@pytest.mark.parametrize("value", [0.0, 1.0, "1", None, [1, 0]])
def test_numbers_of_matrices_are_integers(name, value):
    """Also where the value equals the default."""
    tensor = torch.full((4, 4), 7.0)
    with pytest.raises(TypeError, match=f"orthogonal_: {name} must be an integer"):
        winit.orthogonal_(tensor, **{name: value})
    assert (tensor == 7).all()
