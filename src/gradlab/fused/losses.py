"""What the answers of K runs are worth: `gradlab.train.task.Task`, run by run.

By ``vmap`` it would be the same, were torch's own code for a cross-entropy under it not Python, and slow to import.
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
    """Return each run's share of right answers; None where none is right or wrong."""
    if task.right is None:
        return None
    return _means(task.right(outputs.flatten(0, 1), targets.flatten(0, 1)).double(), count=len(outputs)).tolist()


def _means(x: Tensor, *, count: int) -> Tensor:
    return x.view(count, -1).mean(1)
