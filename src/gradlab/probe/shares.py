"""How much of each layer's weight gradient each auxiliary head's loss brings."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gradlab.norms import norm
from gradlab.probe import device

COLUMNS = ("step", "head", "loss", "depth_index", "layer", "grad_norm", "grad_cosine")
Share = tuple[Any, Any]


def gradient_shares(main: Tensor, heads: Mapping[str, Tensor], weights: Sequence[Any]) -> dict[str, list[Share | None]]:
    """Return the norm of each head's gradient at each weight, and its cosine to the main loss's.

    The graph is kept, no ``.grad`` is written.

    Args:
        main: The model's own loss.
        heads: Each head's loss with its weight, by its name.
        weights: The weights, as they were used in the forward pass.

    Returns:
        For each head a list as long as ``weights``: 0-d float64 tensors, or None where the loss does not depend on the
        weight; the cosine is nan where one of the gradients is zero or missing.
    """
    if not weights:
        return {name: [] for name in heads}
    own = torch.autograd.grad(main, weights, retain_graph=True, allow_unused=True)
    return {
        name: [
            None if part is None else _share(part, whole)
            for part, whole in zip(
                torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True), own, strict=True
            )
        ]
        for name, loss in heads.items()
    }


def _share(part: Tensor, whole: Tensor | None) -> Share:
    size = norm(part)
    if whole is None:
        return size, torch.full_like(size, torch.nan)
    return size, device.cosine(part, whole, size, norm(whole))
