"""The properties of a network from which its gradients are predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gradlab.theory.affine import Affine
from gradlab.theory.gaussian import Array, Phi

Normalization = Literal["none", "position", "sample", "batch"]


@dataclass(frozen=True, kw_only=True)
class Network:
    """The properties of a network from which its gradients are predicted.

    Attributes:
        phi: The activation.
        stem: The first affine map.
        blocks: The affine maps of each block after it; a plain network may be one block.
        scales: Factor a on each block's branch F in x + a F(x); None for a plain network, whose last z goes through
            one more normalization and activation.
        normalization: None, over the features at each position of a sample (RMS norm), over the whole sample (layer
            norm), or over the batch.
        epsilon: Number that the normalization adds to the variance.
        groups: Number of groups into which the normalization divides a sample's features.
        inputs: Mean square of the inputs' entries [samples, h, w]; one entry may represent a group of samples.
        spread: For batch norm, share of the inputs' mean square that varies over the batch.
        batch: For batch norm, number of samples; inf for the limit of many.
        unequal: For batch norm, how much the distances between samples differ: the variance of the eigenvalues of the
            inputs' centred Gram matrix over their squared mean. None takes all distances to be equal in every layer.
    """

    phi: Phi
    stem: Affine
    blocks: Sequence[Sequence[Affine]]
    scales: Sequence[float] | None = None
    normalization: Normalization = "none"
    epsilon: float = 0.0
    groups: int = 1
    inputs: Array
    spread: float = 1.0
    batch: float = float("inf")
    unequal: float | None = None
