"""What a model loses that does not look at its input: the scale on which a loss is small or large."""

from math import log
from typing import Any

import torch
from torch import Tensor


def chance(data: Any) -> dict[str, float | None]:
    """Return what the best answer that is the same for every sample reaches: ``loss`` and, for classes, ``accuracy``.

    For classes the loss is the entropy of their frequencies in nats, for values their variance, a mean over values and
    time steps. Data that is read as it is needed is taken to have classes of equal size. None where there is no such
    scale.

    Args:
        data: What a data option builds, such as `gradlab.data.dataset.Dataset`.
    """
    if data.task == "linear":
        return {"loss": None, "accuracy": None}
    targets = getattr(data, "train_targets", None)
    if targets is None and hasattr(data, "draw"):
        targets = torch.cat([targets for _, targets in data.test_batches()])
    if data.task == "regression" and targets is not None:
        return {"loss": float(targets.double().var(0, correction=0).mean()), "accuracy": None}
    if targets is None:
        return {"loss": log(data.outputs), "accuracy": 1 / data.outputs}
    shares = _shares(targets if targets.dim() > 1 else targets[:, None], classes=data.outputs)
    return {
        "loss": float(torch.special.entr(shares).sum(0).mean()),
        "accuracy": float(shares.amax(0).mean()),
    }


def _shares(targets: Tensor, *, classes: int) -> Tensor:
    """Return the share [classes, T] of each class in the columns of targets [n, T]."""
    return torch.stack([(targets == label).sum(0) for label in range(classes)]).double() / len(targets)
