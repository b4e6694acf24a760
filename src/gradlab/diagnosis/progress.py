"""Is it learning at all? The question that stands before every other."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradlab.diagnosis.evidence import Array, Evidence
from gradlab.diagnosis.thresholds import Thresholds

State = Literal["unknown", "learned", "falling", "stuck", "diverged"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far training got.

    Attributes:
        state: ``learned`` well below chance, ``falling`` below it, ``stuck`` at it, ``diverged``, or ``unknown`` where
            too little was recorded, or nothing trained.
        first: Loss of the untrained net; nan where unknown.
        last: Median of the last recorded losses.
        reference: What ``last`` is compared with: the loss by chance, else ``first``.
        by_chance: Whether the reference is the loss by chance.
        by_heart: Whether the loss does fall, but not on the test set.
    """

    state: State
    first: float
    last: float
    reference: float
    by_chance: bool = False
    by_heart: bool = False

    @property
    def learned(self) -> bool:
        """Whether symptoms are to be excused."""
        return self.state == "learned"

    @property
    def words(self) -> str:
        """The loss in words, to end a sentence with."""
        what = "by chance" if self.by_chance else "at first"
        tail = ", and no better than that on the test set" if self.by_heart else ""
        return f"the loss is {self.last:.4g}, {what} {self.reference:.4g}{tail}"


def judge_progress(evidence: Evidence, limits: Thresholds) -> Progress:
    """Compare the last losses with that of the best answer that ignores its input, or else with the first loss.

    Accuracy counts too: a net that is sure of itself pays so much for its few mistakes that its loss tells little.
    A loss that may be negative has no such scale: whether it is low enough nobody can say.
    """
    losses = evidence.losses[~np.isnan(evidence.losses)]
    finite = losses[np.isfinite(losses)]
    first = float(finite[0]) if len(finite) else np.nan
    last = _latest(finite)
    chance = evidence.setting.chance
    reference = first if chance is None else chance
    state: State = "unknown"
    learns_nothing = False
    if evidence.status == "diverged" or len(finite) < len(losses):
        state = "diverged"
    elif evidence.setting.trains and len(finite) >= limits.history and finite.min() >= 0 and reference > 0:
        share = min(last / reference, _share_of_errors(evidence.accuracies, evidence))
        state = "learned" if share < limits.learned_share else "falling" if share < limits.falling_share else "stuck"
        learns_nothing = state == "falling" and chance is not None and _on_test_set(evidence) >= limits.falling_share
    return Progress(
        state="stuck" if learns_nothing else state,
        first=first,
        last=last,
        reference=reference,
        by_chance=chance is not None,
        by_heart=learns_nothing,
    )


def _on_test_set(evidence: Evidence) -> float:
    """Return the last loss or mistakes on the test set over those by chance, whichever is less; -inf where unknown."""
    losses, chance = evidence.test_losses[np.isfinite(evidence.test_losses)], evidence.setting.chance
    if not len(losses) or not chance:
        return -np.inf
    return min(float(losses[-1]) / chance, _share_of_errors(evidence.test_accuracies[-1:], evidence))


def _share_of_errors(accuracies: Array, evidence: Evidence) -> float:
    """Return the mistakes in the last batches over those made by chance; inf where that is not known."""
    known, chance = accuracies[np.isfinite(accuracies)], evidence.setting.chance_accuracy
    if chance is None or chance >= 1 or not len(known):
        return np.inf
    return (1 - _latest(known)) / (1 - chance)


def _latest(values: Array) -> float:
    """Return the median of the last fifth of what was recorded, of three values at least; nan of nothing."""
    return float(np.median(values[-max(3, len(values) // 5) :])) if len(values) else np.nan
