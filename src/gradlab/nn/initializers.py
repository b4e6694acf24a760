"""Initializers: rules called as ``initializer(layer, activation=module)`` that set the weight AND the bias.

A layer is anything with a ``weight`` of shape [out, in, ...] and a ``bias`` of shape [out] or None. Biases are zero
unless the method defines them. fan_in is the number of weights that contribute to one output.
"""

from math import sqrt
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt
from torch import nn

from gradlab.nn.gains import activation_gain

Gain = Annotated[float, Gt(0)] | Literal["activation"]
Mode = Literal["fan_in", "fan_out"]


def default(layer: nn.Module, *, activation: nn.Module) -> None:
    """Draw weight and bias as torch does: both from U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
    layer.reset_parameters()  # pyright: ignore[reportCallIssue]


def kaiming_normal(
    layer: nn.Module, *, activation: nn.Module, gain: Gain = "activation", mode: Mode = "fan_in"
) -> None:
    """Draw W ~ N(0, gain^2 / fan); for relu Var[w] = 2 / fan_in (He et al. 2015, eq. 10)."""
    _normal(layer, std=_gain(gain, activation) / sqrt(_fans(layer)[mode == "fan_out"]))


def kaiming_uniform(
    layer: nn.Module, *, activation: nn.Module, gain: Gain = "activation", mode: Mode = "fan_in"
) -> None:
    """Draw W ~ U(-b, b) with the variance of `kaiming_normal`: b = gain sqrt(3 / fan)."""
    _uniform(layer, bound=_gain(gain, activation) * sqrt(3 / _fans(layer)[mode == "fan_out"]))


def xavier_normal(layer: nn.Module, *, activation: nn.Module, gain: Gain = 1.0) -> None:
    """Draw W ~ N(0, gain^2 2 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 12)."""
    _normal(layer, std=_gain(gain, activation) * sqrt(2 / sum(_fans(layer))))


def xavier_uniform(layer: nn.Module, *, activation: nn.Module, gain: Gain = 1.0) -> None:
    """Draw W ~ U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16)."""
    _uniform(layer, bound=_gain(gain, activation) * sqrt(6 / sum(_fans(layer))))


def lecun_normal(layer: nn.Module, *, activation: nn.Module, gain: Gain = 1.0) -> None:
    """Draw W ~ N(0, gain^2 / fan_in) (LeCun et al. 1998, eq. 16); required by selu."""
    _normal(layer, std=_gain(gain, activation) / sqrt(_fans(layer)[0]))


def uniform(layer: nn.Module, *, activation: nn.Module, gain: Gain = 1.0) -> None:
    """Draw W ~ U(-gain / sqrt(n), gain / sqrt(n)), n = fan_in; "standard" in Glorot & Bengio 2010, eq. 1."""
    _uniform(layer, bound=_gain(gain, activation) / sqrt(_fans(layer)[0]))


def zeros(layer: nn.Module, *, activation: nn.Module) -> None:
    """Set W to 0; a layer without an activation (a head) is drawn by `lecun_normal`, so that gradients can enter.

    Only the biases that the model sets itself then have an effect: in an LSTM, each time step multiplies the gradient
    of the cell state by the sigmoid of the forget bias.
    """
    if isinstance(activation, nn.Identity):
        lecun_normal(layer, activation=activation)
    else:
        nn.init.zeros_(_weight(layer))
        _zero_bias(layer)


def mean_field(
    layer: nn.Module,
    *,
    activation: nn.Module,
    weight_variance: Annotated[float, Ge(0)] = 1.0,
    bias_variance: Annotated[float, Ge(0)] = 0.0,
) -> None:
    """Draw W ~ N(0, weight_variance / fan_in) and b ~ N(0, bias_variance) (Poole et al. 2016)."""
    _normal(layer, std=sqrt(weight_variance / _fans(layer)[0]))
    if isinstance(layer.bias, nn.Parameter):
        nn.init.normal_(layer.bias, std=sqrt(bias_variance))


def orthogonal(layer: nn.Module, *, activation: nn.Module, gain: Gain = 1.0) -> None:
    """Draw W uniformly from the (semi-)orthogonal matrices, times gain (Saxe et al. 2014)."""
    weight = _weight(layer)
    nn.init.orthogonal_(weight, gain=_gain(gain, activation))
    _zero_bias(layer)


def delta_orthogonal(layer: nn.Module, *, activation: nn.Module, gain: Gain = 1.0) -> None:
    """Draw an orthogonal matrix times gain at a convolution's centre tap, zeros elsewhere (Xiao et al. 2018).

    On a Linear layer it equals `orthogonal`. Norms are preserved if no layer reduces the number of channels.
    """
    weight = _weight(layer)
    with torch.no_grad():
        weight.zero_()
        centre = weight[(..., *(size // 2 for size in weight.shape[2:]))]  # a view, so the next line sets the weight
        nn.init.orthogonal_(centre, gain=_gain(gain, activation))
    _zero_bias(layer)


def identity(layer: nn.Module, *, activation: nn.Module, gain: Gain = 1.0) -> None:
    """Set W to gain times the identity: ones on the main diagonal, for a convolution at the centre tap (Le 2015)."""
    weight = _weight(layer)
    nn.init.eye_(weight) if weight.dim() == 2 else nn.init.dirac_(weight)
    with torch.no_grad():
        weight.mul_(_gain(gain, activation))
    _zero_bias(layer)


def _gain(gain: float | str, activation: nn.Module) -> float:
    return activation_gain(activation) if isinstance(gain, str) else gain


def _weight(layer: nn.Module) -> torch.Tensor:
    weight = layer.weight
    if not isinstance(weight, torch.Tensor) or weight.dim() < 2:
        raise ValueError(f"an initializer needs a layer with a weight of shape [out, in, ...], got {layer}")
    return weight


def _fans(layer: nn.Module) -> tuple[int, int]:
    weight = _weight(layer)
    taps = weight[0, 0].numel()
    return weight.shape[1] * taps, weight.shape[0] * taps


def _normal(layer: nn.Module, *, std: float) -> None:
    nn.init.normal_(_weight(layer), std=std)
    _zero_bias(layer)


def _uniform(layer: nn.Module, *, bound: float) -> None:
    nn.init.uniform_(_weight(layer), -bound, bound)
    _zero_bias(layer)


def _zero_bias(layer: nn.Module) -> None:
    if isinstance(layer.bias, nn.Parameter):
        nn.init.zeros_(layer.bias)
