"""Rules about the updates of the weights: too small, too large, or clipped too hard."""

import numpy as np

from gradlab.diagnosis.evidence import Array, Evidence, median
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, places, short

_RATIO = "update_ratio"
_SOURCE = "LeCun et al. 1998; Karpathy's 1e-3; bounds after TheDeepChecker (Ben Braiek & Khomh 2023)"


def update_too_small(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect layers whose weights hardly changed over the whole run."""
    if not _judged(evidence, progress) or evidence.setting.freezes:
        return []
    moved = distance_moved(evidence)
    unmoved = moved < limits.update_small
    if not unmoved.any():
        return []
    layers, least = evidence.where(unmoved), float(np.nanmin(moved))
    sentence = f"updates are too small: {places(layers)} moved by {short(least)} of the weights' norm in the whole run"
    return [_verdict("update_too_small", sentence, layers, least, limits.update_small, evidence)]


def update_too_large(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect steps that change the weights of the median layer by a large part of their norm."""
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
    """Detect a learning rate at which training blows up, or makes large steps without progress."""
    if not _judged(evidence, progress) or _broken_at_once(evidence):
        return []
    largest = float(np.nanmax(_step_sizes(evidence), initial=0.0))
    finite = evidence.losses[np.isfinite(evidence.losses)]
    start = max(progress.first, progress.reference)
    rise = float(finite.max() / start) if len(finite) and start > 0 else 1.0
    diverged = progress.state == "diverged"
    erratic = progress.state == "stuck" and largest > limits.update_large
    if not (diverged or erratic or rise > limits.loss_jump):
        return []
    effect = "the loss became infinite or nan" if diverged else progress.words
    if rise > limits.loss_jump:
        effect = f"the loss rose to {short(rise)} times its initial value"
        effect += " and then became infinite or nan" if diverged else ""
    sentence = (
        f"{_rate(evidence)} is too high: {effect}; "
        f"a step moved the median layer by up to {short(largest)} of its weights' norm"
    )
    return [_verdict("learning_rate_too_high", sentence, (), largest, limits.update_large, evidence)]


def learning_rate_too_low(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect a run in which the layers' weights hardly changed, although the gradient reaches them."""
    if not _judged(evidence, progress) or progress.state not in ("falling", "stuck") or evidence.setting.freezes:
        return []
    typical = float(median(distance_moved(evidence), axis=0))
    if not typical < limits.update_small:
        return []
    sentence = (
        f"{_rate(evidence)} is too low: the median layer moved by {short(typical)} of its weights' norm in the whole "
        f"run; {progress.words}"
    )
    return [_verdict("learning_rate_too_low", sentence, (), typical, limits.update_small, evidence)]


def clipping_always_active(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect clipping that reduces nearly every gradient, and with it the steps, to a small part."""
    if not _judged(evidence, progress):
        return []
    before, after = evidence.grad_norms, evidence.clipped_norms
    valid = np.isfinite(before) & np.isfinite(after) & (before > 0)
    if valid.sum() < limits.history:
        return []
    if np.nanmedian(_step_sizes(evidence)) >= limits.update_usual:  # Adam, for example, undoes a constant factor
        return []
    ratios = after[valid] / before[valid]
    share, remaining = float((ratios < 1).mean()), float(np.median(ratios))
    if share < limits.clipped_share or remaining > limits.clipped_to:
        return []
    sentence = (
        f"clipping is always active: {100 * share:.0f}% of the steps were clipped, the median step to "
        f"{short(remaining)} of its gradient's norm; {progress.words}"
    )
    return [
        Verdict(
            name="clipping_always_active", sentence=sentence, over="training", step=_last(evidence),
            column="clipped_grad_norm", value=remaining, threshold=limits.clipped_to,
            source="Pascanu et al. 2013: the threshold is a few times the usual norm, for the rare steps far above it",
        )
    ]  # fmt: skip


def distance_moved(evidence: Evidence) -> Array:
    """Return an upper bound of each layer's relative movement: its update ratios, summed over all steps.

    A recorded step represents all steps up to the next recorded one. A sum, not a mean, because small steps can add up
    in a long run. nan for a layer whose ratio was never measured, or whose weights started at zero.
    """
    ratios = evidence.column(_RATIO, head=True)
    gaps = np.diff(evidence.steps, append=evidence.steps[-1] + 1)[:, None]
    measured = np.isfinite(ratios)
    return np.where(measured.any(axis=0), np.where(measured, ratios * gaps, 0.0).sum(axis=0), np.nan)


def _judged(evidence: Evidence, progress: Progress) -> bool:
    """Whether the net was trained, and did not learn."""
    return evidence.setting.trains and progress.state in ("falling", "stuck", "diverged") and len(evidence.steps) > 0


def _step_sizes(evidence: Evidence) -> Array:
    """Return the median layer's update ratio at each recorded step, shape (S,)."""
    return median(evidence.column(_RATIO, head=True), axis=1)


def _broken_at_once(evidence: Evidence) -> bool:
    """Whether the first loss is not finite, which no learning rate can have caused."""
    return len(evidence.losses) > 0 and not np.isfinite(evidence.losses[0])


def _rate(evidence: Evidence) -> str:
    lr = evidence.setting.lr
    return "the learning rate" if lr is None else f"the learning rate of {lr:g}"


def _last(evidence: Evidence) -> int:
    return int(evidence.steps[-1])


def _verdict(
    name: str, sentence: str, layers: tuple[int, ...], value: float, threshold: float, evidence: Evidence
) -> Verdict:
    return Verdict(
        name=name, sentence=sentence, over="training", step=_last(evidence), layers=layers, column=_RATIO,
        value=value, threshold=threshold, source=_SOURCE,
    )  # fmt: skip
