"""Losses and accuracies of K fused runs, computed as `gradlab.train.task.Task` computes one run's.

``torch.vmap`` would work too, but its cross-entropy is written in Python and imports sympy, which takes seconds.
"""

from torch import Tensor

from gradlab.train.task import Task


def mean_losses(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return each run's mean loss, [K].

    Args:
        task: The runs' task.
        outputs: Outputs [K, n, ...].
        targets: Targets [K, n, ...].
    """
    return _means(task.terms(outputs.flatten(0, 1), targets.flatten(0, 1)), count=len(outputs))


def accuracies(task: Task, outputs: Tensor, targets: Tensor) -> list[float] | None:
    """Return each run's share of correct outputs; None for a task without correct and incorrect ones."""
    if task.right is None:
        return None
    return _means(task.right(outputs.flatten(0, 1), targets.flatten(0, 1)).double(), count=len(outputs)).tolist()


def _means(x: Tensor, *, count: int) -> Tensor:
    return x.view(count, -1).mean(1)
