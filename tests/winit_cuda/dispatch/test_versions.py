"""Every fill moves the version counter on: that of the tensor, of its base and of its views."""

from __future__ import annotations

import dataclasses
import signal

import pytest
import torch

import winit_cuda as winit
from initializers import FIXED, RANDOM, Initializer, needs_core
from winit_cuda._dispatch.many import Batch, Job
from winit_cuda._fills.constants import CONSTANT
from winit_cuda._fills.elementwise import ELEMENTWISE

CURRENT = {entry.name: entry for entry in RANDOM + FIXED}
FUNCTIONS = [name for name in winit.init.__all__ if name != "calculate_gain"]
every_function = pytest.mark.parametrize("function", FUNCTIONS)


def initializer(function: str) -> Initializer:
    """Also of a deprecated name."""
    return dataclasses.replace(CURRENT[f"{function.removesuffix('_')}_"], name=function)


def dense(shape):
    base = torch.zeros(shape)
    return base, base


def view(shape):
    base = torch.zeros(2, *shape)
    return base, base[1]


def columns(shape):
    base = torch.zeros(shape[0], 2 * shape[1], *shape[2:])
    return base, base[:, 1::2]


def transposed(shape):
    base = torch.zeros(shape[::-1])
    return base, base.permute(*reversed(range(len(shape))))


def interleaved(shape):
    base = torch.zeros(3000)
    return base, base.as_strided(shape, (3, 40, 200)[: len(shape)], 7)


def double(shape):
    base = torch.zeros(shape[0], 2 * shape[1], *shape[2:], dtype=torch.float64)
    return base, base[:, ::2]


def negated(shape):
    """A view with the lazy sign, of which the core writes no element."""
    base = torch.zeros(shape, dtype=torch.complex64)
    return base, base.conj().imag


LAYOUTS = [dense, view, columns, transposed, interleaved, double]
PLACES = [
    *((layout, backend) for layout in LAYOUTS for backend in ("auto", "aten")),
    (negated, "auto"),  # torch has no trunc_normal_ for these
]


@every_function
@pytest.mark.parametrize(
    ("layout", "backend"), PLACES, ids=lambda each: getattr(each, "__name__", each)
)
@pytest.mark.filterwarnings("ignore:.*deprecated name:FutureWarning")
def test_tensors_and_their_bases(function, layout, backend):
    entry = initializer(function)
    base, tensor = layout(entry.shape)
    for _ in range(2):
        before = tensor._version
        with winit.use_backend(backend):
            assert entry(tensor) is tensor
        assert tensor._version > before
        assert base._version == tensor._version


@every_function
@pytest.mark.parametrize("layout", [dense, columns, transposed], ids=lambda layout: layout.__name__)
@pytest.mark.filterwarnings("ignore:.*deprecated name:FutureWarning")
def test_leaves_and_their_views(function, layout):
    entry = initializer(function)
    leaf, tensor = layout(entry.shape)
    leaf.requires_grad_()
    with torch.no_grad():
        views = [tensor, tensor.detach(), tensor[:]]
    for each in views:
        before = leaf._version
        entry(each)
        assert leaf._version > before
    parameter = torch.nn.Parameter(layout(entry.shape)[1])
    before = parameter._version
    entry(parameter)
    assert parameter._version > before
    assert parameter.grad_fn is None


@every_function
@pytest.mark.parametrize("layout", [dense, columns], ids=lambda layout: layout.__name__)
@pytest.mark.filterwarnings("ignore:.*deprecated name:FutureWarning")
def test_backward_notices_what_was_saved_before(function, layout):
    entry = initializer(function)
    _, tensor = layout(entry.shape)
    factor = torch.ones(entry.shape, requires_grad=True)
    product = (factor * tensor).sum()
    entry(tensor)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


@needs_core
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fill", [CONSTANT, *ELEMENTWISE], ids=lambda fill: fill.name)
def test_lists(layout, fill):
    numbers = {"constant": (0.5,), "trunc_normal": (0.0, 1.0, -2.0, 2.0)}.get(fill.name, (0.0, 1.0))
    places = [layout((6, 5)) for _ in range(3)]
    batch = Batch([Job(fill, "normal_", tensor, numbers) for _, tensor in places])
    for run in (1, 2):
        batch.run(winit.split(winit.key(run), 3))
        for base, tensor in places:
            assert tensor._version >= run
            assert base._version == tensor._version


@needs_core
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timers")
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_an_interrupted_fill_has_written(layout):
    """What autograd has saved of the tensor is no longer there, and it is told so."""

    class EnoughError(RuntimeError):
        """Not an error of the fill's, though of the type of some."""

    def stop(*_):
        raise EnoughError("of that")

    whole = winit.Shard((2**40, 1), (0, 0))  # a column of which every word is looked at
    tensor = torch.ones(1, 1)
    before_version = tensor._version
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(EnoughError, match=r"^of that$"):
            winit.sparse_(tensor if layout == "contiguous" else tensor.t(), 1e-12, shard=whole)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert tensor._version == before_version + 1
