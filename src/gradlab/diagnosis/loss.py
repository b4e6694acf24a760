"""Rules about the loss itself: symptoms, for which a cause is looked for elsewhere first."""

import numpy as np

from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, short

_SOURCE = "AutoTrainer (Zhang et al. 2021)"


def diverged(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Find a loss that is not finite, or ended far above where it began."""
    losses = evidence.losses
    bad = ~np.isnan(losses) & ~np.isfinite(losses)
    if progress.state == "diverged":
        at = float(evidence.loss_steps[bad][0]) if bad.any() else float(evidence.loss_steps[-1]) if len(losses) else 0
        sentence = f"training diverged: the loss was not finite at step {at:.0f}"
        return [_verdict("diverged", sentence, int(at), np.inf, np.inf)]
    start = max(progress.first, progress.reference)
    if progress.state != "stuck" or not progress.last > limits.loss_jump * start:
        return []
    rise = progress.last / start
    sentence = f"training diverged: the loss rose to {short(rise)} times its start and stayed there"
    return [_verdict("diverged", sentence, int(evidence.loss_steps[-1]), rise, limits.loss_jump)]


def oscillating_loss(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Find a loss that jumps up and down instead of falling."""
    losses = evidence.losses[np.isfinite(evidence.losses)]
    losses = losses[len(losses) // 3 :]  # a fall from a bad start is no oscillation
    if progress.state not in ("falling", "stuck") or len(losses) < limits.history:
        return []
    changes = np.diff(losses)
    swing = float(np.median(np.abs(changes)) / np.median(losses)) if np.median(losses) > 0 else 0.0
    turns = float((changes[1:] * changes[:-1] < 0).mean())
    if swing < limits.loss_swing or turns < 1 / 3:  # noise turns at two of three points, a trend at none
        return []
    sentence = f"the loss oscillates: from one recorded step to the next it changes by {short(swing)} of itself"
    return [_verdict("oscillating_loss", sentence, int(evidence.loss_steps[-1]), swing, limits.loss_swing)]


def loss_not_falling(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Say that the loss does not fall, which is all that is known where no other rule finds a cause."""
    if progress.state != "stuck":
        return []
    share = progress.last / progress.reference
    sentence = f"the loss does not fall: {progress.words} after {evidence.loss_steps[-1] + 1:.0f} steps"
    return [_verdict("loss_not_falling", sentence, int(evidence.loss_steps[-1]), share, limits.falling_share)]


def _verdict(name: str, sentence: str, step: int, value: float, threshold: float) -> Verdict:
    return Verdict(
        name=name, sentence=sentence, over="training", step=step, column="train_loss", value=float(value),
        threshold=threshold, source=_SOURCE,
    )  # fmt: skip
