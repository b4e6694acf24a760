"""Rules about the loss itself: symptoms, reported as the root cause only if no other rule applies."""

import numpy as np

from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, short

_SOURCE = "AutoTrainer (Zhang et al. 2021)"


def diverged(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect a loss that became infinite or nan, or ended far above its initial value."""
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
    sentence = f"training diverged: the loss rose to {short(rise)} times its initial value and stayed there"
    return [_verdict("diverged", sentence, int(evidence.loss_steps[-1]), rise, limits.loss_jump)]


def oscillating_loss(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect a loss that goes up and down instead of falling."""
    losses = evidence.losses[np.isfinite(evidence.losses)]
    losses = losses[len(losses) // 3 :]  # skip the start, where a steep fall would count as a large change
    if progress.state not in ("falling", "stuck") or len(losses) < limits.history:
        return []
    changes = np.diff(losses)
    swing = float(np.median(np.abs(changes)) / np.median(losses)) if np.median(losses) > 0 else 0.0
    turns = float((changes[1:] * changes[:-1] < 0).mean())
    if swing < limits.loss_swing or turns < 1 / 3:  # noise reverses at two of three points, a trend at none
        return []
    sentence = f"the loss oscillates: between recorded steps it typically changes by {100 * swing:.0f}%"
    return [_verdict("oscillating_loss", sentence, int(evidence.loss_steps[-1]), swing, limits.loss_swing)]


def loss_not_falling(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect a loss that does not fall; this is the verdict if no other rule gives a cause."""
    if progress.state != "stuck":
        return []
    share = progress.last / progress.reference
    sentence = f"the loss does not fall: after {evidence.loss_steps[-1] + 1:.0f} steps {progress.words}"
    return [_verdict("loss_not_falling", sentence, int(evidence.loss_steps[-1]), share, limits.falling_share)]


def _verdict(name: str, sentence: str, step: int, value: float, threshold: float) -> Verdict:
    return Verdict(
        name=name, sentence=sentence, over="training", step=step, column="train_loss", value=float(value),
        threshold=threshold, source=_SOURCE,
    )  # fmt: skip
