"""What one recurrent layer computed, time step by time step: the common word of the models and the probe."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn


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
