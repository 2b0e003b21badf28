"""The ways people write it: programs that use torch.nn.init, with winit_cuda in its place."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import winit_cuda
from initializers import needs_core
from winit_cuda import init


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Classifier(nn.Module):
    """Initialized in __init__."""

    def __init__(self, gain: float = 1.0):
        super().__init__()
        self.first = nn.Linear(64, 128)
        self.second = nn.Linear(128, 10)
        init.xavier_uniform_(self.first.weight, gain=gain)
        init.kaiming_normal_(self.second.weight, nonlinearity="relu")
        init.zeros_(self.first.bias)
        init.constant_(self.second.bias, 0.1)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


def test_in_the_constructor():
    model = Classifier()
    bound = math.sqrt(6 / (64 + 128))
    assert 0.95 * bound < model.first.weight.abs().max() <= bound
    assert abs(model.second.weight.std() - math.sqrt(2 / 128)) < 0.01
    assert not model.first.bias.any()
    assert torch.equal(model.second.bias, torch.full((10,), 0.1))
    loss = model(torch.randn(4, 64)).square().mean()
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    torch.optim.SGD(model.parameters(), lr=0.1).step()


def test_the_seed_rules():
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(Classifier())
    states = [list(model.state_dict().values()) for model in models]
    assert all(map(torch.equal, states[0], states[1]))
    assert not torch.equal(states[0][0], states[2][0])


def test_apply():
    def init_params(module):
        if isinstance(module, nn.Conv2d | nn.Linear):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    net = nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, bias=False),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    assert net.apply(init_params) is net
    assert abs(net[0].weight.std() - math.sqrt(2 / (16 * 9))) < 0.02
    assert not net[0].bias.any()
    assert not net[5].bias.any()
    assert (net[1].weight == 1).all()


def test_loop_over_named_parameters():
    net = nn.Sequential(nn.Linear(100, 200), nn.ReLU(), nn.Linear(200, 50))
    for name, parameter in net.named_parameters():
        if "weight" in name:
            init.normal_(parameter, mean=0, std=0.01)
        if "bias" in name:
            init.constant_(parameter, val=0)
    for layer in (net[0], net[2]):
        assert abs(layer.weight.std() - 0.01) < 0.0005
        assert abs(layer.weight.mean()) < 0.0005
        assert not layer.bias.any()


def test_the_default_rule_of_linear():
    layer = nn.Linear(100, 50)
    init.kaiming_uniform_(layer.weight, a=math.sqrt(5))
    fan_in = layer.weight.shape[1]
    bound = 1 / math.sqrt(fan_in)
    init.uniform_(layer.bias, -bound, bound)
    assert 0.95 * bound < layer.weight.abs().max() <= bound
    assert 0.7 * bound < layer.bias.abs().max() <= bound
    assert abs(layer.weight.std() - bound / math.sqrt(3)) < 0.002


def test_one_over_root_n():
    def init_weights(module):
        if isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.in_features)
            init.uniform_(module.weight.data, -bound, bound)
            init.zeros_(module.bias.data)

    model = nn.Sequential(nn.Linear(784, 256), nn.Linear(256, 10)).apply(init_weights)
    for layer in model:
        bound = 1 / math.sqrt(layer.in_features)
        assert 0.95 * bound < layer.weight.abs().max() <= bound


@pytest.mark.parametrize(
    ("nonlinearity", "param"),
    [
        *((name, None) for name in ("linear", "conv1d", "conv2d", "conv3d")),
        *((f"conv_transpose{d}d", None) for d in (1, 2, 3)),
        ("sigmoid", None),
        ("tanh", None),
        ("relu", None),
        ("leaky_relu", None),
        ("leaky_relu", 0.2),
        ("selu", None),
    ],
)
def test_gains(nonlinearity, param):
    gain = init.calculate_gain(nonlinearity, param)
    assert gain == nn.init.calculate_gain(nonlinearity, param)
    weight = init.xavier_normal_(torch.empty(200, 100), gain=gain)
    assert abs(weight.std() - gain * math.sqrt(2 / 300)) < 0.02 * gain
    matrix = init.orthogonal_(torch.empty(20, 30), gain=gain)
    assert torch.allclose(matrix @ matrix.T, gain**2 * torch.eye(20), atol=1e-5)


@needs_core
def test_every_gate_of_a_recurrent_layer_is_orthogonal():
    for layer, gates in ((nn.LSTM(5, 8), 4), (nn.GRU(5, 8), 3), (nn.RNN(5, 8), 1)):
        init.orthogonal_(layer.weight_hh_l0, chunks=gates)
        init.orthogonal_(layer.weight_ih_l0, chunks=gates)
        for weight, size in ((layer.weight_hh_l0, 8), (layer.weight_ih_l0, 5)):
            for gate in weight.detach().chunk(gates):
                assert torch.allclose(gate.T @ gate, torch.eye(size), atol=1e-6)


@needs_core
def test_a_deep_convolutional_net_keeps_its_signal():
    """A hundred linear layers keep the length of what each pixel holds."""
    x = torch.randn(4, 16, 7, 7)
    lengths = x.norm(dim=1)
    for _ in range(100):
        layer = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        init.delta_orthogonal_(layer.weight)
        x = layer(x)
    assert torch.allclose(x.norm(dim=1), lengths, rtol=1e-4)


def test_custom_in_place_initializer():
    def init_custom(module):
        if isinstance(module, nn.Linear):
            init.uniform_(module.weight, -10, 10)
            module.weight.data *= module.weight.data.abs() >= 5

    net = nn.Sequential(nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10)).apply(init_custom)
    weight = net[0].weight
    kept = weight[weight != 0]
    assert kept.abs().min() >= 5
    assert kept.abs().max() < 10
    assert 0.45 < kept.numel() / weight.numel() < 0.55


def test_one_module_twice():
    """A layer shared by two places is initialized once, and its gradients add up."""
    shared = nn.Linear(8, 8)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared)
    filled = []
    for name, parameter in net.named_parameters():
        if "weight" in name:
            filled.append(init.xavier_uniform_(parameter))
        else:
            init.constant_(parameter, 0.5)
    assert len(filled) == 2
    assert net[4].weight is filled[1]

    x = torch.ones(1, 4)
    net(x).sum().backward()
    inner = torch.relu(net[0](x)).detach()
    first, second = (shared.weight.detach().clone().requires_grad_() for _ in range(2))
    hidden = torch.relu(nn.functional.linear(inner, first, shared.bias.detach()))
    nn.functional.linear(hidden, second, shared.bias.detach()).sum().backward()
    assert torch.allclose(shared.weight.grad, first.grad + second.grad)


def test_xavier_on_a_bias():
    layer = nn.Linear(4, 3)
    before = layer.bias.detach().clone()
    with pytest.raises(ValueError, match=r"xavier_uniform_: tensor .*two dimensions.*shape \(3,\)"):
        init.xavier_uniform_(layer.bias)
    assert torch.equal(layer.bias, before)


def test_by_the_package_name():
    weight = torch.empty(3, 3)
    assert winit_cuda.kaiming_uniform_(weight) is weight
    torch.manual_seed(0)
    first = winit_cuda.normal_(torch.empty(3))
    torch.manual_seed(0)
    assert torch.equal(first, init.normal_(torch.empty(3)))


def test_inside_no_grad_and_skip_init():
    with torch.no_grad():
        layer = nn.Linear(3, 3)
        init.eye_(layer.weight)
    assert torch.equal(layer.weight, torch.eye(3))
    assert layer.weight.requires_grad

    class Ours(nn.Linear):
        def reset_parameters(self):
            init.orthogonal_(self.weight)
            init.zeros_(self.bias)

    skipped = nn.utils.skip_init(Ours, 3, 3)
    assert skipped.weight.shape == (3, 3)
    skipped.reset_parameters()
    assert torch.allclose(skipped.weight @ skipped.weight.T, torch.eye(3), atol=1e-6)


def test_meta_then_empty_then_initialized():
    with torch.device("meta"):
        model = Classifier()
    model = model.to_empty(device="cpu")
    init.normal_(model.first.weight, std=0.02)
    assert abs(model.first.weight.std() - 0.02) < 0.002
