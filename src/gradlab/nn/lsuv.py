"""Layer-sequential unit-variance initialization (LSUV), the one data-dependent initializer."""

from typing import Any

import torch
from torch import Tensor, nn

from gradlab.nn.initializers import orthogonal

_AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LSUV:
    """Orthonormal weights, then each layer in turn rescaled until its output has variance 1 on a batch.

    Source: Mishkin & Matas 2016, "All you need is a good init", algorithm 1.

    Args:
        tolerance: Largest accepted distance of the variance from 1.
        max_iterations: Maximum number of rescalings of one layer.

    Raises:
        ValueError: If ``tolerance`` or ``max_iterations`` is not positive.
    """

    def __init__(self, *, tolerance: float = 0.01, max_iterations: int = 10) -> None:
        if tolerance <= 0:
            raise ValueError(f"tolerance must be positive, got {tolerance}")
        if max_iterations < 1:
            raise ValueError(f"max_iterations must be at least 1, got {max_iterations}")
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    def __call__(self, layer: nn.Module, *, activation: nn.Module) -> None:
        """Make the weight orthonormal and the bias zero."""
        orthogonal(layer, activation=activation)

    @torch.no_grad()
    def finish(self, model: nn.Module, batch: Tensor) -> None:
        """Rescale the weights of ``model`` layer by layer, in one forward pass over ``batch``.

        Args:
            model: Model whose Linear and Conv layers, including gates, are rescaled in the order of their calls.
            batch: Inputs [n, ...].
        """
        # restored below: this pass must not count in batch norm's running statistics
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        hooks = [m.register_forward_hook(self._rescale) for m in model.modules() if isinstance(m, _AFFINE)]
        try:
            model(batch)
        finally:
            for hook in hooks:
                hook.remove()
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])

    def _rescale(self, layer: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for _ in range(self.max_iterations):
            variance = output.var()
            if not variance > 0 or abs(float(variance) - 1) < self.tolerance:
                break
            assign_weight(layer, layer.weight / variance.sqrt())
            output = layer.forward(*args)  # not a call, which would run this hook again
        return output


@torch.no_grad()
def assign_weight(layer: Any, value: Tensor) -> None:
    """Set the effective weight of a layer, through its parametrization (weight_norm) where it has one."""
    if nn.utils.parametrize.is_parametrized(layer, "weight"):
        layer.weight = value
    else:
        layer.weight.copy_(value)
