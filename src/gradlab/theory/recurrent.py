"""The gradient through the time steps of a recurrent net at initialization.

A plain net, h_t = phi(W x_t + U h_(t-1) + b), is a deep net whose layers are the time steps (Poole et al. 2016;
Pennington et al. 2017): q_t = g2 E[phi^2] + s2_t, and one step back multiplies E||dL/dh||^2 by g2 E[phi'(z)^2]. With
gates whose weights are zero, each step multiplies the state by sigmoid(bias) exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradlab.theory.gaussian import Array, Phi
from gradlab.theory.network import Normalization


@dataclass(frozen=True, kw_only=True)
class Elman:
    """The properties of a plain recurrent layer from which its gradients are predicted.

    Attributes:
        phi: The activation.
        recurrent_variance: g2, variance of a recurrent weight times the number of units.
        driven: s2 at each time step [T]: second moment of the contribution of inputs and biases to z.
        orthogonal: Whether the recurrent matrix is orthogonal.
        normalization: None, or over the units.
        epsilon: Number that the normalization adds to the variance.
    """

    phi: Phi
    recurrent_variance: float
    driven: Array
    orthogonal: bool = False
    normalization: Normalization = "none"
    epsilon: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The prediction for each time step, from the first to the last.

    Attributes:
        log_gradients: Natural log of E||dL/dh_t||^2, relative to the last time step.
        variances: Second moment of z.
        factors: E||dL/dh_(t-1)||^2 over E||dL/dh_t||^2, for t from the second time step to the last.
        walk: Mean over the steps of the variance that a step of width 1 adds to ln ||dL/dh||^2.
    """

    log_gradients: list[float]
    variances: list[float]
    factors: list[float]
    walk: float


def follow(net: Elman) -> Steps:
    """Propagate the state's variance forward from a zero state, and the gradient back from a loss at the last step."""
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


def gate_log_gradients(biases: Array, steps: int) -> list[float]:
    """Return ln of the mean square over the units of sigmoid(bias)^(T - 1 - t), at each of T time steps t.

    This is ln ||dL/dc_t||^2 relative to the last step in an LSTM with zero weights, given its forget biases (in torch
    the SUM of its two bias vectors), and ln ||dL/dh_t||^2 in a GRU with zero weights, given its update biases.

    Args:
        biases: Bias of the gate that keeps the state, of each unit.
        steps: Number T of time steps.
    """
    log_gates = -np.logaddexp(0.0, -biases)  # ln sigmoid(bias), without overflow
    powers = 2 * np.arange(steps - 1, -1, -1)[:, None] * log_gates
    largest = powers.max(1, keepdims=True)  # factored out (log-sum-exp): over long sequences the powers underflow
    return (largest[:, 0] + np.log(np.exp(powers - largest).mean(1))).tolist()


def backwards(log_factors: Sequence[float] | Array) -> Array:
    """Return the sums of the factors' logs from each time step to the last, with 0 at the last."""
    return np.append(np.cumsum(np.asarray(log_factors)[::-1])[::-1], 0.0)
