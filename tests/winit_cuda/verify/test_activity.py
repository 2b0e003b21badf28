"""What a batch does: activations and gradients by depth, what is dead, and that nothing stays."""

from __future__ import annotations

import contextlib
import math
from collections import UserDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import winit_cuda as winit
from winit_cuda._verify.activity import Layer, activity_of, is_dead, is_saturated


def layers_of(model: nn.Module, batch: Any) -> dict[str, Layer]:
    return {layer.name: layer for layer in activity_of(model, batch).layers}


@dataclass
class Answer:
    """What some models return."""

    scores: torch.Tensor


@dataclass(slots=True)
class SlottedAnswer:
    """The same without a __dict__."""

    scores: torch.Tensor


class Net(nn.Module):
    """A buffer that changes, dropout, an activation in place and one that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        y = self.drop(self.relu(self.norm(self.first(x))))
        return torch.tanh(self.last(y.mean((2, 3))) * scale)


def test_every_layer_in_order():
    torch.manual_seed(0)
    batch = torch.randn(4, 3, 8, 8)
    found = activity_of(Net(), batch)
    assert [layer.name for layer in found.layers] == ["first", "norm", "relu", "drop", "last"]
    assert [layer.kind for layer in found.layers][:2] == ["Conv2d", "BatchNorm2d"]
    assert found.layers[1].std == pytest.approx(1, rel=1e-3)
    assert all(layer.gradient_std for layer in found.layers)
    assert [(seen.name, seen.function) for seen in found.nonlinearities] == [
        ("relu", "relu"),
        ("Net", "tanh"),
    ]


def test_the_numbers():
    model = nn.Sequential(nn.Linear(5, 7), nn.Sigmoid(), nn.Linear(7, 3))
    batch = torch.randn(6, 5)
    found = layers_of(model, batch)
    hidden = model[0](batch).detach().requires_grad_()
    last = model[1:](hidden)
    directions = torch.randn(last.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(last, hidden, directions)
    assert found["0"].std == pytest.approx(hidden.std(correction=0).item(), rel=1e-5)
    assert found["0"].mean == pytest.approx(hidden.mean().item(), rel=1e-4)
    assert found["0"].gradient_std == pytest.approx(gradient.std(correction=0).item(), rel=1e-5)
    assert found["2"].gradient_std == pytest.approx(directions.std(correction=0).item(), rel=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch's own
def test_what_is_computed_again_is_seen_once():
    class Model(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return checkpoint(super().forward, x, use_reentrant=False)

    model = nn.Sequential(nn.Linear(4, 4), Model(4, 4), nn.Tanh())
    found = activity_of(model, torch.randn(8, 4))
    assert [layer.name for layer in found.layers] == ["0", "1", "2"]
    assert len(found.nonlinearities) == 1
    assert found.layers[0].gradient_std


def test_nothing_stays():
    torch.manual_seed(0)
    model = Net()
    model.first.weight.grad = torch.ones_like(model.first.weight)
    model.norm.bias.requires_grad_(False)
    model.last.eval()
    states = {name: value.clone() for name, value in model.state_dict().items()}
    versions = {name: value._version for name, value in model.named_parameters()}
    flags = [module.training for module in model.modules()]
    stepped = []
    model.last.weight.register_post_accumulate_grad_hook(lambda _: stepped.append(1))
    generator = torch.get_rng_state()
    activity_of(model, {"x": torch.randn(4, 3, 8, 8, generator=torch.Generator()), "scale": 2.0})
    assert torch.equal(torch.get_rng_state(), generator)
    assert not stepped
    for name, value in model.state_dict().items():
        assert torch.equal(value, states[name]), name
    assert versions == {name: value._version for name, value in model.named_parameters()}
    assert flags == [module.training for module in model.modules()]
    assert [name for name, value in model.named_parameters() if value.grad is not None] == [
        "first.weight"
    ]
    assert torch.equal(model.first.weight.grad, torch.ones_like(model.first.weight))
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_nothing_stays_after_an_error():
    model = Net()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    with pytest.raises(TypeError):
        activity_of(model, (torch.randn(4, 3, 8, 8), "no number"))
    for name, value in model.named_buffers():
        assert torch.equal(value, buffers[name]), name
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(RuntimeError, match=r"report: the model fails on the batch: TypeError"):
        winit.report(model, batch=(torch.randn(4, 3, 8, 8), "no number"))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_modules_that_take_no_hooks():
    model = nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Linear(4, 4)), nn.ReLU())
    assert list(layers_of(model, torch.randn(3, 4))) == ["0", "2"]
    assert not any(module._forward_hooks for module in (model, model[0], model[2]))
    traced = torch.jit.trace(nn.Linear(4, 4), torch.randn(3, 4))
    assert layers_of(traced, torch.randn(3, 4))["TopLevelTracedModule"].gradient_std

    class Refuses(nn.Linear):
        def register_forward_hook(self, *_: Any, **__: Any) -> Any:
            raise TypeError

    model = nn.Sequential(nn.Linear(4, 4), Refuses(4, 4))
    with pytest.raises(TypeError):
        activity_of(model, torch.randn(3, 4))
    assert not any(module._forward_pre_hooks for module in model[:1].modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_module_that_fails_is_left():
    class Tries(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 4)
            self.other = nn.Linear(5, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with contextlib.suppress(RuntimeError):
                self.other(x)
            return torch.relu(super().forward(x))

    seen = activity_of(Tries(), torch.randn(3, 4)).nonlinearities
    assert [each.name for each in seen] == ["Tries"]


def test_the_default_device_does_not_count():
    model, batch = nn.Linear(4, 4), torch.randn(3, 4)
    with torch.device("meta"):
        assert layers_of(model, batch)["Linear"].gradient_std


def test_dead_units():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 100), nn.ReLU(), nn.Linear(100, 3))
    with torch.no_grad():
        model[0].bias[:7] = -1e3
    seen = activity_of(model, torch.randn(64, 5)).nonlinearities[0]
    assert (seen.dead, seen.units, seen.rows) == (7, 100, 64)
    assert is_dead(seen)
    # On two rows, a quarter is 0 by chance.
    model[0].bias.data.zero_()
    assert not is_dead(activity_of(model, torch.randn(2, 5)).nonlinearities[0])


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Conv2d(3, 10, 3), (2, 3, 8, 8)),
        (nn.Conv1d(3, 10, 3), (2, 3, 8)),
        (nn.Linear(3, 10), (2, 6, 3)),
        (nn.Conv1d(3, 10, 3), (3, 8)),
        (nn.Conv2d(3, 10, 3), (3, 8, 8)),
        (nn.Conv3d(3, 10, 3), (3, 8, 8, 8)),
        (nn.ConvTranspose2d(3, 10, 3), (3, 8, 8)),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 10, 3)), (3, 8, 8)),
    ],
)
def test_units_of_convolutions(model, shape):
    """With a batch and without."""
    with torch.no_grad():
        model.bias.fill_(1e3)[4] = -1e3
    seen = activity_of(nn.Sequential(model, nn.ReLU()), torch.randn(shape)).nonlinearities[0]
    assert (seen.units, seen.dead) == (10, 1)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ((nn.Conv1d(3, 10, 3), nn.Dropout(0.0)), (2, 3, 8)),
        ((nn.Conv2d(3, 10, 3), nn.Dropout(0.0)), (3, 8, 8)),
        ((nn.Conv2d(3, 10, 3), nn.MaxPool2d(2)), (3, 8, 8)),
        ((nn.Conv2d(3, 10, 3), nn.GroupNorm(2, 10)), (2, 3, 8, 8)),
        ((nn.Conv1d(3, 10, 3), nn.Linear(6, 10)), (2, 3, 8)),
        ((nn.Linear(3, 10), nn.BatchNorm1d(10)), (4, 3)),
    ],
)
def test_units_of_what_follows(layers, shape):
    model = nn.Sequential(*layers, nn.ReLU())
    assert activity_of(model, torch.randn(shape)).nonlinearities[0].units == 10


@pytest.mark.parametrize(
    ("model", "shape"), [(nn.Conv1d(3, 10, 3), (2, 3, 8)), (nn.Conv2d(3, 10, 3), (2, 3, 8, 8))]
)
def test_units_of_tokens(model, shape):
    """Where the channels of a convolution were moved to the end."""

    class Tokens(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x.flatten(2).transpose(1, 2))

    seen = activity_of(nn.Sequential(model, Tokens()), torch.randn(shape)).nonlinearities[0]
    assert seen.units == 10


@pytest.mark.parametrize("function", [torch.tanh, torch.sigmoid, functional.tanh])
def test_saturation(function):
    class Model(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return function(super().forward(x))

    model = Model(10, 10)
    (seen,) = activity_of(model, 0.1 * torch.randn(8, 10)).nonlinearities
    assert (seen.saturated, is_saturated(seen)) == (0, False)
    (seen,) = activity_of(model, 1000 * torch.randn(8, 10)).nonlinearities
    assert seen.saturated > 0.9
    assert [f.kind for f in winit.report(model, batch=1000 * torch.randn(8, 10)).findings] == [
        "saturated"
    ]


def test_where_a_function_saturates():
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x)

    edge = math.atanh(math.sqrt(0.95))
    batch = torch.tensor([-edge - 0.01, -edge + 0.01, edge - 0.01, edge + 0.01])
    assert activity_of(Model(), batch).nonlinearities[0].saturated == 0.5


def test_activations_that_are_not_finite():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with torch.no_grad():
        model[0].bias[0] = math.inf
    found = winit.report(model, batch="random")
    assert [finding.text for finding in found.findings] == ["0 returns values that are not finite"]


def test_layers_are_what_calls_no_other_module():
    """Weights that other modules compute, and modules whose parts are not called."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = parametrizations.weight_norm(nn.Linear(4, 8))
            self.attention = nn.MultiheadAttention(8, 2)
            self.never = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(self.first(x)[:, :4])
            return self.attention(y, y, y)[0]

    found = activity_of(Model(), torch.randn(3, 4)).layers
    assert [layer.name for layer in found] == ["first", "first", "attention"]
    assert found[0].kind == "Linear"


