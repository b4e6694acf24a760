"""Normalization over finitely many numbers: exact means over a normalized vector, in place of those over a Gaussian.

A vector of m independent Gaussian numbers, less its mean and over its standard deviation, is uniform on a sphere. One
normalized number then has the density (1 - y^2/d)^((d - 3)/2), with d = m - 1, or m where the mean is not subtracted
(RMS norm). The inverse of the vector's variance has the mean m/(m - 3), or m/(m - 2), instead of 1. On the way back
the normalization removes the gradient's part along the vector, and along (1, ..., 1) where it subtracts the mean.

For a linear net these give a growth of the squared gradient by (m - 2)/(m - 3) a layer, under layer and group norm over
m features as under batch norm over m samples (Yang et al. 2019, "A mean field theory of batch normalization").
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import acos, pi, sqrt

import numpy as np

from gradlab.theory.gaussian import Array, Moments, Phi

FEWEST = 6  # with fewer numbers the inverse variance has no mean or no variance, and single samples dominate
_NODES = 4000  # even: no node is on a kink at 0, whose errors on both sides then cancel
_PAIR_NODES = 64
_WIDEST = 9.0  # standard deviations that the nodes cover


@dataclass(frozen=True)
class Normalized:
    """Means over a normalized vector y.

    Attributes:
        moments: Means over one number of y, as `Phi.moments` has them for a Gaussian.
        value_slope: E[phi phi'].
        value_slope_z: E[phi phi' y] / sqrt(E[y^2]).
        value_square_slope_square: E[phi^2 phi'^2].
    """

    moments: Moments
    value_slope: float
    value_slope_z: float
    value_square_slope_square: float


@dataclass(frozen=True)
class Pair:
    """Means over two numbers y1, y2 of a vector that is normalized with its mean subtracted.

    Attributes:
        value: E[phi(y1) phi(y2)].
        slope: E[phi'(y1) phi'(y2)].
        slope_z: E[y1 y2 phi'(y1) phi'(y2)] / E[y^2].
    """

    value: float
    slope: float
    slope_z: float


def normalized(phi: Phi, numbers: int, *, centred: bool, variance: float = 1.0) -> Normalized:
    """Return the means over a normalized vector.

    Args:
        phi: The activation.
        numbers: m, the numbers that are normalized together, at least `FEWEST`.
        centred: Whether their mean is subtracted.
        variance: E[y^2]; slightly below 1, because of the number that the normalization adds to the variance.
    """
    return _normalized(phi, numbers - centred, round(variance, 6))


@lru_cache(maxsize=256)
def _normalized(phi: Phi, dimensions: int, variance: float) -> Normalized:
    unit, weights = _coordinate(dimensions, _NODES)
    y = sqrt(variance) * unit
    value, slope = (np.asarray(function(y), dtype=np.float64) for function in (phi.value, phi.slope))
    square = slope**2
    columns = (value, value**2, slope, square, square**2, square * unit**2)
    return Normalized(
        Moments(*(np.array(weights @ column) for column in columns)),
        float(weights @ (value * slope)),
        float(weights @ (value * slope * unit)),
        float(weights @ (value * slope) ** 2),
    )


def pair(phi: Phi, numbers: int, *, variance: float = 1.0) -> Pair:
    """Return the means over two numbers of a vector that is normalized with its mean subtracted (`normalized`)."""
    return _pair(phi, numbers, round(variance, 6))


@lru_cache(maxsize=64)
def _pair(phi: Phi, numbers: int, variance: float) -> Pair:
    dimensions = numbers - 1
    correlation = -1 / dimensions
    apart = acos(correlation)
    # polar coordinates in the plane of the two numbers; between these angles neither passes the kink at 0
    edges = sorted({0.0, *((turn + angle) % (2 * pi) for angle in (0.0, apart) for turn in (pi / 2, -pi / 2)), 2 * pi})
    segments = [_scaled(low, high) for low, high in pairwise(edges)]
    angles, angle_weights = (np.concatenate(parts) for parts in zip(*segments, strict=True))
    tilts, tilt_weights = _scaled(0.0, min(pi / 2, _WIDEST / sqrt(dimensions)))
    radii = np.sin(tilts)
    density = tilt_weights * radii * np.cos(tilts) ** (dimensions - 3)
    weights = np.outer(density / density.sum(), angle_weights / (2 * pi)).ravel()
    first, second = (sqrt(dimensions) * np.outer(radii, np.cos(angles - angle)).ravel() for angle in (0.0, apart))
    scale = sqrt(variance)
    values, slopes = (
        [np.asarray(function(scale * unit), dtype=np.float64) for unit in (first, second)]
        for function in (phi.value, phi.slope)
    )
    slope = slopes[0] * slopes[1]
    return Pair(
        float(weights @ (values[0] * values[1])), float(weights @ slope), float(weights @ (slope * first * second))
    )


def _scaled(low: float, high: float) -> tuple[Array, Array]:
    """Return the nodes and weights of a Gauss-Legendre rule between two numbers."""
    nodes, weights = np.polynomial.legendre.leggauss(_PAIR_NODES)
    return low + (nodes + 1) * (high - low) / 2, weights * (high - low) / 2


def _coordinate(dimensions: int, count: int) -> tuple[Array, Array]:
    """Return nodes and weights for one coordinate of a random vector of length sqrt(dimensions), by the midpoint rule.

    The nodes are equidistant in the angle, in which the density is cos^(dimensions - 2).
    """
    end = min(pi / 2, _WIDEST / sqrt(dimensions))
    angles = (np.arange(count) + 0.5) * (2 * end / count) - end
    weights = np.cos(angles) ** (dimensions - 2)
    return sqrt(dimensions) * np.sin(angles), weights / weights.sum()


def feature_rate(
    means: Normalized, *, numbers: int, features: int, centred: bool, orthogonal: bool, plain: bool
) -> float:
    """Return the factor that finite size puts on a layer's squared gradient, under a normalization over features.

    Args:
        means: Means over the normalized features.
        numbers: m, the features that are normalized together.
        features: N, all features of the layer.
        centred: Whether their mean is subtracted.
        orthogonal: Whether the weights are orthogonal, not independent Gaussian numbers.
        plain: Whether the layer's gradient comes back through one affine map alone, without a skip.
    """
    slope_square = float(means.moments.slope_square)
    lost = float(means.moments.slope_square_z) + (slope_square if centred else 0.0)
    lost, whole = lost / numbers, 1.0
    if plain and (square := float(means.moments.square)) > 0:
        # dL/dz is orthogonal to z = W h, which the next normalization makes scale-free. So dL/dh is orthogonal to h
        # and isotropic in the other N - 1 directions.
        along = means.value_slope_z**2 + (means.value_slope**2 if centred else 0.0)
        lost += (means.value_square_slope_square - along) / (features * square)
        whole = features / (features - 1) if orthogonal else 1.0
    inverse = numbers / (numbers - (3 if centred else 2))
    if orthogonal and plain:  # z has the length of h: its groups share a fixed sum of squares
        inverse *= (features - 2) / features
    return (1 - lost / slope_square) * whole * inverse if slope_square > 0 else 1.0


def batch_rate(means: Normalized, both: Pair, *, samples: int, unequal: float) -> float:
    """Return the factor that finite size puts on a layer's squared gradient, under batch norm.

    The gradient that arrives sums to 0 over the batch, because it comes from another batch norm: two samples' have a
    correlation of -1/(n - 1).

    Args:
        means: Means over one unit's normalized values over the batch.
        both: Means over two of them.
        samples: n, the size of the batch.
        unequal: How much the distances between samples differ (`profile.Network.unequal`).
    """
    slope_square = float(means.moments.slope_square)
    if slope_square <= 0:
        return 1.0
    lost = slope_square - both.slope + float(means.moments.slope_square_z) - both.slope_z
    # a unit's variance is a chi square over n - 1 degrees of freedom, fewer where distances between samples differ
    degrees = (samples - 1) / (1 + unequal)
    inverse = samples / (samples - 1) * degrees / max(degrees - 2, 1)
    return (1 - lost / (samples * slope_square)) * inverse
