"""Wide plain networks at initialization: how the sizes of signal and gradient change from layer to layer.

z(l+1) = W phi(z(l)) + b with W ~ N(0, s / fan_in), b ~ N(0, t), where s is the weight variance and t the bias variance.
Sources: Poole et al. 2016, "Exponential expressivity in deep neural networks through transient chaos"; Schoenholz et
al. 2017, "Deep information propagation".
"""

from math import exp, inf, log, nan, sqrt

import numpy as np

from gradlab.theory.gaussian import Array, Phi

CLOSE = 1e-9  # relative change of the variance per layer that counts as none
WINDOW, ROUNDS = 10.0, 8  # search in factors of ten for a window with a fixed point, then narrow it 63-fold 8 times
TINY, HUGE = 1e-30, 1e30  # a variance beyond these counts as 0 or inf


def length_map(phi: Phi, q: float, *, weight_variance: float, bias_variance: float) -> float:
    """Return the variance of the next layer's z: s E[phi(sqrt(q) Z)^2] + t (Poole et al. 2016, eq. 3)."""
    return float(weight_variance * phi.moments(q).square + bias_variance)


def fixed_point(
    phi: Phi, *, weight_variance: float, bias_variance: float, start: float = 1.0, close: float = CLOSE
) -> float:
    """Return q*, the limit of z's variance in deep layers; 0 if the signal dies out, inf if it explodes.

    The search goes in the direction in which the first layer's variance changes. It therefore also ends at 0 if the
    variance falls only by a power law, as on the critical line of an odd activation.

    Args:
        phi: The activation.
        weight_variance: s, variance of a weight times fan_in.
        bias_variance: t.
        start: Variance of the first layer's z. It is returned if every q is a fixed point (relu, s = 2, t = 0).
        close: Relative change of the variance in one layer that counts as none.
    """

    def rise(q: Array) -> Array:
        return weight_variance * phi.moments(q).square + bias_variance - q

    change = float(rise(np.array(start)))
    if abs(change) <= close * start:
        return start
    reach = WINDOW if change > 0 else 1 / WINDOW
    low, high = start, start * reach
    rounds = 0
    while rounds < ROUNDS:
        grid = np.geomspace(low, high, 64)
        changed = np.flatnonzero(rise(grid[1:]) * change <= 0)
        if changed.size:
            rounds += 1
            low, high = grid[changed[0]], grid[changed[0] + 1]
        else:
            low, high = high, high * reach
        if not TINY < high < HUGE:
            return inf if change > 0 else 0.0
    return float(high)


def chi(phi: Phi, q: float, *, weight_variance: float) -> float:
    """Return the factor on E||dL/dz||^2 for one layer back: s E[phi'(sqrt(q) Z)^2] (Schoenholz et al. 2017, eq. 5)."""
    return float(weight_variance * phi.moments(q).slope_square)


def depth_scale(factor: float) -> float:
    """Return the number of layers in which a squared norm changes by e: 1 / |ln chi|; inf at chi = 1, 0 at chi = 0."""
    if factor == 1:
        return inf
    return 0.0 if factor in (0, inf) else 1 / abs(log(factor))


def critical_line(phi: Phi, q: Array) -> tuple[Array, Array]:
    """Return the (weight variances, bias variances) for which chi = 1 at each fixed point q.

    A negative bias variance means that no network with this activation is critical at that q.
    """
    moments = phi.moments(q)
    with np.errstate(divide="ignore"):
        weight_variances = 1 / moments.slope_square
    return weight_variances, q - weight_variances * moments.square


def critical_point(phi: Phi, q: float) -> tuple[float, float]:
    """Return the (weight variance, bias variance) for which chi = 1 at the fixed point q; see `critical_line`."""
    weight_variance, bias_variance = critical_line(phi, np.array(q))
    return float(weight_variance), float(bias_variance)


def critical_weight_variance(phi: Phi, *, bias_variance: float, largest: float = 1e4) -> float:
    """Return the weight variance for which chi = 1 at the fixed point, given the bias variance.

    The critical line is a curve parametrized by q, along which the bias variance is searched for.

    Args:
        phi: The activation.
        bias_variance: t, at least 0.
        largest: Largest q of the search.

    Returns:
        s, or nan if the activation has no critical network with this bias variance.
    """
    grid = np.geomspace(1e-10, largest, 401)
    differences = critical_line(phi, grid)[1] - bias_variance
    # zero up to rounding: relu without a bias is critical at every q
    roots = np.flatnonzero(np.abs(differences) <= 1e-7 * grid)
    if roots.size:
        return critical_point(phi, float(grid[roots[0]]))[0]
    crossings = np.flatnonzero((differences[:-1] < 0) != (differences[1:] < 0))
    if not crossings.size:
        return nan
    low, high = grid[crossings[0]], grid[crossings[0] + 1]
    rising = differences[crossings[0] + 1] > 0
    for _ in range(60):
        middle = sqrt(low * high)
        if (critical_point(phi, middle)[1] > bias_variance) == rising:
            high = middle
        else:
            low = middle
    return critical_point(phi, sqrt(low * high))[0]


def slope_kurtosis(phi: Phi, q: float) -> float:
    """Return v = 3 E[phi'^4] / E[phi'^2]^2 - 1, the variance that one layer of width 1 adds to ln ||dL/dz||^2.

    2 for a linear layer, 5 for relu.
    """
    moments = phi.moments(q)
    return float(3 * moments.slope_fourth / moments.slope_square**2 - 1)


def tolerance(v: float, *, width: float, depth: int, seeds: int = 1, sensitivity: float = 0.0) -> float:
    """Return the largest expected distance of the measured slope of ln ||dL/dz||^2 from ln chi at finite width.

    It is a bias of v / (2 width) plus four standard deviations of a random walk of ``depth`` steps, averaged over
    ``seeds`` networks.

    Args:
        v: `slope_kurtosis` at the fixed point.
        width: Number of units in a layer.
        depth: Number of layers over which the slope was fitted.
        seeds: Number of networks over which the slope was averaged.
        sensitivity: Sum over layers of (d slope / d ln q)^2; it replaces 1 / depth if the random walk of the signal's
            length has the larger effect.
    """
    return v / (2 * width) + 4 * sqrt(v / (width * seeds) * max(1 / depth, sensitivity))


def decades(log_factor: float) -> float:
    """Convert a change of the natural log of a SQUARED norm to a change of log10 of the NORM."""
    return log_factor / (2 * log(10))


def gate_decay(bias: float, steps: int) -> float:
    """Return sigmoid(bias)^steps, the factor on dL/dc for ``steps`` steps back through an LSTM with zero weights.

    Args:
        bias: The forget gate's bias, in torch the SUM of its two bias vectors.
        steps: Number of time steps.
    """
    return (1 / (1 + exp(-bias))) ** steps
