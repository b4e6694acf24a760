"""Profiles against networks that torch builds and differentiates."""

from math import inf, log, pi

import numpy as np
import pytest
import torch
from tests.support.theory import RELU, SIGMOID, TANH, linear, phi_of
from torch import nn

from gradlab.theory.mean_field import tolerance
from gradlab.theory.network import Network
from gradlab.theory.profile import profile
from gradlab.theory.step import size_growth

ONE = np.ones((1, 1, 1))


def relu_net(depth, **more):
    affine = linear(2.0)
    return Network(phi=RELU, stem=affine, blocks=[[affine]] * (depth - 1), inputs=ONE, **more)


def test_he_weights_keep_relu_flat_and_xavier_halves_it():
    assert profile(relu_net(10)).log_gradients == pytest.approx([0.0] * 10, abs=1e-5)
    half = linear(1.0)
    found = profile(Network(phi=RELU, stem=half, blocks=[[half] * 9], inputs=ONE))
    assert found.log_gradients == pytest.approx([-(9 - i) * log(2) for i in range(10)], abs=1e-5)
    assert found.variances == pytest.approx([0.5**i for i in range(10)], rel=1e-5)


@pytest.mark.parametrize("weight_variance", [0.1, 2.0, 50.0])
def test_batch_norm_explodes_whatever_the_weights(weight_variance):
    affine = linear(weight_variance)
    net = Network(phi=RELU, stem=affine, blocks=[[affine]] * 9, normalization="batch", inputs=ONE)
    steps = -np.diff(profile(net).log_gradients)
    assert steps[1:] == pytest.approx([log(pi / (pi - 1))] * 8, rel=1e-4)


def test_samples_outgrow_their_batch_under_some_activations():
    """A sample of variance q among many of 1: C(q) of relu is q/2 - sqrt(q)/pi + 1/(2 pi), so C'(1) = C(1)."""
    assert size_growth(RELU) == pytest.approx(1.0, abs=2e-4)
    assert size_growth(TANH) < 0.6
    assert size_growth(phi_of(nn.Softplus())) > 1.05


def test_layer_norm_makes_relu_critical_whatever_the_weights():
    affine = linear(7.0)
    net = Network(phi=RELU, stem=affine, blocks=[[affine]] * 9, normalization="sample", inputs=ONE)
    # layer 1 sees the inputs, of variance 1, where the others see halves
    assert profile(net).log_gradients == pytest.approx([-log(2)] + [0.0] * 9, abs=1e-4)


@pytest.mark.parametrize("scale", [0.1, 0.5, 1.0])
def test_a_scaled_branch_grows_by_one_plus_the_square(scale):
    found = profile(relu_net(8, scales=[scale] * 7))
    # layer 1 stands on the main path, the others behind the factor on their branch
    assert -np.diff(found.log_gradients[1:]) == pytest.approx([log(1 + scale**2)] * 6, rel=1e-4)
    assert found.log_gradients[0] - found.log_gradients[1] == pytest.approx(log(1 + scale**2) - log(scale**2), rel=1e-4)


def test_closed_branches_receive_nothing_and_pass_everything():
    found = profile(relu_net(4, scales=[0.0] * 3))
    assert found.log_gradients[0] == inf  # over a last layer that receives nothing
    assert found.log_gradients[1:] == [0.0] * 3
    assert found.log_outputs == [0.0] * 4


def measured(depth, width, phi, weight_variance, bias_variance, *, normalization=None, scale=None, seed=0):
    """Squared gradient norms of the z of a network written out in torch, float64."""
    torch.manual_seed(seed)
    batch = 256 if normalization is nn.BatchNorm1d else 64
    x = torch.randn(batch, width, dtype=torch.float64)
    layers = []
    for _ in range(depth):
        w = torch.randn(width, width, dtype=torch.float64) * (weight_variance / width) ** 0.5
        b = torch.randn(width, dtype=torch.float64) * bias_variance**0.5
        layers.append((w, b))
    normalize = normalization(width).double() if normalization else nn.Identity()
    zs = []
    for index, (w, b) in enumerate(layers):
        z = (x if index == 0 else phi(normalize(x))) @ w.T + b
        z.requires_grad_() if index == 0 else z.retain_grad()
        zs.append(z)
        x = z if scale is None or index == 0 else x + scale * z
    x.backward(torch.randn(x.shape, dtype=torch.float64))
    return np.array([z.grad.pow(2).sum().item() for z in zs])


CASES = {
    "tanh ordered": (TANH, torch.tanh, 1.3, 0.05, "none", None, None),
    "tanh chaotic": (TANH, torch.tanh, 3.0, 0.05, "none", None, None),
    "sigmoid": (SIGMOID, torch.sigmoid, 16.0, 0.0, "none", None, None),
    "relu, layer norm": (RELU, torch.relu, 0.3, 0.2, "sample", nn.LayerNorm, None),
    "tanh, layer norm": (TANH, torch.tanh, 3.0, 0.0, "sample", nn.LayerNorm, None),
    "tanh, batch norm": (TANH, torch.tanh, 1.0, 0.0, "batch", nn.BatchNorm1d, None),
    "relu, residual": (RELU, torch.relu, 2.0, 0.1, "none", None, 0.5),
    "relu, residual, batch norm": (RELU, torch.relu, 2.0, 0.0, "batch", nn.BatchNorm1d, 1.0),
    "relu, residual, layer norm": (RELU, torch.relu, 2.0, 0.0, "sample", nn.LayerNorm, 1.0),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_whole_profile_of_a_network_in_torch(case):
    phi, function, weight, bias, normalization, module, scale = case
    depth, width = 30, 256
    affine = linear(weight, bias)
    scales = None if scale is None else [scale] * (depth - 1)
    net = Network(
        phi=phi,
        stem=affine,
        blocks=[[affine]] * (depth - 1),
        scales=scales,
        normalization=normalization,
        epsilon=1e-5,
        inputs=ONE,
        batch=256,
    )
    predicted = profile(net)
    found = np.log(measured(depth, width, function, weight, bias, normalization=module, scale=scale))
    depths = np.arange(2, depth + 1)  # layer 1 stands outside the branches
    slopes = [np.polyfit(depths, np.asarray(values)[1:], 1)[0] for values in (found, predicted.log_gradients)]
    assert abs(slopes[0] - slopes[1]) < tolerance(predicted.walk, width=width, depth=depth)
