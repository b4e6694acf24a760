"""Rules about the steps that training takes: too small, too large, cut off."""

import numpy as np

from gradlab.diagnosis.evidence import Array, Evidence, median
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, places, short

_RATIO = "update_ratio"
_SOURCE = "LeCun et al. 1998; Karpathy's 1e-3; bounds after TheDeepChecker (Ben Braiek & Khomh 2023)"


def update_too_small(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Find layers that hardly left their initial weights over the whole run."""
    if not _judged(evidence, progress) or evidence.setting.freezes:
        return []
    moved = distance_moved(evidence)
    still = moved < limits.update_small
    if not still.any():
        return []
    layers, least = evidence.where(still), float(np.nanmin(moved))
    sentence = f"updates are too small: {places(layers)} moved by {short(least)} of their weights in the whole run"
    return [_verdict("update_too_small", sentence, layers, least, limits.update_small, evidence)]


def update_too_large(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Find steps that move the weights of the median layer by a large part of themselves."""
    if not _judged(evidence, progress):
        return []
    sizes = _step_sizes(evidence)
    largest = float(np.nanmax(sizes, initial=0.0))
    if largest <= limits.update_large:
        return []
    step = int(evidence.steps[int(np.nanargmax(sizes))])
    sentence = f"updates are too large: step {step} moves the median layer by {short(largest)} of its weights' norm"
    ratios = evidence.column(_RATIO, head=True)[int(np.nanargmax(sizes))]
    layers = evidence.where(np.nan_to_num(ratios, nan=0.0) > limits.update_large)
    return [_verdict("update_too_large", sentence, layers, largest, limits.update_large, evidence)]


def learning_rate_too_high(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Find a rate at which training blows up, or throws the weights about and gets nowhere."""
    if not _judged(evidence, progress) or _broken_at_once(evidence):
        return []
    largest = float(np.nanmax(_step_sizes(evidence), initial=0.0))
    finite = evidence.losses[np.isfinite(evidence.losses)]
    start = max(progress.first, progress.reference)
    rise = float(finite.max() / start) if len(finite) and start > 0 else 1.0
    diverged, high = progress.state == "diverged", evidence.setting.lr
    thrown = progress.state == "stuck" and largest > limits.update_large
    if not (diverged or thrown or rise > limits.loss_jump):
        return []
    rate = "the learning rate" if high is None else f"the learning rate of {high:g}"
    how = "the loss is not finite any more" if diverged else progress.words
    if rise > limits.loss_jump:
        how = f"the loss rose to {short(rise)} times its start" + (", then was not finite" if diverged else "")
    sentence = f"{rate} is too high: {how}; a step moved the median layer by up to {short(largest)} of its weights"
    return [_verdict("learning_rate_too_high", sentence, (), largest, limits.update_large, evidence)]


def learning_rate_too_low(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Find a run in which the layers hardly left their initial weights, though the gradient reaches them."""
    if not _judged(evidence, progress) or progress.state not in ("falling", "stuck") or evidence.setting.freezes:
        return []
    moved = distance_moved(evidence)
    half = float(median(moved, axis=0))
    if not half < limits.update_small:
        return []
    rate = "the learning rate" if evidence.setting.lr is None else f"the learning rate of {evidence.setting.lr:g}"
    sentence = (
        f"{rate} is too low: the median layer moved by {short(half)} of its weights in the whole run; {progress.words}"
    )
    return [_verdict("learning_rate_too_low", sentence, (), half, limits.update_small, evidence)]


def clipping_always_active(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Find clipping that cuts nearly every gradient to a small part, and with it the steps."""
    if not _judged(evidence, progress):
        return []
    before, after = evidence.grad_norms, evidence.clipped_norms
    kept = np.isfinite(before) & np.isfinite(after) & (before > 0)
    if kept.sum() < limits.history:
        return []
    if np.nanmedian(_step_sizes(evidence)) >= limits.update_usual:  # an optimizer may make up for the clipping
        return []
    ratios = after[kept] / before[kept]
    share, to = float((ratios < 1).mean()), float(np.median(ratios))
    if share < limits.clipped_share or to > limits.clipped_to:
        return []
    sentence = (
        f"clipping is always active: {100 * share:.0f}% of the steps were clipped, the median one to {short(to)} "
        f"of its gradient; {progress.words}"
    )
    return [
        Verdict(
            name="clipping_always_active", sentence=sentence, over="training", step=_last(evidence),
            column="clipped_grad_norm", value=to, threshold=limits.clipped_to,
            source="Pascanu et al. 2013: the threshold is a few times the usual norm, for the rare steps far above it",
        )
    ]  # fmt: skip


def distance_moved(evidence: Evidence) -> Array:
    """Return how far each layer of the main path moved at most: its update ratios, summed over all steps.

    A recorded step stands for those up to the next one. A sum, not a mean: what moves little per step may get far in a
    long run. nan for a layer whose ratio was never measured, or which began at zero.
    """
    ratios = evidence.column(_RATIO, head=True)
    gaps = np.diff(evidence.steps, append=evidence.steps[-1] + 1)[:, None]
    measured = np.isfinite(ratios)
    return np.where(measured.any(axis=0), np.where(measured, ratios * gaps, 0.0).sum(axis=0), np.nan)


def _judged(evidence: Evidence, progress: Progress) -> bool:
    """Whether there is a training to judge that did not succeed."""
    return evidence.setting.trains and progress.state in ("falling", "stuck", "diverged") and len(evidence.steps) > 0


def _step_sizes(evidence: Evidence) -> Array:
    """Return the median layer's update ratio at each recorded step, shape (S,)."""
    return median(evidence.column(_RATIO, head=True), axis=1)


def _broken_at_once(evidence: Evidence) -> bool:
    """Whether the first loss is not finite: before any step no learning rate is at fault."""
    return len(evidence.losses) > 0 and not np.isfinite(evidence.losses[0])


def _last(evidence: Evidence) -> int:
    return int(evidence.steps[-1])


def _verdict(
    name: str, sentence: str, layers: tuple[int, ...], value: float, threshold: float, evidence: Evidence
) -> Verdict:
    return Verdict(
        name=name, sentence=sentence, over="training", step=_last(evidence), layers=layers, column=_RATIO,
        value=value, threshold=threshold, source=_SOURCE,
    )  # fmt: skip
