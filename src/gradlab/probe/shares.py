"""How much of each layer's weight gradient each auxiliary head's loss brings."""

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

    The graph is kept, no ``.grad`` is written.

    Args:
        main: The model's own loss.
        heads: Each head's loss with its weight, by its name.
        weights: The weights, as they were used in the forward pass.
        scale: What is done to a loss before its backward pass: a multiplication, undone in what is returned.

    Returns:
        For each head a list as long as ``weights``: 0-d float64 tensors, or None where the loss does not depend on the
        weight; the cosine is nan where one of the gradients is zero or missing.
    """
    if not weights:
        return {name: [] for name in heads}
    factor = scale(torch.ones_like(main.detach()))
    own = torch.autograd.grad(scale(main), weights, retain_graph=True, allow_unused=True)
    return {
        name: [
            None if part is None else _share(part, whole, factor)
            for part, whole in zip(
                torch.autograd.grad(scale(loss), weights, retain_graph=True, allow_unused=True), own, strict=True
            )
        ]
        for name, loss in heads.items()
    }


def _share(part: Tensor, whole: Tensor | None, factor: Tensor) -> Share:
    size = norm(part)
    cosine = torch.full_like(size, torch.nan) if whole is None else gauge_device.cosine(part, whole, size, norm(whole))
    return size / factor, cosine
