"""Which verdict explains the others."""

from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.loss import diverged, loss_not_falling, oscillating_loss
from gradlab.diagnosis.memory import short_memory
from gradlab.diagnosis.precision import overflow, underflow
from gradlab.diagnosis.progress import judge_progress
from gradlab.diagnosis.signal import batch_norm_explosion, exploding_activations, gradient_flow, poor_initialization
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.units import dead_units, saturation
from gradlab.diagnosis.updates import (
    clipping_always_active,
    learning_rate_too_high,
    learning_rate_too_low,
    update_too_large,
    update_too_small,
)
from gradlab.diagnosis.verdict import Verdict

RULES = (
    poor_initialization, batch_norm_explosion, exploding_activations, gradient_flow, dead_units, saturation,
    short_memory, underflow, overflow, learning_rate_too_high, learning_rate_too_low, clipping_always_active,
    update_too_small, update_too_large, diverged, oscillating_loss, loss_not_falling,
)  # fmt: skip

# Causes before their consequences. What an untrained net shows ("at first"), training has not caused: that comes first.
# But no small gradient blows a run up, so a rate that does comes before those.
_ORDER = (
    "poor_initialization at first", "batch_norm_explosion at first", "dead_units at first", "saturation at first",
    "exploding_activations at first", "exploding at first", "overflow at first", "zero at first",
    "learning_rate_too_high", "vanishing at first", "clipping_always_active", "learning_rate_too_low",
    "not_finite at first", "short_memory", "dead_units", "saturation", "exploding_activations", "exploding",
    "vanishing", "zero", "update_too_large", "update_too_small", "underflow", "overflow", "oscillating_loss",
    "diverged", "not_finite", "loss_not_falling", "poor_initialization", "batch_norm_explosion",
)  # fmt: skip
# A rate is to blame or it is not: where a gradient vanishes, layers that do not move are no sign of a rate too low.
_CAUSES_ONLY = ("learning_rate_too_high", "learning_rate_too_low")
FAULTS = tuple(dict.fromkeys(label.removesuffix(" at first") for label in _ORDER))


def diagnose(evidence: Evidence, limits: Thresholds) -> list[Verdict]:
    """Return the faults of a run, the root cause first; nothing where there is none.

    Args:
        evidence: What was recorded.
        limits: What counts as a fault.
    """
    if not len(evidence.steps):
        return []
    progress = judge_progress(evidence, limits)
    found = [verdict for rule in RULES for verdict in rule(evidence, progress, limits)]
    ordered = sorted(found, key=_rank)
    return [*ordered[:1], *(verdict for verdict in ordered[1:] if verdict.name not in _CAUSES_ONLY)]


def _rank(verdict: Verdict) -> int:
    # A net whose memory may be short on paper is judged by it only after its training.
    early = verdict.step == 0 and verdict.over == "depth"
    label = f"{verdict.name} at first"
    return _ORDER.index(label if early and label in _ORDER else verdict.name)
