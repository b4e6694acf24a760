"""The learning-rate range test (Smith 2017, section 3.3): record the loss while the rate rises, and suggest a rate.

The suggestion is half the rate at which the loss is lowest, and at most a twelfth of the rate at which the loss blew
up. The second bound is for problems without noise. There the steepest direction has shrunk to nearly zero while the
rate was small, and must grow back before the loss shows that the rate is too high. On a quadratic, whose loss starts to
grow at a rate of 2 / lambda_max, the loss shows it only at 5 to 10 times that rate, however slowly the rate rises.
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

BELOW_LOWEST, BELOW_END = 2, 12  # divisors of the rate of the lowest loss and of the last rate
_REACH = 5  # number of neighbours on either side that the smoothed loss averages over
_FLAT = 0.05  # a loss within this share of the total fall counts as the lowest, or noise would choose on a flat floor
_NOISE = 4.0  # a fall must exceed this many standard errors of the mean
_MEMORY = 0.7  # weight of the old value in the running mean that detects the blow-up


class Rising:
    """A schedule whose learning rate rises exponentially until the loss blows up; it records rates and losses.

    Args:
        optimizer: Optimizer whose groups all get the same learning rate.
        lowest: First learning rate.
        highest: Learning rate of the last step.
        steps: Number of steps from ``lowest`` to ``highest``.
        stop: The loss has blown up once its running mean exceeds its lowest value so far by this factor.

    Raises:
        GradlabError: If ``highest`` is not above ``lowest``, or the optimizer ignores its learning rate.
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
            raise GradlabError("Rprop adapts a step size for each weight and ignores optimizer.lr: no rate to test")
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
        """Record the loss of a step, 0-d, and call ``on_blow_up`` if it blew up; this synchronizes with the device."""
        self.rates.append(self._planned[len(self.rates)])
        self.losses.append(float(loss))
        self._sum = _MEMORY * self._sum + (1 - _MEMORY) * self.losses[-1]
        self._weight = _MEMORY * self._weight + 1 - _MEMORY
        mean = self._sum / self._weight  # corrected for the start from 0, as in Adam
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
    """The result of a range test.

    Attributes:
        rate: The learning rate to take, to three significant digits.
        lowest_at: The first learning rate at which the smoothed loss is as good as lowest.
    """

    rate: float
    lowest_at: float


def suggest(rates: Sequence[float], losses: Sequence[float]) -> Suggestion | None:
    """Return the learning rate that a range test suggests.

    Args:
        rates: Learning rates, ascending.
        losses: The loss at each rate, before the step with that rate; may be nan or inf at the end.

    Returns:
        The suggestion, or None if the loss did not fall by more than its noise.
    """
    # near the edges the mean is over fewer losses, so a single lucky batch could be lowest there
    edge = min(_REACH, (len(losses) - 1) // 2)
    smoothed = [(rate, mean) for rate, mean in zip(rates, smooth(losses), strict=True) if isfinite(mean)][edge:]
    smoothed = smoothed[: len(smoothed) - edge] or smoothed
    if not smoothed or not isfinite(losses[0]):
        return None
    lowest = min(mean for _, mean in smoothed)
    fall = fmean(losses[: _REACH + 1]) - lowest
    # noise from half the squared differences of neighbours, to which the trend adds little (von Neumann 1941)
    pairs = pairwise(loss for loss in losses[: max(2 * _REACH + 1, len(losses) // 10)] if isfinite(loss))
    noise = sqrt(fmean([(later - loss) ** 2 / 2 for loss, later in pairs] or [0.0]))
    if not isfinite(fall) or not fall > _NOISE * noise / sqrt(2 * _REACH + 1):
        return None
    lowest_at = next(rate for rate, mean in smoothed if mean <= lowest + _FLAT * fall)
    return Suggestion(rate=float(f"{min(lowest_at / BELOW_LOWEST, rates[-1] / BELOW_END):.3g}"), lowest_at=lowest_at)


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the mean of each loss and its neighbours; fewer near the ends, so that the window stays centred."""
    reaches = [min(_REACH, i, len(losses) - 1 - i) for i in range(len(losses))]
    return [fmean(losses[i - reach : i + reach + 1]) for i, reach in enumerate(reaches)]
