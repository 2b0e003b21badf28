"""Constants, the identity and the Dirac delta: any dtype and layout, autograd, clear errors."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad

import winit_cuda as winit
from initializers import Unchanged, every_fixed

NUMBERS = [torch.uint64, torch.uint16, torch.int8, torch.bool, torch.complex64, torch.float8_e5m2]
PACKED = [
    dtype
    for name in ("int4", "uint4", "bits8", "float4_e2m1fn_x2")
    if (dtype := getattr(torch, name, None)) is not None
]


def layouts(shape, dtype):
    """Ones, contiguous, with reversed dimensions, and with gaps."""
    yield torch.ones(shape).to(dtype)
    yield torch.ones(shape[::-1]).to(dtype).permute(*reversed(range(len(shape))))
    yield torch.ones([2 * size for size in shape]).to(dtype)[(slice(None, None, 2),) * len(shape)]


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 3)], ids=str)
def test_eye(shape, dtype):
    for tensor in layouts(shape, dtype):
        assert winit.eye_(tensor) is tensor
        assert torch.equal(tensor.to(torch.complex64), torch.eye(*shape, dtype=torch.complex64))


@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_dirac(groups, dtype):
    expected = torch.nn.init.dirac_(torch.empty(6, 2, 4, 3), groups).to(torch.complex64)
    for tensor in layouts((6, 2, 4, 3), dtype):
        assert torch.equal(winit.dirac_(tensor, groups).to(torch.complex64), expected)


@pytest.mark.parametrize("dtype", PACKED, ids=str)
def test_dtypes_without_numbers(dtype):
    """They have zeros; for anything else the error comes before the first write."""
    memory = torch.full((64,), 7, dtype=torch.uint8)
    matrix, kernel = memory.view(dtype)[:9].view(3, 3), memory.view(dtype)[:27].view(3, 3, 3)
    for call in (
        lambda: winit.eye_(matrix),
        lambda: winit.dirac_(kernel),
        lambda: winit.constant_(matrix, 1),
    ):
        with pytest.raises(TypeError, match="dtype of tensor must be one that torch fills"):
            call()
    assert (memory == 7).all()
    assert matrix._version == 0
    winit.zeros_(matrix)
    assert memory.tolist() == [0] * 9 + [7] * 55


@every_fixed
@pytest.mark.parametrize("grad", [True, False])
def test_autograd_sees_no_write_but_counts_it(initializer, grad):
    leaf = initializer.empty().requires_grad_()
    view = leaf.transpose(0, 1).transpose(0, 1) if grad else leaf.detach()
    for tensor in (leaf, view):
        before = tensor._version
        with torch.set_grad_enabled(grad):
            assert initializer(tensor) is tensor
            assert torch.is_grad_enabled() == grad
        assert tensor._version > before
        assert tensor.is_leaf == (tensor is leaf or not grad)
    assert leaf.grad_fn is None


@every_fixed
def test_grad_mode_comes_back_after_an_error(initializer, monkeypatch):
    def fail(*_):
        raise RuntimeError("no")

    for what in ("CONSTANT", "ZEROS", "EYE", "DIRAC"):
        fills = __import__("winit_cuda._fills.constants", fromlist=[what])
        monkeypatch.setattr(type(getattr(fills, what)), "aten", fail)
    with pytest.raises(RuntimeError, match="no"):
        initializer(initializer.empty().requires_grad_())
    assert torch.is_grad_enabled()


@every_fixed
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # by torch's own dual_level
def test_a_tangent_becomes_zero(initializer):
    primal = initializer.empty()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(primal, torch.ones_like(primal))
        initializer(dual)
        tangent = forward_ad.unpack_dual(dual).tangent
    assert tangent is None or not tangent.any()


@every_fixed
def test_the_lazy_sign(initializer):
    tensor = torch.zeros(initializer.shape, dtype=torch.complex64).conj().imag
    assert tensor.is_neg()
    assert torch.equal(initializer(tensor), initializer(initializer.empty()))


@every_fixed
def test_shared_memory_is_refused(initializer):
    tensor = torch.ones(1).expand(initializer.shape)
    with Unchanged(tensor), pytest.raises(RuntimeError, match=f"{initializer}: .* share memory"):
        initializer(tensor)
