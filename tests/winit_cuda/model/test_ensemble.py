"""`ensemble`: each member is the model initialized alone with its own key."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import winit_cuda as winit
from initializers import needs_core
from models import GPT, ActorCritic, LoRA, Pieces, mixed
from winit_cuda._dispatch import many
from winit_cuda._model import ensemble

pytestmark = needs_core


class Recurrent(nn.Module):
    """Buffers of several kinds, a plain tensor, and a module with weak references to weights."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("angles", torch.arange(4) / 4)
        self.register_buffer("decay", torch.log(torch.empty(4).uniform_(1, 16)))
        self.register_buffer("noise", torch.randn(3).double())
        self.shift = torch.full((4,), 0.5)

    def forward(self, x):
        return self.norm(self.lstm(x)[0].flatten(0, 1)) + self.angles + self.shift


def weight_normed():
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2))


def spectral_normed():
    return nn.Sequential(parametrizations.spectral_norm(nn.Linear(3, 4)), nn.Linear(4, 2))


def orthogonal():
    """Setting a matrix that is not square gives it another buffer."""
    return nn.Sequential(parametrizations.orthogonal(nn.Linear(3, 4)), nn.Linear(4, 2))


def from_pretrained():
    return nn.Sequential(nn.Embedding.from_pretrained(torch.ones(3, 2)), nn.Linear(2, 2))


def empty():
    return nn.Sequential(nn.Linear(0, 2), nn.Linear(2, 2))


FACTORIES = [
    GPT, ActorCritic, LoRA.of_gpt, Pieces, mixed, Recurrent, weight_normed, spectral_normed,
    orthogonal, from_pretrained, empty,
]  # fmt: skip


def same_bits(a, b):
    return a.dtype == b.dtype and torch.equal(
        a.contiguous().view(-1).view(torch.uint8), b.contiguous().view(-1).view(torch.uint8)
    )


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.__qualname__)
def test_members_are_those_initialized_alone(factory):
    params, buffers, model = winit.ensemble(factory, 3, seed=7)
    plan, alone = winit.plan(factory), []
    for j in range(3):
        one = factory()
        plan.run(one, seed=winit.fold_in(winit.key(7), j))
        alone.append(one)
    expected_params, expected_buffers = torch.func.stack_module_state(alone)
    for stacks, expected in ((params, expected_params), (buffers, expected_buffers)):
        assert list(stacks) == list(expected)
        for name, stack in stacks.items():
            assert same_bits(stack, expected[name]), name
            assert stack.requires_grad == expected[name].requires_grad, name
            assert stack.is_leaf
            assert stack.is_contiguous()
    assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    names = list(dict(one.named_parameters(remove_duplicate=False)))
    assert list(dict(model.named_parameters(remove_duplicate=False))) == names


def test_members_differ_and_do_not_depend_on_their_number():
    params, _, _ = winit.ensemble(GPT, 4, seed=7)
    weights = params["head.weight" if "head.weight" in params else "embedding.weight"]
    assert all(not torch.equal(weights[0], other) for other in weights[1:])
    fewer, _, _ = winit.ensemble(GPT, 2, winit.key(7))
    assert all(torch.equal(stack[:2], fewer[name]) for name, stack in params.items())


@pytest.mark.parametrize("factory", [GPT, Recurrent], ids=lambda factory: factory.__qualname__)
def test_a_call(factory):
    """By functional_call and vmap, as each member alone; gradients come to the stacks."""

    class Tied(GPT):
        def forward(self, tokens):
            return self.head(self.embedding(tokens))

    made = Tied if factory is GPT else factory
    params, buffers, model = winit.ensemble(made, 3, seed=7)
    x = torch.arange(6).view(2, 3) if factory is GPT else torch.randn(5, 2, 3)
    model.eval()

    def call(params, buffers, x):
        return torch.func.functional_call(model, (params, buffers), (x,))

    if factory is Recurrent:  # vmap has no batching rule for LSTM
        found = torch.stack(
            [
                call(
                    *({name: each[j] for name, each in own.items()} for own in (params, buffers)), x
                )
                for j in range(3)
            ]
        )
    else:
        found = torch.vmap(call, in_dims=(0, 0, None))(params, buffers, x)
    plan = winit.plan(made)
    for j in range(3):
        alone = made().eval()
        plan.run(alone, seed=winit.fold_in(winit.key(7), j))
        assert torch.allclose(found[j], alone(x), atol=1e-5)
    found.sum().backward()
    assert all(stack.grad is not None for name, stack in params.items() if "block" not in name)


