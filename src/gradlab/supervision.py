"""What a deeply supervised model hands over in training: the common word of the models and the training loop."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor


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
