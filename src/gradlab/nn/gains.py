"""The gain that makes up for what an activation does to the size of the signal."""

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
    """Return the gain that He-style initializers give the weights beside ``activation``.

    Where torch's table has the activation, its value: 1 for identity and sigmoid, 5/3 for tanh, sqrt(2) for relu,
    3/4 for selu; for (parametric) leaky relu sqrt(2 / (1 + slope^2)) (He et al. 2015, eq. 15). Elsewhere
    1 / sqrt(E[phi(Z)^2]), Z ~ N(0, 1): the same forward argument that gives relu its sqrt(2).
    """
    if isinstance(activation, nn.LeakyReLU | nn.PReLU):
        slope = activation.negative_slope if isinstance(activation, nn.LeakyReLU) else activation.init
        return nn.init.calculate_gain("leaky_relu", slope)
    name = _TORCH_NAMES.get(type(activation))
    return 1 / sqrt(_second_moment(activation)) if name is None else nn.init.calculate_gain(name)  # pyright: ignore[reportArgumentType]


def _second_moment(activation: nn.Module, *, reach: float = 12.0, points: int = 20_000) -> float:
    """Return E[phi(Z)^2], Z ~ N(0, 1), by the trapezoidal rule on the module itself, kinks and all."""
    z = torch.linspace(-reach, reach, points, dtype=torch.float64)
    with torch.no_grad():
        values = activation(z)
    return float(torch.trapezoid(values**2 * torch.exp(-(z**2) / 2), z)) / sqrt(2 * pi)
