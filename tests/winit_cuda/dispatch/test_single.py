"""What every initializer shares: autograd, meta and empty tensors, subclasses, modes, threads."""

from __future__ import annotations

import concurrent.futures

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

import standin
import winit_cuda as winit
from initializers import ORTHOGONAL, Unchanged, every, every_random, needs_core


@every
def test_returns_the_same_tensor(initializer):
    tensor = initializer.empty()
    assert initializer(tensor) is tensor
    assert not torch.equal(tensor, initializer.empty())


@every
def test_leaf_that_requires_grad(initializer):
    parameter = nn.Parameter(initializer.empty())
    assert initializer(parameter) is parameter
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert parameter.grad_fn is None
    assert parameter._version >= 1
    (2 * parameter).sum().backward()
    assert torch.equal(parameter.grad, torch.full(initializer.shape, 2.0))


@every
def test_views_of_leaves_and_their_data(initializer):
    parameter = nn.Parameter(torch.stack([initializer.empty()] * 2))
    before = parameter._version
    initializer(parameter[0])
    assert parameter._version > before
    assert torch.equal(parameter[1], initializer.empty())
    assert not torch.equal(parameter[0], initializer.empty())
    initializer(parameter.detach()[1])
    initializer(parameter.data[1])
    assert not torch.equal(parameter[1], initializer.empty())


@every
def test_values_saved_for_backward_are_protected(initializer):
    """The version counter tells autograd that a saved tensor has changed."""
    weight = initializer.empty().requires_grad_()
    result = (weight * weight).sum()
    initializer(weight)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


@every
def test_in_the_middle_of_a_graph(initializer):
    """As in torch.nn.init: the write is not recorded."""
    leaf = torch.ones(initializer.shape, requires_grad=True)
    middle = leaf * 3
    initializer(middle)
    assert middle.grad_fn is not None
    middle.sum().backward()
    assert torch.equal(leaf.grad, torch.full(initializer.shape, 3.0))


@every
@pytest.mark.parametrize("grad", [True, False])
def test_grad_mode_stays(initializer, grad):
    with torch.set_grad_enabled(grad):
        initializer(initializer.empty())
        initializer(initializer.empty().mT)
        assert torch.is_grad_enabled() == grad


@every
def test_meta_tensors(initializer):
    tensor = torch.empty(initializer.shape, device="meta")
    with Unchanged(torch.zeros(0)):
        assert initializer(tensor) is tensor
        assert initializer(nn.Parameter(tensor)).is_meta
    with torch.device("meta"):
        assert initializer(torch.empty(initializer.shape)).is_meta
        on_cpu = torch.zeros(initializer.shape, device="cpu")
        assert initializer(on_cpu).any() or initializer.name == "zeros_"


def test_meta_tensors_have_their_arguments_checked():
    tensor = torch.empty(3, 3, device="meta")
    with pytest.raises(ValueError, match="std"):
        winit.normal_(tensor, std=-1)
    with pytest.raises(ValueError, match="sparsity"):
        winit.sparse_(tensor, 2)
    with pytest.raises(TypeError, match="dtype"):
        winit.uniform_(tensor.int())
    with pytest.raises(TypeError, match="generator"):
        winit.uniform_(tensor, generator=1)
    with pytest.raises(ValueError, match="val"):
        winit.constant_(tensor.int(), 0.5)


@every
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("dimension", [0, 1])
def test_no_elements(initializer, dimension):
    shape = list(initializer.shape)
    shape[dimension] = 0
    tensor = torch.empty(shape)
    with Unchanged(tensor):
        assert initializer(tensor) is tensor
        assert initializer(torch.empty(0, 0, *shape[2:])).numel() == 0


@needs_core
@every
def test_subclasses_with_memory(initializer):
    class Named(torch.Tensor):
        pass

    class Weight(nn.Parameter):
        pass

    options = {"key": winit.key(0)} if initializer.is_random else {}
    expected = initializer(initializer.empty(), **options)
    for kind in (Named, Weight):
        tensor = initializer.empty().as_subclass(kind)
        assert initializer(tensor, **options) is tensor
        assert type(tensor) is kind
        assert torch.equal(tensor.as_subclass(torch.Tensor), expected)


@needs_core
@every
def test_subclasses_without_memory(initializer):
    """A wrapper is written by copy_, the one operator that each of them has."""
    from torch.testing._internal.two_tensor import TwoTensor

    options = {"key": winit.key(0)} if initializer.is_random else {}
    expected = initializer(initializer.empty(), **options)
    tensor = TwoTensor(initializer.empty(), initializer.empty())
    assert initializer(tensor, **options) is tensor
    assert torch.equal(tensor.a, expected)
    assert torch.equal(tensor.b, expected)


