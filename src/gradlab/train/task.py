"""Loss, accuracy and metrics of each kind of task."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Metrics = dict[str, Any]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A loss, which is the mean over the batch, and for classes an accuracy.

    Attributes:
        loss: Maps outputs [n, k, ...] and targets [n, ...] or [n, k, ...] to a 0-d tensor.
        terms: Maps the same to the terms whose mean ``loss`` is, [n, ...].
        right: Maps the same to whether each output is right, bool [n, ...]; None for a task without classes.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    terms: Callable[[Tensor, Tensor], Tensor]
    right: Callable[[Tensor, Tensor], Tensor] | None = None

    def accuracy(self, outputs: Tensor, targets: Tensor) -> float | None:
        """Return the share of right outputs; None for a task without classes."""
        return None if self.right is None else float(self.right(outputs, targets).double().mean())


def step_metrics(step: int, *, epoch: float, loss: float, accuracy: float | None, lr: float) -> Metrics:
    """Return the first metrics of a step, by their names in metrics.csv."""
    return {"step": step, "epoch": epoch, "train_loss": loss, "train_accuracy": accuracy, "lr": lr}


@contextmanager
def keep_buffers(model: nn.Module) -> Iterator[None]:
    """Restore the model's buffers, such as running statistics, at the end of the block."""
    copies = [buffer.clone() for buffer in model.buffers()]
    yield
    for buffer, copy in zip(model.buffers(), copies, strict=True):
        buffer.data.copy_(copy)


TASKS = {
    "classification": Task(
        loss=F.cross_entropy,
        terms=partial(F.cross_entropy, reduction="none"),
        right=lambda outputs, targets: outputs.argmax(1) == targets,
    ),
    "regression": Task(loss=F.mse_loss, terms=partial(F.mse_loss, reduction="none")),
    "linear": Task(loss=lambda outputs, targets: (outputs * targets).mean(), terms=torch.mul),
}
