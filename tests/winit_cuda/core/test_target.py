"""What cannot be written, and how the memory of what can is described."""

from __future__ import annotations

import math

import pytest
import torch

import winit_cuda as winit
from initializers import ORTHOGONAL, Unchanged, every, every_random, needs_core
from winit_cuda._core import target
from winit_cuda._core.dtypes import CODES


@every
@pytest.mark.parametrize("kind", ["expanded", "overlapping"])
def test_shared_memory_is_an_error(initializer, kind):
    shape = initializer.shape
    if kind == "expanded":
        tensor = torch.ones(1, *shape[1:]).expand(shape)
    else:
        memory = torch.ones(100)
        tensor = memory.as_strided(shape, (2, *[1] * (len(shape) - 1)))
    with Unchanged(tensor), pytest.raises(RuntimeError, match=f"{initializer}: .*share memory"):
        initializer(tensor)


def with_layout(layout: str, shape: tuple[int, ...]) -> torch.Tensor:
    dense = torch.ones(shape)
    if layout == "quantized":
        return torch.quantize_per_tensor(dense, 0.1, 0, torch.qint8)
    if layout in ("nested", "jagged"):
        parts = [torch.ones(2, *shape[2:]), torch.ones(3, *shape[2:])]
        memory = torch.jagged if layout == "jagged" else torch.strided
        return torch.nested.nested_tensor(parts, layout=memory)
    return getattr(dense, f"to_{layout.removesuffix('_coo').removeprefix('_')}")()


@every
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "layout", ["sparse_coo", "sparse_csr", "_mkldnn", "nested", "jagged", "quantized"]
)
def test_layouts_that_are_not_dense(initializer, layout):
    tensor = with_layout(layout, initializer.shape)
    with Unchanged(torch.zeros(0)), pytest.raises(TypeError) as caught:
        initializer(tensor)
    assert str(caught.value).startswith(f"{initializer}: tensor must be dense (torch.strided), got")
    assert layout in str(caught.value)


@every
def test_inference_tensors(initializer):
    with torch.inference_mode():
        tensor = initializer.empty()
        assert initializer(tensor) is tensor
        values = tensor.clone()
    with (
        Unchanged(tensor),
        pytest.raises(RuntimeError, match=f"{initializer}: tensor must be a normal tensor outside"),
    ):
        initializer(tensor)
    assert torch.equal(tensor, values)


@every
def test_normal_tensors_in_inference_mode(initializer):
    tensor = initializer.empty()
    with torch.inference_mode():
        initializer(tensor)
    assert tensor._version > 0
    assert not torch.equal(tensor, initializer.empty())


@every
def test_zero_tensors_are_immutable(initializer):
    tensor = torch._efficientzerotensor(initializer.shape)
    with pytest.raises(RuntimeError, match=f"{initializer}: tensor must be a tensor with memory"):
        initializer(tensor)


@every
@pytest.mark.parametrize("value", [[1.0], 1.0, None, "w"])
def test_not_a_tensor(initializer, value):
    with pytest.raises(TypeError, match=rf"{initializer}: tensor must be a torch\.Tensor, got "):
        initializer(value)


@needs_core
@every_random
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_every_layout_has_the_same_values(initializer, dtype):
    key = winit.Key(1, 2)
    shape = initializer.shape
    rows, columns, *kernel = shape
    expected = initializer(initializer.empty(dtype=dtype), key=key)
    turned = torch.zeros(shape[::-1], dtype=dtype)
    views = {
        "transposed": turned.permute(*range(len(shape))[::-1]),
        "strided": torch.zeros(2 * rows, 3 * columns, *kernel, dtype=dtype)[::2, ::3],
        "offset": torch.zeros(math.prod(shape) + 3, dtype=dtype)[3:].view(shape),
        "narrow": torch.zeros(rows + 2, columns + 2, *kernel, dtype=dtype)[1:-1, 1:-1],
        "as_strided": torch.zeros(1000, dtype=dtype).as_strided(shape, (2, 17, 173)[: len(shape)]),
    }
    for name, view in views.items():
        initializer(view, key=key)
        if initializer.name in ORTHOGONAL:
            assert torch.allclose(view, expected, rtol=0, atol=1e-6), name
        else:
            assert torch.equal(view, expected), name


