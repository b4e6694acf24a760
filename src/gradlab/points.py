"""Where to look: the places in a model at which one layer's signal and gradient are measured.

The common word of ``nn``, whose models name their places, and ``probe``, which measures at them.
"""

from dataclasses import dataclass

from torch import nn

UNNUMBERED = 0  # depth_index of a layer whose place is known only once it is called
MAIN = "main"


@dataclass(frozen=True, kw_only=True, eq=False)  # a point is itself, and hashed in no time
class Point:
    """One weight layer and the modules around it whose inputs and outputs describe it.

    Attributes:
        depth_index: Number of the layer on the main path, from 1 at the input.
        role: ``main`` for the main path; ``gate``, ``shortcut`` … for what stands beside it.
        affine: Holds the weight; its output is z.
        weight: Name of the weight in it.
        output: Its output is h, after normalization, activation and residual sum.
        caller: The module whose call stands for the layer's where ``affine`` is not called itself; its output, or the
            first of several, is z.
        observed: Whether z can be seen at all: inside torch's own recurrent kernels it cannot.
        activation: The layer's own activation, or None.
        fork: The residual block's ``Fork``, at the row of the block's first layer, or None.
    """

    depth_index: int
    role: str = MAIN
    affine: nn.Module
    weight: str = "weight"
    output: nn.Module
    activation: nn.Module | None = None
    fork: nn.Module | None = None
    caller: nn.Module | None = None
    observed: bool = True
