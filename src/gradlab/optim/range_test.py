"""The learning-rate range test (Smith 2017, section 3.3): the loss while the rate rises, and the rate to take from it.

The suggestion is half the rate at which the loss is lowest, and at most a twelfth of the rate at which it blew
up. The second bound is for problems without noise: there a direction that has shrunk to nothing while the rate was
small has to grow back before the loss shows that the rate is too high. On a quadratic, whose loss starts to grow at a
rate of 2 / lambda_max, it shows at 5 to 10 times that rate, however slowly the rate rises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite, sqrt
from statistics import fmean
from typing import Annotated, Any

from annotated_types import Ge, Gt
from torch import Tensor
from torch.optim import Optimizer, Rprop

from gradlab.errors import GradlabError

BELOW_LOWEST, BELOW_END = 2, 12  # what the rates of the lowest loss and of the end are divided by
_REACH = 5  # neighbours on either side that the smoothed loss is a mean of
_FLAT = 0.05  # losses within this share of the whole fall count as the lowest: on a flat floor noise would choose
_NOISE = 4.0  # standard errors that a fall must be larger than
_MEMORY = 0.7  # of the running mean that watches for the blow-up


class Rising:
    """A schedule whose learning rate rises exponentially until the loss blows up, and that remembers both.

    Args:
        optimizer: Optimizer whose learning rates are set, all alike.
        lowest: First learning rate.
        highest: Learning rate of step number ``steps``.
        steps: Steps in which it rises from one to the other.
        stop: The loss has blown up where its running mean is more than this many times the lowest so far.

    Raises:
        GradlabError: If ``highest`` is not above ``lowest``, or the optimizer does not go by its learning rate.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        lowest: Annotated[float, Gt(0)],
        highest: Annotated[float, Gt(0)],
        steps: Annotated[int, Ge(2)],
        stop: Annotated[float, Gt(1)],
    ) -> None:
        if highest <= lowest:
            raise GradlabError(f"lr_range.highest must be above lr_range.lowest, {lowest}; got {highest}")
        if isinstance(optimizer, Rprop):
            raise GradlabError("Rprop finds a step size for each weight, whatever optimizer.lr: nothing to test")
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.blew_up = False
        self.on_blow_up: Callable[[], None] = lambda: None
        self._planned = [lowest * (highest / lowest) ** (t / (steps - 1)) for t in range(steps)]
        self._optimizer, self._stop = optimizer, stop
        self._sum = self._weight = 0.0
        self._best = inf
        self.step()

    def observe(self, loss: Tensor | float, epoch: float) -> None:
        """Take in the loss of a step, 0-d, and call ``on_blow_up`` if it blew up; a device has to be waited for."""
        self.rates.append(self._planned[len(self.rates)])
        self.losses.append(float(loss))
        self._sum = _MEMORY * self._sum + (1 - _MEMORY) * self.losses[-1]
        self._weight = _MEMORY * self._weight + 1 - _MEMORY
        mean = self._sum / self._weight
        self._best = min(self._best, mean)
        if not mean - self._best <= (self._stop - 1) * abs(self._best):
            self.blew_up = True
            self.on_blow_up()

    def step(self) -> None:
        """Set the learning rate of the next step."""
        rate = self._planned[min(len(self.rates), len(self._planned) - 1)]
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: a range test is not continued."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What a range test says.

    Attributes:
        rate: The learning rate to take, to three significant digits.
        lowest_at: The learning rate at which the smoothed loss is lowest, or nearly so for the first time.
    """

    rate: float
    lowest_at: float


def suggest(rates: Sequence[float], losses: Sequence[float]) -> Suggestion | None:
    """Return the learning rate that a range test speaks for.

    Args:
        rates: Rising learning rates.
        losses: The loss at each, before the step with that rate; not finite where it broke.

    Returns:
        The suggestion, or None where the loss did not fall by more than its noise.
    """
    edge = min(_REACH, (len(losses) - 1) // 2)  # where the mean is one of fewer losses, one lucky batch could be lowest
    smoothed = [(rate, mean) for rate, mean in zip(rates, smooth(losses), strict=True) if isfinite(mean)][edge:]
    smoothed = smoothed[: len(smoothed) - edge] or smoothed
    if not smoothed or not isfinite(losses[0]):
        return None
    lowest = min(mean for _, mean in smoothed)
    fall = fmean(losses[: _REACH + 1]) - lowest
    # half the squared difference of neighbours: a noise that the trend between them hardly adds to (von Neumann 1941)
    pairs = pairwise(loss for loss in losses[: max(2 * _REACH + 1, len(losses) // 10)] if isfinite(loss))
    noise = sqrt(fmean([(later - loss) ** 2 / 2 for loss, later in pairs] or [0.0]))
    if not isfinite(fall) or not fall > _NOISE * noise / sqrt(2 * _REACH + 1):
        return None
    lowest_at = next(rate for rate, mean in smoothed if mean <= lowest + _FLAT * fall)
    return Suggestion(rate=float(f"{min(lowest_at / BELOW_LOWEST, rates[-1] / BELOW_END):.3g}"), lowest_at=lowest_at)


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the mean of each loss and its neighbours, fewer of them towards the ends, so that nothing is shifted."""
    reach = [min(_REACH, place, len(losses) - 1 - place) for place in range(len(losses))]
    return [fmean(losses[place - most : place + most + 1]) for place, most in enumerate(reach)]
