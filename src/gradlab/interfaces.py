"""What a model hands to the probe and to the training loop: shared by `nn`, `probe` and `train`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

UNNUMBERED = 0  # depth_index of a layer whose place is known only once it is called
MAIN = "main"


@dataclass(frozen=True, kw_only=True, eq=False)  # compared and hashed by identity
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Unrolled:
    """One pass of one recurrent layer through T time steps, every state a node of its own in the backward graph.

    Attributes:
        layer: The recurrent layer.
        below: What the input matrix adds to z, [T, n, gates * width]. It enters z by addition alone, so the gradient
            here is dL/dz.
        preactivations: z, the sum of both matrices' maps that the gates see, [T, n, gates * width], detached.
        hidden: h_t [n, width] of each time step.
        cell: c_t [n, width] of each time step of an LSTM; else empty.
        activation: The activation between z and h, where there is just one.
        activation_inputs: What it saw, [T, n, width], detached; z where nothing normalizes.
    """

    layer: nn.Module
    below: Tensor
    preactivations: Tensor
    hidden: Sequence[Tensor]
    cell: Sequence[Tensor]
    activation: nn.Module | None
    activation_inputs: Tensor | None


class Supervised(NamedTuple):
    """Outputs of a model's head and of the auxiliary heads at intermediate depths.

    Attributes:
        outputs: The head's, [n, k].
        auxiliary: Each auxiliary head's, [n, k], by its name.
        weight: Factor on the auxiliary heads' losses.
    """

    outputs: Tensor
    auxiliary: Mapping[str, Tensor]
    weight: float
