"""Loss and accuracy of the best constant prediction: the reference against which a loss is small or large."""

from math import log
from typing import Any

import torch
from torch import Tensor


def chance(data: Any) -> dict[str, float | None]:
    """Return ``loss`` and, for classes, ``accuracy`` of the best prediction that is the same for every sample.

    For classes the loss is the entropy of their frequencies in nats. For values it is their variance, a mean over
    values and time steps. Streamed data is assumed to have classes of equal size. A figure that is undefined is None.

    Args:
        data: A data set, such as `gradlab.data.dataset.Dataset`.
    """
    if data.task == "linear":  # unbounded below
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
