"""Learning-rate schedules that follow the training loss.

Besides ``step`` they define ``observe(loss, epoch)``. The loop calls it before each ``step`` with the loss of the
optimizer step just done and the number of passes over the training set so far. Only these schedules read the loss and
so synchronize with the device.
"""

from collections.abc import Mapping
from math import floor
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau


class Plateau:
    """Multiplies the learning rate by ``factor`` when the loss has stopped falling.

    The loss is the mean training loss of an epoch, so that noise between batches does not count as a fall. It is
    summed on its device and read only at the end of an epoch. Torch's ``ReduceLROnPlateau`` makes the decision.

    Args:
        optimizer: Optimizer with the initial learning rates.
        factor: Factor on the learning rate.
        patience: Number of epochs without a fall that are tolerated; the next one reduces the learning rate.
        threshold: Least relative fall: the loss must be below (1 - threshold) times the lowest loss so far.
        cooldown: Number of epochs after a reduction that are not counted.
        min_lr: Lower bound of the learning rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        factor: Annotated[float, Gt(0), Lt(1)],
        patience: Annotated[int, Ge(0)],
        threshold: Annotated[float, Ge(0), Lt(1)],
        cooldown: Annotated[int, Ge(0)],
        min_lr: Annotated[float, Ge(0)],
    ) -> None:
        self._rule = ReduceLROnPlateau(
            optimizer, factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, min_lr=min_lr, eps=0.0
        )
        self._epochs, self._batches = 0, 0
        self._sum: Tensor | float = 0.0

    def observe(self, loss: Tensor, epoch: float) -> None:
        """Add the loss of a step, 0-d; at the end of an epoch update the learning rate."""
        self._sum, self._batches = self._sum + loss.double(), self._batches + 1
        if floor(epoch) > self._epochs:
            self._rule.step(float(self._sum) / self._batches)
            self._epochs, self._batches, self._sum = floor(epoch), 0, 0.0

    def step(self) -> None:
        """Do nothing: `observe` sets the learning rate."""

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state, and the sum over the epoch in progress."""
        return {"rule": self._rule.state_dict(), "epochs": self._epochs, "batches": self._batches, "sum": self._sum}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``."""
        self._rule.load_state_dict(state["rule"])
        self._epochs, self._batches, self._sum = state["epochs"], state["batches"], state["sum"]


class LossRestart:
    """Decays the learning rate as lr (1 - t/T)^power, and restarts each time the loss falls to a threshold.

    A restart needs a batch's training loss at or below the threshold after one above it; while the loss stays low, the
    learning rate decays to 0. t counts the steps since the last restart.

    Args:
        optimizer: Optimizer with the initial learning rates.
        threshold: Training loss at which the learning rate is reset to its initial value.
        total_iters: T, the number of steps of a full decay.
        power: Exponent of the decay.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        threshold: Annotated[float, Gt(0)],
        total_iters: Annotated[int, Ge(1)],
        power: Annotated[float, Ge(0)],
    ) -> None:
        self._optimizer = optimizer
        self._start = [group["lr"] for group in optimizer.param_groups]
        self._threshold, self._total_iters, self._power = threshold, total_iters, power
        self._t, self._above = 0, True

    def observe(self, loss: Tensor, epoch: float) -> None:
        """Compare the loss of a step, 0-d, with the threshold; this synchronizes with the device."""
        below = float(loss) <= self._threshold
        if self._above and below:
            self._t = -1  # `step`, which follows, makes it 0
        self._above = not below

    def step(self) -> None:
        """Set the learning rate of the next step."""
        self._t += 1
        factor = max(0.0, 1 - self._t / self._total_iters) ** self._power
        for group, start in zip(self._optimizer.param_groups, self._start, strict=True):
            group["lr"] = start * factor

    def state_dict(self) -> dict[str, Any]:
        """Return the steps since the last restart, whether the loss was above the threshold, and the initial rates."""
        return {"t": self._t, "above": self._above, "start": self._start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from ``state``."""
        self._t, self._above, self._start = state["t"], state["above"], state["start"]