def test_names_are_those_of_the_plan():
    model = nn.DataParallel(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    found = activity_of(model, torch.randn(3, 4))
    assert [layer.name for layer in found.layers] == ["0", "1"]
    assert [seen.name for seen in found.nonlinearities] == ["1"]


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="since torch 2.6")
def test_compiled_models_run_as_they_are_written():
    compiled = []

    def backend(module: Any, _: Any) -> Any:
        compiled.append(module)
        return module.forward

    model = torch.compile(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), backend=backend)
    found = activity_of(model, torch.randn(3, 4))
    assert [layer.name for layer in found.layers] == ["0", "1"]
    assert not compiled
    model(torch.randn(3, 4))
    assert compiled


def test_outputs_of_every_kind():
    class Model(nn.Linear):
        def forward(self, x: torch.Tensor) -> Any:
            y = super().forward(x)
            return {"ids": x.argmax(), "all": [(y, None)]}

    assert layers_of(Model(3, 4), torch.randn(2, 3))["Model"].gradient_std

    class Answers(Model):
        def forward(self, x: torch.Tensor) -> Any:
            return Answer(super().forward(x)["all"][0][0])

    batch = UserDict(x=torch.randn(2, 3))  # such is what a tokenizer returns
    assert layers_of(Answers(3, 4), batch)["Answers"].gradient_std

    class Slots(Model):
        def forward(self, x: torch.Tensor) -> Any:
            return SlottedAnswer(super().forward(x)["all"][0][0])

    assert layers_of(Slots(3, 4), torch.randn(2, 3))["Slots"].gradient_std
    frozen = nn.Linear(3, 4).requires_grad_(False)
    assert layers_of(frozen, torch.randn(2, 3))["Linear"].gradient_std is None
    one = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    assert layers_of(one, torch.randn(1, 3))["0"].gradient_std == 0
