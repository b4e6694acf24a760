"""Loss and accuracy of each kind of task."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Metrics = dict[str, Any]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is asked of the model: a loss, the mean over the batch, and for classes an accuracy.

    Attributes:
        loss: Maps outputs [n, k, ...] and targets [n, ...] or [n, k, ...] to a 0-d tensor.
        terms: Maps the same to that of which ``loss`` is the mean, [n, ...].
        right: Maps the same to which answers are right, bool [n, ...]; None where none is right or wrong.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    terms: Callable[[Tensor, Tensor], Tensor]
    right: Callable[[Tensor, Tensor], Tensor] | None = None

    def accuracy(self, outputs: Tensor, targets: Tensor) -> float | None:
        """Return the share of right answers; None where none is right or wrong."""
        return None if self.right is None else float(self.right(outputs, targets).double().mean())


TASKS = {
    "classification": Task(
        loss=F.cross_entropy,
        terms=partial(F.cross_entropy, reduction="none"),
        right=lambda outputs, targets: outputs.argmax(1) == targets,
    ),
    "regression": Task(loss=F.mse_loss, terms=partial(F.mse_loss, reduction="none")),
    "linear": Task(loss=lambda outputs, targets: (outputs * targets).mean(), terms=torch.mul),
}
