"""Types that models pass to the probe and the training loop, shared by `nn`, `probe` and `train`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

UNNUMBERED = 0  # depth_index of a layer that is numbered when it is first called
MAIN = "main"


@dataclass(frozen=True, kw_only=True, eq=False)  # compared and hashed by identity
class Point:
    """A weight layer, and the modules at whose inputs and outputs it is recorded.

    Attributes:
        depth_index: Number of the layer on the main path, from 1 at the input.
        role: ``main`` on the main path; ``gate``, ``shortcut`` … beside it.
        affine: The module that holds the weight; its output is z.
        weight: Name of the weight in ``affine``.
        output: The module whose output is h, after normalization, activation and residual sum.
        caller: The module that is called in place of ``affine``, where that is never called itself. Its output, or the
            first of several, is z.
        observed: Whether hooks can observe z; inside torch's own recurrent kernels they cannot.
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
    """One pass of a recurrent layer through T time steps, where every state is a node of the backward graph.

    Attributes:
        layer: The recurrent layer.
        below: The input matrix's term of z, [T, n, gates * width]. The other term is added to it, so its gradient is
            dL/dz.
        preactivations: z, the sum of both matrices' terms, [T, n, gates * width], detached.
        hidden: h_t [n, width] of each time step.
        cell: c_t [n, width] of each time step of an LSTM; else empty.
        activation: The activation between z and h; None unless there is exactly one.
        activation_inputs: Its inputs, [T, n, width], detached; z if nothing normalizes.
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
        outputs: Outputs of the head, [n, k].
        auxiliary: Outputs of each auxiliary head, [n, k], by its name.
        weight: Factor on the auxiliary heads' losses.
    """

    outputs: Tensor
    auxiliary: Mapping[str, Tensor]
    weight: float
