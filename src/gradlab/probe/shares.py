"""Gradients of each auxiliary head's loss at each layer's weight."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gradlab.norms import norm
from gradlab.probe import gauge_device

Share = tuple[Any, Any]


def gradient_shares(
    main: Tensor,
    heads: Mapping[str, Tensor],
    weights: Sequence[Any],
    *,
    scale: Callable[[Tensor], Tensor] = lambda loss: loss,
) -> dict[str, list[Share | None]]:
    """Return the norm of each head's gradient at each weight, and its cosine to the main loss's.

    The graph is kept, and no ``.grad`` is written.

    Args:
        main: The model's own loss.
        heads: Each head's loss with its weight, by its name.
        weights: The weights as used in the forward pass.
        scale: Multiplies a loss before its backward pass. The returned norms are divided by the factor.

    Returns:
        For each head a list as long as ``weights``: 0-d float64 tensors, or None where the loss does not depend on the
        weight; the cosine is nan where one of the gradients is zero or missing.
    """
    if not weights:
        return {name: [] for name in heads}
    factor = scale(torch.ones_like(main.detach()))
    main_grads = torch.autograd.grad(scale(main), weights, retain_graph=True, allow_unused=True)
    return {
        name: [
            None if grad is None else _share(grad, main_grad, factor)
            for grad, main_grad in zip(
                torch.autograd.grad(scale(loss), weights, retain_graph=True, allow_unused=True), main_grads, strict=True
            )
        ]
        for name, loss in heads.items()
    }


def _share(grad: Tensor, main_grad: Tensor | None, factor: Tensor) -> Share:
    size = norm(grad)
    if main_grad is None:
        return size / factor, torch.full_like(size, torch.nan)
    return size / factor, gauge_device.cosine(grad, main_grad, size, norm(main_grad))
