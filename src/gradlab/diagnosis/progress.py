"""The progress of training, which decides whether the other rules apply at all."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradlab.diagnosis.evidence import Array, Evidence
from gradlab.diagnosis.thresholds import Thresholds

State = Literal["unknown", "learned", "falling", "stuck", "diverged"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of training.

    Attributes:
        state: ``learned`` if the last loss is far below the reference, ``falling`` if it is below, ``stuck`` if it is
            not, ``diverged``, or ``unknown`` if too little was recorded or nothing was trained.
        first: Loss of the untrained net; nan if unknown.
        last: Median of the last recorded losses.
        reference: Loss with which ``last`` is compared: that of the best constant prediction or, if unknown, ``first``.
        by_chance: Whether the reference is the loss of the best constant prediction.
        memorized: Whether the loss falls on the training set but not on the test set.
    """

    state: State
    first: float
    last: float
    reference: float
    by_chance: bool = False
    memorized: bool = False

    @property
    def learned(self) -> bool:
        """Whether the net has learned, so that its symptoms are no faults."""
        return self.state == "learned"

    @property
    def words(self) -> str:
        """The loss in words, as the end of a sentence."""
        kind = "by chance" if self.by_chance else "at the start"
        tail = ", and no better than chance on the test set" if self.memorized else ""
        return f"the loss is {self.last:.4g}, against {self.reference:.4g} {kind}{tail}"


def judge_progress(evidence: Evidence, limits: Thresholds) -> Progress:
    """Compare the last losses with the loss of the best constant prediction or, if unknown, with the first loss.

    Accuracy counts too, because the cross-entropy of an overconfident net can be large in spite of few mistakes. For a
    loss that can be negative there is no scale on which it is low, so the state is ``unknown``.
    """
    losses = evidence.losses[~np.isnan(evidence.losses)]
    finite = losses[np.isfinite(losses)]
    first = float(finite[0]) if len(finite) else np.nan
    last = _latest(finite)
    chance = evidence.setting.chance
    reference = first if chance is None else chance
    state: State = "unknown"
    memorized = False
    if evidence.status == "diverged" or len(finite) < len(losses):
        state = "diverged"
    elif evidence.setting.trains and len(finite) >= limits.history and finite.min() >= 0 and reference > 0:
        share = min(last / reference, _share_of_errors(evidence.accuracies, evidence))
        state = "learned" if share < limits.learned_share else "falling" if share < limits.falling_share else "stuck"
        memorized = state == "falling" and chance is not None and _test_share(evidence) >= limits.falling_share
    return Progress(
        state="stuck" if memorized else state,
        first=first,
        last=last,
        reference=reference,
        by_chance=chance is not None,
        memorized=memorized,
    )


def _test_share(evidence: Evidence) -> float:
    """Return the last test loss or error rate over that of chance, whichever is smaller; -inf if unknown."""
    losses, chance = evidence.test_losses[np.isfinite(evidence.test_losses)], evidence.setting.chance
    if not len(losses) or not chance:
        return -np.inf
    return min(float(losses[-1]) / chance, _share_of_errors(evidence.test_accuracies[-1:], evidence))


def _share_of_errors(accuracies: Array, evidence: Evidence) -> float:
    """Return the error rate in the last batches over that of chance; inf if unknown."""
    known, chance = accuracies[np.isfinite(accuracies)], evidence.setting.chance_accuracy
    if chance is None or chance >= 1 or not len(known):
        return np.inf
    return (1 - _latest(known)) / (1 - chance)


def _latest(values: Array) -> float:
    """Return the median of the last fifth of the values, but of at least three; nan if there are none."""
    return float(np.median(values[-max(3, len(values) // 5) :])) if len(values) else np.nan
