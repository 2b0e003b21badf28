"""The fallback: the values of torch.nn.init for the same state of the generator, no key."""

from __future__ import annotations

import contextlib
import warnings
from types import SimpleNamespace

import pytest
import torch

import winit_cuda as winit
from initializers import ORTHOGONAL, Initializer, Unchanged, every, every_random, needs_core
from winit_cuda._core import backend, torch_init
from winit_cuda._dispatch import aten

HALF = [torch.float16, torch.bfloat16]


def both(initializer: Initializer, dtype: torch.dtype, seed: int = 0) -> list[torch.Tensor]:
    """What ours and what torch's function gives, from the default generator in the same state."""
    values = []
    for function in (initializer.ours, initializer.theirs):
        torch.manual_seed(seed)
        tensor = initializer.empty(dtype=dtype)
        assert function(tensor, *initializer.arguments) is tensor
        values.append(tensor)
    return values


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALF], ids=str)
def test_values_are_those_of_torch(initializer, dtype):
    if initializer.name in ORTHOGONAL and dtype in HALF:
        pytest.skip("torch has no such orthogonal_")
    with winit.use_backend("aten"):
        assert torch.equal(*both(initializer, dtype))


@every
def test_explicit_generators_and_non_contiguous_tensors(initializer):
    if initializer.name in ORTHOGONAL:
        pytest.skip("torch's orthogonal_ takes contiguous tensors only")
    values = []
    with winit.use_backend("aten"):
        for function in (initializer.ours, initializer.theirs):
            generator = torch.Generator().manual_seed(5)
            options = {"generator": generator} if initializer.is_random else {}
            tensor = initializer.empty().mT.contiguous().mT
            torch.manual_seed(0)  # torch's sparse_ chooses its zeros by the default generator
            values.append(function(tensor, *initializer.arguments, **options))
    assert torch.equal(*values)


@every
def test_complex_tensors_go_to_aten(initializer):
    if initializer.name in ("trunc_normal_", *ORTHOGONAL):
        tensor = torch.ones(initializer.shape, dtype=torch.complex64)
        with Unchanged(tensor), pytest.raises(TypeError, match=f"{initializer}: .*complex64"):
            initializer(tensor)
    else:
        assert torch.equal(*both(initializer, torch.complex64))


@every
def test_integer_tensors(initializer):
    tensor = torch.ones(initializer.shape, dtype=torch.int32)
    for name in ("auto", "aten"):
        with winit.use_backend(name):
            if initializer.is_random:
                with Unchanged(tensor), pytest.raises(TypeError, match=r"torch\.int32"):
                    initializer(tensor)
            elif initializer.name != "constant_":
                assert torch.equal(*both(initializer, torch.int32))


@every_random
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_float8_needs_the_core(initializer, dtype):
    tensor = initializer.empty(dtype=dtype)
    error = pytest.raises(TypeError, match=r"one that ATen fills .* in force\), got torch\.float8")
    with winit.use_backend("aten"), Unchanged(tensor), error:
        initializer(tensor)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_orthogonal_in_half_precision_needs_the_core(dtype):
    tensor = torch.ones(3, 3, dtype=dtype)
    with (
        winit.use_backend("aten"),
        Unchanged(tensor),
        pytest.raises(TypeError, match="orthogonal_"),
    ):
        winit.orthogonal_(tensor)


@every_random
def test_keys_need_the_core(initializer):
    tensor = initializer.empty()
    with (
        winit.use_backend("aten"),
        Unchanged(tensor),
        pytest.raises(RuntimeError, match=f"{initializer}: key needs the native core"),
    ):
        initializer(tensor, key=winit.key(0))


@needs_core
def test_keys_need_a_dtype_of_the_core():
    tensor = torch.ones(3, dtype=torch.complex64)
    with Unchanged(tensor), pytest.raises(RuntimeError, match=r"does not fill torch\.complex64"):
        winit.normal_(tensor, key=winit.key(0))


def test_arguments_are_checked_all_the_same():
    tensor = torch.ones(3, 3)
    with winit.use_backend("aten"), Unchanged(tensor):
        with pytest.raises(ValueError, match="std"):
            winit.trunc_normal_(tensor, std=-1)
        with pytest.raises(ValueError, match="sparsity"):
            winit.sparse_(tensor, 1.5)
        with pytest.raises(RuntimeError, match="share memory"):
            winit.zeros_(torch.ones(1).expand(3))


def test_where_torch_divides_by_zero():
    with winit.use_backend("aten"):
        assert winit.trunc_normal_(torch.zeros(2), 5.0, 0.0).tolist() == [2.0, 2.0]
        assert winit.trunc_normal_(torch.zeros(2), a=0.5, b=0.5).tolist() == [0.5, 0.5]
        assert winit.xavier_uniform_(torch.zeros(0, 0)).shape == (0, 0)


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs an MPS device")
@every
def test_other_devices(initializer):
    tensor = initializer.empty(device="mps")
    assert initializer(tensor) is tensor
    if initializer.is_random:
        with pytest.raises(RuntimeError, match="does not serve mps devices"):
            initializer(tensor, key=winit.key(0))


@every_random
def test_a_failure_of_torch_s_own_function(monkeypatch, initializer):
    """As when it runs out of memory in the middle: tensor and generator are as they were."""

    def fails(tensor, *_, generator=None, **__):
        if initializer.name in ("trunc_normal_", "orthogonal_", "delta_orthogonal_"):
            tensor.normal_(generator=generator)
        raise RuntimeError("no memory")

    for name in torch_init.__all__:
        monkeypatch.setattr(torch_init, name, fails)
    generator = torch.Generator().manual_seed(1)
    for options in ({}, {"generator": generator}):
        tensor = initializer.empty()
        with (
            winit.use_backend("aten"),
            Unchanged(tensor, generator),
            pytest.raises(RuntimeError, match=f"^{initializer.name}: no memory"),
        ):
            initializer(tensor, **options)


def test_numbers_torch_cannot_compute_with():
    tensor = torch.zeros(3, dtype=torch.float64)
    with warnings.catch_warnings(), contextlib.suppress(RuntimeError, ArithmeticError):
        warnings.simplefilter("ignore")
        torch.nn.init.trunc_normal_(tensor.clone(), mean=1e308)
        pytest.skip("this torch computes with them")
    with winit.use_backend("aten"), Unchanged(tensor), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RuntimeError, match="trunc_normal_: torch cannot compute this"):
            winit.trunc_normal_(tensor, mean=1e308)


def test_a_lost_cuda_device_is_told_before_torch_writes(monkeypatch):
    done: list[object] = []
    monkeypatch.setattr(backend, "warn_of_fallback", done.append)
    fill = SimpleNamespace(
        shard=None,
        aten_dtypes=None,
        aten_needs_memory=False,
        aten=lambda *_: done.append("filled"),
    )
    tensor = SimpleNamespace(is_cuda=True, get_device=lambda: 3)
    aten.run(fill, "f", tensor, (), None, None, "because")
    assert done == [3, "filled"]
    with pytest.raises(RuntimeError, match=r"key needs the native core, .* but because"):
        aten.run(fill, "f", tensor, (), None, winit.key(0), "because")
    assert done == [3, "filled"]
