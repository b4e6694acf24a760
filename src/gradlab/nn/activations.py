"""Activations that torch has as a function but not as a module."""

import torch
from torch import Tensor, nn


class Erf(nn.Module):
    """The error function, the sigmoid-shaped activation whose signal-propagation integrals are elementary.

    Source: Williams 1998, "Computation with infinite neural networks".
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return erf(x), the shape of ``x``."""
        return torch.erf(x)
