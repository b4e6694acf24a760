"""What a model loses that does not look at its input: the scale on which a loss is small or large."""

from math import log
from typing import Any

import torch
from torch import Tensor


def chance_loss(data: Any) -> float | None:
    """Return the loss of the best answer that is the same for every sample, in nats or squared units.

    For classes that is the entropy of their frequencies, for values their variance, a mean over values and time steps.
    Data that is read as it is needed is taken to have classes of equal size. None for losses without such a scale.

    Args:
        data: What a data option builds, such as `gradlab.data.dataset.Dataset`.
    """
    if data.task == "linear":
        return None
    targets = getattr(data, "train_targets", None)
    if targets is None and hasattr(data, "draw"):
        targets = torch.cat([targets for _, targets in data.test_batches()])
    if targets is None:
        return log(data.outputs)
    if data.task == "regression":
        return float(targets.double().var(0, correction=0).mean())
    return _entropy(targets.flatten(1) if targets.dim() > 1 else targets[:, None], classes=data.outputs)


def _entropy(targets: Tensor, *, classes: int) -> float:
    """Return the mean over the columns of targets [n, T] of the entropy of their classes."""
    counts = torch.stack([(targets == label).sum(0) for label in range(classes)]).double()
    shares = counts / len(targets)
    return float(torch.special.entr(shares).sum(0).mean())
