"""Where to look: the places in a model at which one layer's signal and gradient are measured.

The common word of ``nn``, whose models name their places, and ``probe``, which measures at them.
"""

from dataclasses import dataclass

from torch import nn

UNNUMBERED = 0  # depth_index of a layer whose place is known only once it is called


@dataclass(frozen=True, kw_only=True)
class Point:
    """One weight layer and the modules around it whose inputs and outputs describe it.

    Attributes:
        depth_index: Number of the layer on the main path, from 1 at the input.
        role: ``main`` for the main path; ``gate``, ``shortcut`` … for what stands beside it.
        affine: Holds the weight; its output is z.
        output: Its output is h, after normalization, activation and residual sum.
        activation: The layer's own activation, or None.
        fork: The residual block's ``Fork``, at the row of the block's first layer, or None.
    """

    depth_index: int
    role: str = "main"
    affine: nn.Module
    output: nn.Module
    activation: nn.Module | None = None
    fork: nn.Module | None = None