def test_rules_and_device():
    rules = {"*.bias": winit.Ones(), "*": winit.Orthogonal()}
    factory = lambda: nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))  # noqa: E731
    params, _, _ = winit.ensemble(factory, 2, 0, rules, device="cpu")
    key = winit.fold_in(winit.fold_in(winit.key(0), 1), "1.weight")
    assert same_bits(params["1.weight"][1], winit.orthogonal_(torch.empty(6, 6), key=key))
    assert (params["0.bias"] == 1).all()
    on_meta, _, _ = winit.ensemble(factory, 2, 0, device="meta")
    assert on_meta["0.bias"].is_meta


def test_vectors_of_another_law():
    """Of weights that rules change, each member finds the vectors of spectral_norm anew."""
    rules = {"0.weight": winit.Normal()}
    params, buffers, _ = winit.ensemble(spectral_normed, 2, 7, rules)
    plan = winit.plan(spectral_normed, rules)
    for j in range(2):
        alone = spectral_normed()
        plan.run(alone, seed=winit.fold_in(winit.key(7), j))
        for name, tensor in (*alone.named_parameters(), *alone.named_buffers()):
            assert same_bits({**params, **buffers}[name][j], tensor), name


def test_one_pass_of_the_core(monkeypatch):
    passes = []
    own = many._Lot.run
    monkeypatch.setattr(
        many._Lot, "run", lambda self, words: passes.append(self) or own(self, words)
    )
    winit.ensemble(GPT, 5, seed=0)
    assert len(passes) == 1


def test_generators_are_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    winit.ensemble(Recurrent, 2, seed=0)
    winit.ensemble(weight_normed, 2, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_more_members_than_there_is_memory_for(monkeypatch):
    monkeypatch.setattr(ensemble, "split", lambda *_: pytest.fail("keys were made first"))
    with pytest.raises(RuntimeError):
        winit.ensemble(lambda: nn.Linear(100, 100), 2**62, seed=0)


def test_what_is_wrong():
    with pytest.raises(TypeError, match=r"^ensemble: factory must be a callable"):
        winit.ensemble(nn.Linear(2, 2), 2, 0)
    with pytest.raises(ValueError, match=r"^ensemble: n must be at least 1, got 0"):
        winit.ensemble(GPT, 0, 0)
    with pytest.raises(TypeError, match=r"^ensemble: n must be an integer, got True"):
        winit.ensemble(GPT, True, 0)
    with pytest.raises(TypeError, match=r"^ensemble: n must be an integer"):
        winit.ensemble(GPT, 2.5, 0)
    made = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"^ensemble: factory must be a callable that makes"):
        winit.ensemble(lambda: made, 2, 0)
    with pytest.raises(RuntimeError, match=r"^ensemble: the constructor failed on fake tensors"):
        winit.ensemble(lambda: nn.Linear(-2, 2), 2, 0)
    with pytest.raises(TypeError, match=r"^ensemble: factory must be a callable without arguments"):
        winit.ensemble(nn.Linear, 2, 0)
    with pytest.raises(TypeError, match=r"^ensemble: seed must be an integer"):
        winit.ensemble(GPT, 2, "0")
    unset = lambda: nn.ParameterDict({"a": torch.empty(3)})  # noqa: E731
    with pytest.raises(ValueError, match=r"^ensemble: a has no law"):
        winit.ensemble(unset, 2, 0)
    with pytest.raises(ValueError, match="idle rules"):
        winit.ensemble(GPT, 2, 0, {"nothing": winit.Ones()})
