"""How the gradient travels back through the time steps of a recurrent net at initialization.

A plain net, h_t = phi(W x_t + U h_(t-1) + b), is a deep one whose layers are the time steps (Poole et al. 2016;
Pennington et al. 2017): q_t = g2 E[phi^2] + s2_t, and one step back multiplies E||dL/dh||^2 by g2 E[phi'(z)^2]. Behind
gates whose weights are zero, the state is handed on times sigmoid(bias): exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradlab.theory.gaussian import Array, Phi
from gradlab.theory.profile import Normalization


@dataclass(frozen=True, kw_only=True)
class Elman:
    """What theory needs to know of a plain recurrent layer.

    Attributes:
        phi: The activation.
        recurrent_variance: g2, variance of a recurrent weight times the number of units.
        driven: s2 at each time step [T]: second moment of what inputs and biases bring to z.
        orthogonal: Whether the recurrent matrix is orthogonal.
        normalization: None, or over the units.
        epsilon: What the normalization adds to the variance.
    """

    phi: Phi
    recurrent_variance: float
    driven: Array
    orthogonal: bool = False
    normalization: Normalization = "none"
    epsilon: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What theory says of each time step, from the first to the last.

    Attributes:
        log_gradients: Natural log of E||dL/dh_t||^2, over that of the last time step.
        variances: Second moment of z.
        factors: By what E||dL/dh_t||^2 is E||dL/dh_(t-1)||^2, for each step back but to the state before the first.
        walk: Mean over the steps of the variance that a step of width 1 adds to ln ||dL/dh||^2.
    """

    log_gradients: list[float]
    variances: list[float]
    factors: list[float]
    walk: float


def follow(net: Elman) -> Steps:
    """Follow the state through time and the gradient back, from a state of zeros and a loss at the last time step."""
    square, variances, factors, walks = 0.0, [], [], []
    for driven in net.driven.tolist():
        variance = net.recurrent_variance * square + driven
        size = variance + net.epsilon if net.normalization != "none" else 1.0
        moments = net.phi.moments(variance / size)
        square, slope = float(moments.square), float(moments.slope_square)
        variances.append(variance)
        factors.append(net.recurrent_variance * slope / size)
        kurtosis = float(moments.slope_fourth) / slope**2 if slope else 1.0
        walks.append(3 * kurtosis - (3 if net.orthogonal else 1))
    logs = [float(value) for value in backwards(np.log(np.maximum(factors[1:], 1e-300)))]
    return Steps(log_gradients=logs, variances=variances, factors=factors[1:], walk=float(np.mean(walks)))


def handed_on(biases: Array, steps: int) -> list[float]:
    """Return ln of the mean square over the units of sigmoid(bias)^(T - 1 - t), at each of T time steps t.

    What is left of dL/dc_T in an LSTM whose weights are zero, given its forget biases (in torch the SUM of its two
    bias vectors), and of dL/dh_T in such a GRU, given its update biases.

    Args:
        biases: Bias of the gate that keeps, of each unit.
        steps: Number T of time steps.
    """
    logs = -np.logaddexp(0.0, -biases)  # of the sigmoid
    powers = 2 * np.arange(steps - 1, -1, -1)[:, None] * logs
    top = powers.max(1, keepdims=True)
    return (top[:, 0] + np.log(np.exp(powers - top).mean(1))).tolist()


def backwards(log_factors: Sequence[float] | Array) -> Array:
    """Return sums of the factors' logs from each place to the last, with 0 at the last."""
    return np.append(np.cumsum(np.asarray(log_factors)[::-1])[::-1], 0.0)