@needs_core
@every
def test_subclasses_that_run_operators_themselves(initializer):
    """They see the write even where they have memory of their own."""
    seen = []

    class Watched(torch.Tensor):
        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            seen.append(func.name())
            with torch._C._DisableTorchDispatch():
                return func(*args, **(kwargs or {}))

    options = {"key": winit.key(0)} if initializer.is_random else {}
    tensor = torch.Tensor._make_subclass(Watched, initializer.empty())
    assert initializer(tensor, **options) is tensor
    assert {"aten::copy_", "aten::eye.m_out", "aten::fill_.Scalar", "aten::zero_"} & set(seen)
    with torch._C._DisableTorchDispatch():
        values = tensor.as_subclass(torch.Tensor).clone()
    assert torch.equal(values, initializer(initializer.empty(), **options))


@every
def test_function_overrides_see_the_whole_call(initializer):
    calls = []

    class Logged(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            calls.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    class Mode(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            calls.append(func)
            return func(*args, **(kwargs or {}))

    tensor = initializer.empty().as_subclass(Logged)
    assert initializer(tensor) is tensor
    assert initializer.ours in calls
    calls.clear()
    plain = initializer.empty()
    with Mode():
        assert initializer(plain) is plain
    assert calls[0] is initializer.ours
    assert not torch.equal(plain, initializer.empty())


@every
def test_overrides_can_replace_the_call(initializer):
    class Replaced(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__ if func is initializer.ours else NotImplemented

    with torch._C.DisableTorchFunctionSubclass():
        tensor = torch.zeros(initializer.shape).as_subclass(Replaced)
    assert initializer(tensor) == initializer.name


def test_uninitialized_parameters():
    with pytest.raises(ValueError, match="uninitialized parameter"):
        winit.uniform_(nn.UninitializedParameter())


@needs_core
@every_random
def test_any_number_of_threads_gives_the_same_bits(initializer):
    shape = (257, 129, *initializer.shape[2:])
    values = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            values.append(initializer(torch.empty(shape), key=winit.key(0)))
    finally:
        torch.set_num_threads(threads)
    if initializer.name in ORTHOGONAL:  # its matrix products are BLAS's
        assert torch.allclose(values[0], values[1], rtol=0, atol=1e-6)
    else:
        assert torch.equal(values[0], values[1])
        assert torch.equal(values[0], values[2])


@needs_core
def test_eight_callers_at_once():
    expected = [winit.normal_(torch.empty(50_000), key=winit.key(seed)) for seed in range(8)]

    def fill(seed):
        return [winit.normal_(torch.empty(50_000), key=winit.key(seed)) for _ in range(5)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for seed, values in enumerate(pool.map(fill, range(8))):
            assert all(torch.equal(value, expected[seed]) for value in values)


@needs_core
def test_read_only_memory_is_written_all_the_same():
    """torch does not know that NumPy memory is read-only once the tensor exists. Documented."""
    np = pytest.importorskip("numpy")
    array = np.zeros(3, dtype=np.float32)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        tensor = torch.from_numpy(array)
    winit.ones_(tensor)
    assert array.tolist() == [1, 1, 1]


@pytest.mark.usefixtures("machine")
@every
def test_cuda_agrees_with_the_cpu(initializer):
    options = {"key": winit.Key(1, 2)} if initializer.is_random else {}
    expected = initializer(initializer.empty(), **options)
    tensor = initializer.empty(device="cuda")
    assert initializer(tensor, **options) is tensor
    if initializer.name in ORTHOGONAL:
        assert torch.allclose(tensor.cpu(), expected, rtol=0, atol=1e-6)
    else:
        assert torch.equal(tensor.cpu(), expected)
    assert tensor._version == expected._version or initializer.name in ORTHOGONAL


@pytest.mark.usefixtures("machine")
@every
def test_the_current_stream_is_used(initializer):
    tensor = initializer.empty(device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        tensor.fill_(3.0)
        initializer(tensor)
        after = tensor.clone()
    stream.synchronize()
    assert not (after == 3.0).all()
    assert torch.equal(after, tensor)


@pytest.mark.usefixtures("machine")
@standin.needs_two_devices
def test_the_current_device_stays():
    tensor = torch.empty(100, device="cuda:1")
    winit.normal_(tensor, key=winit.key(0))
    assert torch.cuda.current_device() == 0
    assert torch.equal(tensor.cpu(), winit.normal_(torch.empty(100), key=winit.key(0)))
