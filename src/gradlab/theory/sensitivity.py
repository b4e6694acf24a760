"""How much the gradient's growth depends on where in its range the signal happens to be."""

from collections.abc import Sequence

import numpy as np

from gradlab.theory.gaussian import Array, Phi


def length_sensitivity(phi: Phi, variances: Sequence[float], *, weight_variances: Sequence[float]) -> float:
    """Return the sum over layers of (d growth / d ln q)^2 in a plain network without normalization.

    At finite width the length q of each layer's z walks at random as the gradient does, and every later layer follows:
    ln q(l+1) moves by J = d ln q(l+1) / d ln q(l) of it. Where J is near or above 1, as for gelu while its signal
    slowly dies out, a step of that walk decides when, and with it the gradient's growth.

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
    followed = np.asarray(weight_variances) * (high.square - low.square) / (2 * step * np.asarray(variances[1:]))
    slopes: Array = np.log(np.maximum(high.slope_square, 1e-300) / np.maximum(low.slope_square, 1e-300)) / (2 * step)
    depths = np.arange(len(variances)) - (len(variances) - 1) / 2
    # The least-squares slope counts the factor between two layers by how far it is from both ends.
    weights = -np.cumsum(depths / (depths**2).sum())[:-1]
    total = later = 0.0
    for weight, slope, follows in zip(weights[::-1], slopes[::-1], followed[::-1], strict=True):
        later = weight * slope + follows * later
        total += later**2
    return float(total)
