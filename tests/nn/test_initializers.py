from math import sqrt

import pytest
import torch
from torch import nn

from gradlab.nn import initializers
from gradlab.nn.gains import activation_gain

FAN_IN, FAN_OUT = 300, 700


def draw(name, activation=None, layer=None, **options):
    torch.manual_seed(0)
    layer = layer or nn.Linear(FAN_IN, FAN_OUT)
    getattr(initializers, name)(layer, activation=activation or nn.ReLU(), **options)
    return layer.requires_grad_(False)


@pytest.mark.parametrize(("name", "options", "std"), [
    ("kaiming_normal", {}, sqrt(2 / FAN_IN)),
    ("kaiming_normal", {"mode": "fan_out"}, sqrt(2 / FAN_OUT)),
    ("kaiming_uniform", {}, sqrt(2 / FAN_IN)),
    ("kaiming_uniform", {"gain": 1.0}, sqrt(1 / FAN_IN)),
    ("xavier_normal", {}, sqrt(2 / (FAN_IN + FAN_OUT))),
    ("xavier_uniform", {"gain": "activation"}, sqrt(4 / (FAN_IN + FAN_OUT))),
    ("lecun_normal", {}, sqrt(1 / FAN_IN)),
    ("uniform", {}, sqrt(1 / 3 / FAN_IN)),
    ("default", {}, sqrt(1 / 3 / FAN_IN)),
    ("mean_field", {"weight_variance": 1.7}, sqrt(1.7 / FAN_IN)),
])  # fmt: skip
def test_standard_deviation_of_the_weights(name, options, std):
    layer = draw(name, **options)
    assert float(layer.weight.std()) == pytest.approx(std, rel=0.01)
    assert abs(float(layer.weight.mean())) < 0.01 * std
    if name != "default":
        assert not layer.bias.any()


@pytest.mark.parametrize(("name", "bound"), [
    ("uniform", 1 / sqrt(FAN_IN)),
    ("xavier_uniform", sqrt(6 / (FAN_IN + FAN_OUT))),
    ("kaiming_uniform", sqrt(6 / FAN_IN)),
])  # fmt: skip
def test_bounds_of_the_uniform_ones(name, bound):
    weight = draw(name).weight
    assert bound * 0.999 < float(weight.abs().max()) <= bound


def test_fan_in_of_a_convolution_counts_the_taps():
    layer = draw("lecun_normal", layer=nn.Conv2d(64, 128, 3))
    assert float(layer.weight.std()) == pytest.approx(1 / sqrt(64 * 9), rel=0.01)


def test_mean_field_draws_the_bias():
    layer = draw("mean_field", layer=nn.Linear(4, 20_000), bias_variance=0.05)
    assert float(layer.bias.var()) == pytest.approx(0.05, rel=0.05)


def test_orthogonal_and_identity():
    weight = draw("orthogonal", gain=2.0).weight
    assert torch.allclose(weight.T @ weight, 4 * torch.eye(FAN_IN), atol=1e-4)
    assert torch.equal(draw("identity", layer=nn.Linear(5, 5), gain=0.5).weight, 0.5 * torch.eye(5))
    convolution = draw("identity", layer=nn.Conv2d(3, 3, 3, padding=1, bias=False))
    x = torch.randn(2, 3, 6, 6)
    assert torch.allclose(convolution(x), x)


@pytest.mark.parametrize(("activation", "gain"), [
    (nn.ReLU(), sqrt(2)), (nn.LeakyReLU(0.3), sqrt(2 / 1.09)), (nn.PReLU(init=0.3), sqrt(2 / 1.09)), (nn.Tanh(), 5 / 3),
    (nn.Sigmoid(), 1.0), (nn.Identity(), 1.0), (nn.SELU(), 0.75),
])  # fmt: skip
def test_gains_with_a_published_value(activation, gain):
    assert activation_gain(activation) == pytest.approx(gain)


@pytest.mark.parametrize("activation", [nn.GELU(), nn.SiLU(), nn.ELU(), nn.Hardtanh(), nn.Softplus()])
def test_other_gains_keep_the_second_moment(activation):
    z = torch.randn(2_000_000, generator=torch.Generator().manual_seed(0))
    assert float(activation(z).square().mean()) == pytest.approx(activation_gain(activation) ** -2, rel=0.01)


@pytest.mark.parametrize("layer", [nn.Conv2d(6, 9, 5, padding=2), nn.Conv1d(6, 9, 3, padding=1), nn.Conv2d(6, 6, 1)])
def test_delta_orthogonal_keeps_the_norm_of_every_pixel(layer):
    draw("delta_orthogonal", layer=layer, gain=3.0)
    x = torch.randn(2, 6, *[7] * (layer.weight.dim() - 2))
    assert torch.allclose(layer(x).norm(dim=1), 3 * x.norm(dim=1), atol=1e-5)
    assert int((layer.weight != 0).sum()) == 6 * layer.out_channels


def test_delta_orthogonal_on_a_linear_is_orthogonal():
    assert torch.equal(draw("delta_orthogonal").weight, draw("orthogonal").weight)
