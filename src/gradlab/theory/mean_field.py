"""Wide plain networks at initialization: how the signal's size and the gradient's change from layer to layer.

z(l+1) = W phi(z(l)) + b with W ~ N(0, s / fan_in), b ~ N(0, t), where s is the weight variance and t the bias variance.
Sources: Poole et al. 2016, "Exponential expressivity in deep neural networks through transient chaos"; Schoenholz et
al. 2017, "Deep information propagation".
"""

from math import exp, inf, log, nan, sqrt

from gradlab.theory.gaussian import Phi, mean

STEPS = 5000  # of an iteration towards a fixed point
CLOSE = 1e-12  # relative change at which it has arrived
TINY, HUGE = 1e-30, 1e30  # beyond them the length dies out or explodes


def length_map(phi: Phi, q: float, *, weight_variance: float, bias_variance: float) -> float:
    """Return the variance of the next layer's z: s E[phi(sqrt(q) Z)^2] + t (Poole et al. 2016, eq. 3)."""
    return weight_variance * mean(phi.value, q, power=2) + bias_variance


def fixed_point(phi: Phi, *, weight_variance: float, bias_variance: float, start: float = 1.0) -> float:
    """Return q*, the variance of z that deep layers settle on; 0 where the signal dies out, inf where it explodes.

    Args:
        phi: The activation.
        weight_variance: s, variance of a weight times fan_in.
        bias_variance: t.
        start: Variance of the first layer's z. Where every q is a fixed point (relu, s = 2, t = 0) it is returned.
    """
    q = start
    for _ in range(STEPS):
        following = length_map(phi, q, weight_variance=weight_variance, bias_variance=bias_variance)
        if following < TINY:
            return 0.0
        if following > HUGE:
            return inf
        if abs(following - q) <= CLOSE * q:
            return following
        q = following
    # A power law: on the critical line of an odd activation the length falls as 1/depth.
    return 0.0 if bias_variance == 0 and q < start else q


def chi(phi: Phi, q: float, *, weight_variance: float) -> float:
    """Return the factor on E||dL/dz||^2 for one layer back: s E[phi'(sqrt(q) Z)^2] (Schoenholz et al. 2017, eq. 5)."""
    return weight_variance * mean(phi.slope, q, power=2)


def depth_scale(factor: float) -> float:
    """Return the number of layers in which a squared norm changes by e: 1 / |ln chi|; inf at chi = 1, 0 at chi = 0."""
    if factor == 1:
        return inf
    return 0.0 if factor in (0, inf) else 1 / abs(log(factor))


def critical_point(phi: Phi, q: float) -> tuple[float, float]:
    """Return the (weight variance, bias variance) for which chi = 1 at the fixed point q.

    A bias variance below 0 means that no network of this activation is critical at that q.
    """
    weight_variance = 1 / mean(phi.slope, q, power=2)
    return weight_variance, q - weight_variance * mean(phi.value, q, power=2)


def critical_weight_variance(phi: Phi, *, bias_variance: float, largest: float = 1e4) -> float:
    """Return the weight variance for which chi = 1 at the fixed point, given the bias variance.

    The critical line is a curve with the parameter q (`critical_point`); the bias variance is looked for along it.

    Args:
        phi: The activation.
        bias_variance: t, at least 0.
        largest: Greatest q that is looked at.

    Returns:
        s, or nan where the activation has no critical network with this bias variance.
    """
    grid = [TINY * (largest / TINY) ** (i / 400) for i in range(401)]
    misses = [critical_point(phi, q)[1] - bias_variance for q in grid]
    # of the order of rounding: relu is critical at any q, without a bias
    touching = next((q for q, miss in zip(grid, misses, strict=True) if abs(miss) <= 1e-9 * q), None)
    if touching is not None:
        return critical_point(phi, touching)[0]
    pairs = zip(grid, misses, grid[1:], misses[1:], strict=False)
    bracket = next(((low, high) for low, below, high, above in pairs if (below < 0) != (above < 0)), None)
    if bracket is None:
        return nan
    low, high = bracket
    rising = critical_point(phi, high)[1] > bias_variance
    for _ in range(200):
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
    return 3 * mean(phi.slope, q, power=4) / mean(phi.slope, q, power=2) ** 2 - 1


def tolerance(v: float, *, width: int, depth: int, seeds: int = 1) -> float:
    """Return how far the measured slope of ln ||dL/dz||^2 against depth may lie from ln chi at finite width.

    A bias of v / (2 width), and four standard deviations of a random walk of ``depth`` steps over ``seeds`` networks.

    Args:
        v: `slope_kurtosis` at the fixed point.
        width: Units in a layer.
        depth: Layers the slope was taken over.
        seeds: Networks the slope was averaged over.
    """
    return v / (2 * width) + 4 * sqrt(v / (width * depth * seeds))


def decades(log_factor: float) -> float:
    """Return the change of log10 of a NORM for a change of the natural log of its SQUARE."""
    return log_factor / (2 * log(10))


def gate_decay(bias: float, steps: int) -> float:
    """Return sigmoid(bias)^steps: what is left of dL/dc after ``steps`` steps of an LSTM whose weights are zero.

    Args:
        bias: The forget gate's bias, in torch the SUM of its two bias vectors.
        steps: Time steps.
    """
    return (1 / (1 + exp(-bias))) ** steps
