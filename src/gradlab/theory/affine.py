"""The effect of an affine map on a signal's variances, at each position of the map; a Linear layer has one position."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradlab.theory.gaussian import Array


@dataclass(frozen=True, kw_only=True)
class Affine:
    """One affine map, Linear or convolution, with random weights.

    Attributes:
        taps: Second moment of a weight times the number of input channels, for each tap of the kernel [kh, kw]; their
            sum is the weight variance times fan_in. A Linear layer has one tap.
        bias_variance: Second moment of the biases.
        width: Number of output units or channels.
        features: Number of input units or channels; 0 stands for infinitely many.
        orthogonal: Whether the map preserves lengths, up to a factor, instead of having independent weights.
        stride: Step between the positions that are kept, in both directions.
        padding: Padding of a map.
    """

    taps: Array
    bias_variance: float = 0.0
    width: int = 1
    features: int = 0
    orthogonal: bool = False
    stride: tuple[int, int] = (1, 1)
    padding: Literal["zeros", "circular"] = "zeros"

    @property
    def weight_variance(self) -> float:
        """Variance of a weight times fan_in."""
        return float(self.taps.sum())

    def forward(self, squares: Array) -> Array:
        """Return E[z^2] at each position [..., h, w], given the inputs' mean square [..., h', w']."""
        return self.linear(squares) + self.bias_variance

    def linear(self, squares: Array) -> Array:
        """Return the part of `forward` that is due to the weights."""
        if self.taps.size == 1:
            return self.taps[0, 0] * squares[..., :: self.stride[0], :: self.stride[1]]
        padded = np.pad(squares, _widths(squares, self.taps), mode="wrap" if self.padding == "circular" else "constant")
        rows, columns = squares.shape[-2:]
        whole = np.zeros_like(squares, dtype=float)  # what remains of the sum if every tap is 0
        for (i, j), tap in np.ndenumerate(self.taps):
            if tap > 0:
                whole += tap * padded[..., i : i + rows, j : j + columns]
        return whole[..., :: self.stride[0], :: self.stride[1]]

    def back(self, squares: Array, shape: tuple[int, ...]) -> Array:
        """Return E||dL/dh||^2 at each input position, given E||dL/dz||^2 at each output position.

        This is the adjoint of `linear`: each input position receives from every output position it contributed to.

        Args:
            squares: E||dL/dz||^2, summed over the channels, [..., h, w].
            shape: Shape of the result, [..., h', w'].
        """
        whole = np.zeros(shape)
        whole[..., :: self.stride[0], :: self.stride[1]] = squares
        if self.taps.size == 1:
            return self.taps[0, 0] * whole
        # for odd kernels the adjoint is the same sum with the kernel flipped
        flipped = Affine(taps=self.taps[::-1, ::-1], padding=self.padding)
        return flipped.linear(whole)


def _widths(squares: Array, taps: Array) -> list[tuple[int, int]]:
    return [(0, 0)] * (squares.ndim - 2) + [(size // 2, size // 2) for size in taps.shape]
