"""A linear model with bounded weights."""

from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from gradlab.nn.layers import Initializer
from gradlab.nn.mlp import LinearModel


class BoundedLinear(LinearModel):
    """One linear map, without bias, whose weights are projected to [-bound, bound] after every update.

    The recorded update is that of the optimizer, before the projection; the recorded weights are those after it.

    For problems posed on a bounded set, such as those of online convex optimization.

    Args:
        input_shape: Shape of one input.
        outputs: Number of values to predict.
        bound: Largest magnitude of a weight.
        initializer: Rule that sets the weight.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...],
        outputs: int,
        bound: Annotated[float, Gt(0)],
        initializer: Initializer,
    ) -> None:
        super().__init__(input_shape=input_shape, outputs=outputs, bias=False, initializer=initializer)
        self._bound = bound

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs [n, *input_shape] to values [n, outputs]."""
        # The forward pass is the first thing to run after an update, so projecting here projects the updated weights.
        with torch.no_grad():
            self.head.weight.clamp_(-self._bound, self._bound)
        return super().forward(x)
