"""What torch sees of a fill: derivatives, programs that are kept, checkpoints, profiles."""

from __future__ import annotations

import io
import warnings

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import winit_cuda as winit
from initializers import Unchanged, every, every_random, needs_core
from programs import compiled, needs_vmap_rules, of_torch_s_own
from winit_cuda._dispatch.many import Batch, Job
from winit_cuda._fills.elementwise import NORMAL


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()


# ------------------------------------------------------------------------- derivatives


@of_torch_s_own
@every
def test_tangents_are_zero(initializer):
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(initializer.empty(), torch.ones(initializer.shape))
        torch.manual_seed(0)
        assert initializer(dual) is dual
        primal, tangent = forward_ad.unpack_dual(dual)
        assert tangent is None or not tangent.any()
        assert not forward_ad.unpack_dual(dual * 3).tangent.any()
        plain = initializer(initializer.empty())
    torch.manual_seed(0)
    assert torch.equal(primal, initializer(initializer.empty()))
    assert torch.equal(plain, initializer(initializer.empty()))


@needs_core
@of_torch_s_own
def test_tangents_of_a_list_are_zero():
    key = winit.key(0)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.ones(5), torch.ones(5))
        Batch([Job(NORMAL, "normal_", dual, (0.0, 1.0))]).run([key])
        assert not forward_ad.unpack_dual(dual * 3).tangent.any()
        assert torch.equal(dual, winit.normal_(torch.empty(5), key=key))


@of_torch_s_own
@needs_vmap_rules
@every
def test_jvp(initializer):
    x = initializer.empty()

    def function(x):
        return initializer(2 * x) * 3 + x

    torch.manual_seed(0)
    value, tangent = torch.func.jvp(function, (x,), (torch.ones_like(x),))
    torch.manual_seed(0)
    assert torch.equal(value, initializer(initializer.empty()) * 3 + x)
    assert torch.equal(tangent, torch.ones_like(x))
    rows = torch.func.jacfwd(lambda x: initializer(2 * x) + x, randomness="same")(x)
    assert torch.equal(rows.flatten(), torch.eye(x.numel()).flatten())


@every
def test_saved_tensors_that_may_be_mutated(initializer):
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        leaf = initializer.empty().requires_grad_()
        saved = leaf.clone()
        loss = (saved * saved).sum()
        initializer(saved)
        loss.backward()
    assert torch.equal(leaf.grad, 2 * leaf)


# ------------------------------------------------------------------------- programs