def test_strides_in_order_need_no_closer_look():
    assert target.box_of(torch.empty(3, 4).t()) == ((4, 3), (1, 4), (3, 1), 0)
    assert target.box_of(torch.empty(6, 5)[::2, 1:]) == ((3, 4), (10, 1), (4, 1), 0)
    assert target.box_of(torch.empty(3, 1).expand(3, 4)) is None
    assert target.box_of(torch.empty((2,) * 16).permute(*range(15, -1, -1))) is None


@needs_core
def test_views_leave_the_rest_alone():
    memory = torch.full((6, 8), 7.0)
    winit.uniform_(memory[1:5:2, 2:6], key=winit.key(0))
    outside = torch.ones(6, 8, dtype=torch.bool)
    outside[1:5:2, 2:6] = False
    assert (memory[outside] == 7).all()
    assert (memory[~outside] < 1).all()


@needs_core
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1), (2, 1, 3)])
def test_dimensions_of_one_and_none(shape):
    expected = winit.normal_(torch.zeros(max(1, torch.Size(shape).numel())), key=winit.key(0))
    assert torch.equal(winit.normal_(torch.zeros(shape), key=winit.key(0)).flatten(), expected)
    odd = torch.zeros(300).as_strided(shape, [7 + 31 * d for d in range(len(shape))])
    assert torch.equal(winit.normal_(odd, key=winit.key(0)).flatten(), expected)


@needs_core
def test_channels_last():
    key = winit.key(0)
    expected = winit.kaiming_normal_(torch.zeros(4, 3, 5, 5), key=key)
    images = torch.zeros(4, 3, 5, 5).to(memory_format=torch.channels_last)
    assert torch.equal(winit.kaiming_normal_(images, key=key), expected)
    volumes = torch.zeros(4, 3, 2, 5, 5).to(memory_format=torch.channels_last_3d)
    expected = winit.dirac_(torch.zeros(4, 3, 2, 5, 5))
    assert torch.equal(winit.dirac_(volumes), expected)


@needs_core
@every
def test_the_lazy_sign_of_complex_views(initializer):
    for shape in (initializer.shape, (1,) * len(initializer.shape)):
        values = torch.zeros(shape, dtype=torch.complex64)
        view = values.conj().imag
        assert view.is_neg()
        options = {"key": winit.key(0)} if initializer.is_random else {}
        expected = initializer(torch.zeros(shape), **options)
        assert torch.equal(initializer(view, **options), expected)
        assert torch.equal(values.imag, -expected)


@needs_core
@pytest.mark.parametrize("rank", [15, 16, 20])
def test_more_dimensions_than_the_core_describes(rank):
    """No two dimensions of a reversed tensor merge; the values are those of a contiguous one."""
    backwards = tuple(range(rank - 1, -1, -1))
    reversed_ = torch.zeros((2,) * rank).permute(backwards)
    winit.uniform_(reversed_, key=winit.key(5))
    assert torch.equal(reversed_, winit.uniform_(torch.zeros((2,) * rank), key=winit.key(5)))


@needs_core
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(target.exchange is None, reason="before torch 2.10 there is no such interface")
def test_places_of_ordinary_tensors():
    for tensor in (
        torch.empty(3, 4),
        torch.nn.Parameter(torch.empty(5, dtype=torch.bfloat16)),
        torch.empty((), dtype=torch.double),
        torch.empty(4, 6)[2:],
        torch.empty(3, 1, 4).as_strided((3, 1, 4), (4, 99, 1)),
    ):
        place = (tensor.data_ptr(), tensor.numel(), CODES[tensor.dtype])
        assert target.place_of(tensor) == place
    freed = torch.empty(3)
    freed.untyped_storage().resize_(0)
    with torch.inference_mode():
        inference = torch.empty(3)
    for other in (
        torch.empty(4, 3).t(),
        torch.empty(1, 4).expand(3, 4),
        torch.empty(3, 0),
        torch.empty(3, device="meta"),
        torch.ones(3, 4).to_sparse(),
        with_layout("nested", (5, 4)),
        torch._efficientzerotensor(3, 4),
        torch.empty(3)._neg_view(),
        torch.empty(3, dtype=torch.int32),
        torch.empty(3, dtype=torch.complex64),
        inference,
        torch.empty(3).as_subclass(Subclass),
        freed,
        [1.0],
        None,
    ):
        assert target.place_of(other) is None


class Subclass(torch.Tensor):
    pass
