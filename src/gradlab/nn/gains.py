"""The gain of a weight initialization: compensates for an activation's effect on the signal's size."""

from math import pi, sqrt

import torch
from torch import nn

_TORCH_NAMES: dict[type[nn.Module], str] = {
    nn.Identity: "linear",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.SELU: "selu",
}


def activation_gain(activation: nn.Module) -> float:
    """Return the gain by which He-style initializers scale the weights before ``activation``.

    For activations in torch's table it is torch's value: 1 for identity and sigmoid, 5/3 for tanh, sqrt(2) for relu,
    3/4 for selu. For (parametric) leaky relu it is sqrt(2 / (1 + slope^2)) (He et al. 2015, eq. 15). For any other it
    is 1 / sqrt(E[phi(Z)^2]), Z ~ N(0, 1), by the same forward argument that gives sqrt(2) for relu.
    """
    if isinstance(activation, nn.LeakyReLU | nn.PReLU):
        slope = activation.negative_slope if isinstance(activation, nn.LeakyReLU) else activation.init
        return nn.init.calculate_gain("leaky_relu", slope)
    name = _TORCH_NAMES.get(type(activation))
    return 1 / sqrt(_second_moment(activation)) if name is None else nn.init.calculate_gain(name)  # pyright: ignore[reportArgumentType]


def _second_moment(activation: nn.Module, *, reach: float = 12.0, points: int = 20_000) -> float:
    """Return E[phi(Z)^2], Z ~ N(0, 1), by the trapezoidal rule on a grid of ``points`` from -reach to reach."""
    # a fine uniform grid, not Gauss-Hermite: activations may have kinks
    z = torch.linspace(-reach, reach, points, dtype=torch.float64)
    with torch.no_grad():
        values = activation(z)
    return float(torch.trapezoid(values**2 * torch.exp(-(z**2) / 2), z)) / sqrt(2 * pi)
