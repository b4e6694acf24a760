"""Means over a Gaussian pre-activation, by quadrature, so that an activation needs no closed form."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import factorial, pi, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# The trapezoidal rule converges exponentially on smooth integrands. Its nodes are z = FINEST sinh(t), denser towards 0,
# to resolve an activation near 0 at large variances too. With an even number of nodes none is on a kink at 0, where the
# errors on both sides then cancel.
_FINEST = 1e-3
_T: Array = np.linspace(-np.arcsinh(12 / _FINEST), np.arcsinh(12 / _FINEST), 40_000)
_NODES: Array = _FINEST * np.sinh(_T)
_WEIGHTS: Array = np.exp(-(_NODES**2) / 2) / sqrt(2 * pi) * _FINEST * np.cosh(_T) * (_T[1] - _T[0])

# Interpolation table of `Phi.moments`: spacing of its variances in ln q, and number of points of one polynomial.
_STRIDE, _POINTS = 0.25, 8
_LOW, _HIGH = 1e-10, 1e30  # range of q in the table


@dataclass(frozen=True)
class Moments:
    """Means over z ~ N(0, q), each an array like q.

    Attributes:
        mean: E[phi(z)].
        square: E[phi(z)^2].
        slope: E[phi'(z)].
        slope_square: E[phi'(z)^2].
        slope_fourth: E[phi'(z)^4].
        slope_square_z: E[phi'(z)^2 z^2] / q.
    """

    mean: Array
    square: Array
    slope: Array
    slope_square: Array
    slope_fourth: Array
    slope_square_z: Array


@dataclass(frozen=True)
class Phi:
    """An elementwise activation.

    Attributes:
        value: Maps an array to phi of its entries.
        slope: Maps an array to phi' of its entries.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]

    def moments(self, q: Array | float) -> Moments:
        """Return the means over z ~ N(0, q), interpolated between quadratures to about eight digits.

        A deep network needs thousands of them, and a table in ln q gives each in microseconds.

        Args:
            q: Variances, at least 0, of any shape.
        """
        q = np.asarray(q, dtype=np.float64)
        if self._homogeneous:
            mean, square, *slopes = self._row(0)
            return Moments(mean * np.sqrt(q), square * q, *(np.full_like(q, value) for value in slopes))
        inside = np.clip(q, _LOW, _HIGH)
        mean, square, *slopes = np.moveaxis(self._interpolated(np.log(inside) / _STRIDE), -1, 0)
        # below the table mean and square go linearly to phi(0) and phi(0)^2; the slopes are constant there
        at_zero = float(self.value(np.zeros(2))[0])
        share = np.minimum(q / _LOW, 1.0)
        return Moments(at_zero + share * (mean - at_zero), at_zero**2 + share * (square - at_zero**2), *slopes)

    @cached_property
    def _homogeneous(self) -> bool:
        """Whether phi(c z) = c phi(z) for c > 0, as for relu; one quadrature is then enough for every q."""
        # 4 is a power of two, so the comparison is exact; in the moments only sqrt(q) and q then scale
        return bool((self.value(4 * _NODES) == 4 * self.value(_NODES)).all())

    @cached_property
    def _rows(self) -> dict[int, Array]:
        return {}

    def _row(self, index: int) -> Array:
        """Return the six moments at ln q = index * stride."""
        if index not in self._rows:
            z = np.exp(index * _STRIDE / 2) * _NODES
            value, slope = (np.asarray(function(z), dtype=np.float64) for function in (self.value, self.slope))
            with np.errstate(over="ignore", invalid="ignore"):  # a mean that does not exist is inf or nan
                square = slope**2
                columns = (value, value**2, slope, square, square**2, square * _NODES**2)
                self._rows[index] = np.array([np.dot(_WEIGHTS, column) for column in columns])
        return self._rows[index]

    def _interpolated(self, x: Array) -> Array:
        """Return the moments at ln q = x * stride by Lagrange interpolation of the nearest rows."""
        # second barycentric form: numerically stable, and x may be on a row, where its quotient would be 0 / 0
        base = np.floor(x).astype(np.int64) - _POINTS // 2 + 1
        first, inverse = np.unique(base, return_inverse=True)
        rows = np.stack([[self._row(int(start) + i) for i in range(_POINTS)] for start in first])
        distances = (x - base)[..., None] - np.arange(_POINTS)
        at_node = distances == 0
        weights = _BARYCENTRIC / np.where(at_node, 1.0, distances)
        weights = np.where(at_node.any(-1, keepdims=True), at_node, weights)
        weights = weights / weights.sum(-1, keepdims=True)
        return np.einsum("...p,...pm->...m", weights, rows[inverse.reshape(x.shape)])


_BARYCENTRIC: Array = np.array(
    [(-1.0) ** i / (factorial(i) * factorial(_POINTS - 1 - i)) for i in range(_POINTS)]
)  # Berrut & Trefethen 2004, eq. 5.1

IDENTITY = Phi(lambda z: z, np.ones_like)


def mean(function: Callable[[Array], Array], q: float, *, power: int = 1) -> float:
    """Return E[f(sqrt(q) Z)^power] for a standard normal Z.

    Args:
        function: f, applied to arrays.
        q: Variance of the argument, at least 0.
        power: Power of f.
    """
    return float(np.dot(_WEIGHTS, np.asarray(function(sqrt(q) * _NODES), dtype=np.float64) ** power))
