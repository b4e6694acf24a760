"""Sensitivity of the gradient's growth to the size of the signal."""

from collections.abc import Sequence

import numpy as np

from gradlab.theory.gaussian import Array, Phi


def length_sensitivity(phi: Phi, variances: Sequence[float], *, weight_variances: Sequence[float]) -> float:
    """Return the sum over layers of (d growth / d ln q)^2 in a plain network without normalization.

    At finite width the variance q of each layer's z fluctuates, like the gradient, and the fluctuation carries over to
    every later layer: ln q(l+1) changes by J = d ln q(l+1) / d ln q(l) times as much. If J is near or above 1, as for
    gelu while its signal slowly dies out, an early fluctuation changes the gradient's growth considerably.

    Args:
        phi: The activation.
        variances: Second moment of z in each layer, from the first.
        weight_variances: Weight variance times fan_in of each map between two layers.
    """
    step = 0.02
    q = np.asarray(variances[:-1])
    if len(q) < 2 or not (q > 0).all():
        return 0.0
    low, high = phi.moments(q * (1 - step)), phi.moments(q * (1 + step))
    jacobians = np.asarray(weight_variances) * (high.square - low.square) / (2 * step * np.asarray(variances[1:]))
    slopes: Array = np.log(np.maximum(high.slope_square, 1e-300) / np.maximum(low.slope_square, 1e-300)) / (2 * step)
    depths = np.arange(len(variances)) - (len(variances) - 1) / 2
    # weight of the factor between two neighbouring layers in the least-squares slope: larger away from both ends
    weights = -np.cumsum(depths / (depths**2).sum())[:-1]
    total = derivative = 0.0
    # backwards: a change of ln q in a layer acts on the growth directly and, through J, by way of all later layers
    for weight, slope, jacobian in zip(weights[::-1], slopes[::-1], jacobians[::-1], strict=True):
        derivative = weight * slope + jacobian * derivative
        total += derivative**2
    return float(total)
