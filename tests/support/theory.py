"""What the theory is checked with: Gaussian means by quadrature, torch's activations with their slopes by autograd."""

from math import pi, sqrt

import numpy as np
import torch
from torch import nn

from gradlab.theory.affine import Affine
from gradlab.theory.gaussian import Phi

# An even number of points, so that none falls on a kink at 0.
NODES = np.linspace(-12, 12, 100_000)
WEIGHTS = np.exp(-(NODES**2) / 2) / sqrt(2 * pi) * (NODES[1] - NODES[0])


def gaussian_mean(values) -> float:
    return float(np.sum(WEIGHTS * values))


def slope_moments(phi, q: float) -> tuple[float, float]:
    """E[phi'^2] and v = 3 E[phi'^4] / E[phi'^2]^2 - 1 at variance q, by autograd of torch's own function."""
    z = torch.tensor(sqrt(q) * NODES, requires_grad=True)
    (slope,) = torch.autograd.grad(phi(z).sum(), z)
    square = gaussian_mean(slope.numpy() ** 2)
    return square, 3 * gaussian_mean(slope.numpy() ** 4) / square**2 - 1


def phi_of(module: nn.Module) -> Phi:
    """torch's own function, its slope by autograd."""

    def value(z):
        return module(torch.from_numpy(z)).numpy()

    def slope(z):
        x = torch.from_numpy(z).requires_grad_()
        return torch.autograd.grad(module(x).sum(), x)[0].numpy()

    return Phi(value, slope)


RELU, TANH, SIGMOID, SELU = (phi_of(module) for module in (nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.SELU()))


def linear(weight_variance, bias_variance=0.0):
    return Affine(taps=np.array([[weight_variance]]), bias_variance=bias_variance)
