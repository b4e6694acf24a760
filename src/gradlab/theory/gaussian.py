"""Means over a Gaussian pre-activation, by quadrature: every activation, whether it has a closed form or not."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Trapezoids converge exponentially on smooth integrands. An even number of nodes leaves none on a kink at 0, where the
# errors left and right of it cancel.
_NODES: Array = np.linspace(-12.0, 12.0, 40_000)
_WEIGHTS: Array = np.exp(-(_NODES**2) / 2) / sqrt(2 * pi) * (_NODES[1] - _NODES[0])


@dataclass(frozen=True)
class Phi:
    """An activation as theory sees it.

    Attributes:
        value: Maps an array to phi of its entries.
        slope: Maps an array to phi' of its entries.
    """

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


IDENTITY = Phi(lambda z: z, np.ones_like)


def mean(function: Callable[[Array], Array], q: float, *, power: int = 1) -> float:
    """Return E[f(sqrt(q) Z)^power] for a standard normal Z.

    Args:
        function: f, applied to arrays.
        q: Variance of the argument, at least 0.
        power: Power of f.
    """
    return float(np.dot(_WEIGHTS, np.asarray(function(sqrt(q) * _NODES), dtype=np.float64) ** power))