@needs_core
@every_random
@of_torch_s_own
def test_jit_trace_draws_anew(initializer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # fans are constants, as in torch
        program = torch.jit.trace(
            lambda x: initializer(x.clone()), initializer.empty(), check_trace=False
        )
    torch.manual_seed(0)
    found = [program(initializer.empty()) for _ in range(2)]
    torch.manual_seed(0)
    assert all(torch.equal(each, initializer(initializer.empty())) for each in found)
    assert not torch.equal(*found)


@of_torch_s_own
@needs_core
@needs_vmap_rules
@every_random
def test_functionalized(initializer):
    def function(x):
        return initializer(2 * x) + 1

    graph = make_fx(torch.func.functionalize(function))(initializer.empty())
    assert "winit_cuda.filled" in graph.code
    for program in (torch.func.functionalize(function), graph):
        torch.manual_seed(0)
        found = program(initializer.empty())
        torch.manual_seed(0)
        assert torch.equal(found, initializer(initializer.empty()) + 1)


@needs_core
@needs_vmap_rules
def test_functionalized_vmap():
    key = winit.key(0)
    mapped = torch.func.vmap(lambda x: winit.normal_(2 * x, key=key))
    found = torch.func.functionalize(mapped)(torch.zeros(3, 4))
    assert torch.equal(found, winit.normal_(torch.empty(4), key=key).expand(3, 4))


@of_torch_s_own
@needs_core
@every_random
def test_exported_programs_draw_anew(initializer):
    class Model(nn.Module):
        def forward(self, x):
            return initializer.ours(torch.empty_like(x), *initializer.arguments)

    for program in (
        torch.export.export(Model(), (initializer.empty(),)),
        torch.export.export(Model(), (initializer.empty(),)).run_decompositions(),
    ):
        torch.manual_seed(0)
        found = [program.module()(initializer.empty()) for _ in range(2)]
        torch.manual_seed(0)
        assert all(torch.equal(each, initializer(initializer.empty())) for each in found)
        assert not torch.equal(*found)


@needs_core
@pytest.mark.filterwarnings("ignore:`torch.cpu.amp.autocast:FutureWarning")  # torch 2.4
@pytest.mark.parametrize("how", ["eager", "aot_eager", "inductor"])
@of_torch_s_own
def test_a_checkpoint_computes_the_same_values_again(how):
    """Else gradients would be those of other noise than the loss has."""

    def noisy(x):
        noise = winit.normal_(torch.empty(5))
        return x * noise * noise, noise

    def step(x):
        return checkpoint(noisy, x, use_reentrant=False)

    program = step if how == "eager" else compiled(step, backend=how)
    x = torch.ones(5, requires_grad=True)
    for _ in range(2):
        x.grad = None
        y, noise = program(x)
        y.sum().backward()
        assert torch.allclose(x.grad, noise**2)


@needs_core
@needs_vmap_rules
@pytest.mark.parametrize("options", [{}, {"key": winit.key(0)}])
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_vmap_over_examples_that_share_memory(options, randomness):
    base = torch.full((4,), 7.0)
    with Unchanged(base), pytest.raises(RuntimeError, match="normal_: tensor must be without"):
        torch.func.vmap(lambda x: winit.normal_(x, **options), randomness=randomness)(
            base.expand(3, 4)
        )


def test_modes_see_no_draw_for_a_tensor_that_cannot_be_filled():
    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    base = torch.full((4,), 7.0)
    for tensor in (base.expand(3, 4), torch.empty(0), torch.empty(3, device="meta")):
        with Unchanged(base), Mode():
            if tensor.numel() and not tensor.is_meta:
                with pytest.raises(RuntimeError, match="normal_: tensor must be without"):
                    winit.normal_(tensor)
            else:
                winit.normal_(tensor)


def test_a_value_in_a_tensor():
    """torch keeps it a tensor, through compilation and vmap."""
    three = torch.tensor(3.0)
    assert torch.equal(winit.constant_(torch.empty(2), three), torch.full((2,), 3.0))
    program = compiled(lambda x, value: winit.constant_(x, value))
    for value in (3.0, 4.0):
        assert torch.equal(program(torch.empty(2), torch.tensor(value)), torch.full((2,), value))
    mapped = torch.func.vmap(lambda x, value: winit.constant_(x, value))
    found = mapped(torch.zeros(3, 2), torch.arange(3.0))
    assert torch.equal(found, torch.arange(3.0)[:, None].expand(3, 2))
    with pytest.raises(TypeError, match="constant_: val must be a number"):
        winit.constant_(torch.empty(2), torch.empty((), device="meta"))
    with pytest.raises(TypeError, match="constant_: val must be a number"):
        winit.constant_(torch.empty(2), torch.ones(2))


@needs_core
@pytest.mark.filterwarnings("ignore:Warning. Profiler clears events")  # torch 2.11
@every
def test_profilers_see_the_function(initializer):
    options = {"key": winit.key(0)} if initializer.is_random else {}
    tensor = initializer.empty()
    expected = initializer(initializer.empty(), **options)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        initializer(tensor, **options)
    names = [event.key for event in profile.key_averages()]
    assert f"winit_cuda::{initializer.name}" in names
    assert torch.equal(tensor, expected)


@every_random
@of_torch_s_own
@pytest.mark.parametrize("how", ["compile", "make_fx"])
def test_traced_for_torch_s_own_functions(initializer, how):
    """Where they fill, they alone draw: the values are those of eager mode."""

    def function(tensor):
        return initializer.ours(tensor, *initializer.arguments)

    with winit.use_backend("aten"):
        program = compiled(function) if how == "compile" else make_fx(function)(initializer.empty())
        torch.manual_seed(0)
        found = program(initializer.empty())
        torch.manual_seed(0)
        assert torch.equal(found, initializer(initializer.empty()))


@needs_core
@of_torch_s_own
@every
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.filterwarnings("ignore:You are using `torch.load`:FutureWarning")  # torch 2.4
def test_exported_programs_of_any_size_are_saved(initializer, strict):
    if "xavier" in initializer.name:
        pytest.skip("its numbers depend on the size: a program of torch's own has one size, too")

    if initializer.name == "dirac_" and strict and torch.__version__ < (2, 6):
        pytest.skip("this torch gives the program one size")

    class Model(nn.Module):
        def forward(self, x):
            return initializer.ours(torch.empty_like(x), *initializer.arguments) * x

    size = torch.export.Dim("size", min=6, max=64)
    example = torch.ones(initializer.shape)
    program = torch.export.export(Model(), (example,), dynamic_shapes=({0: size},), strict=strict)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    program = torch.export.load(file)
    x = torch.ones(8, *initializer.shape[1:])
    torch.manual_seed(0)
    found = program.module()(x)
    torch.manual_seed(0)
    assert torch.equal(found, initializer(x))
