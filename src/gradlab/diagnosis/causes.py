"""Root causes: apply all rules to a run, and order the verdicts from cause to consequence."""

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

# Causes before their consequences. Verdicts on the untrained net ("at first") come first, because training has not
# caused them. But vanishing gradients do not make a run diverge, so a learning rate that is too high precedes them.
_ORDER = (
    "poor_initialization at first", "batch_norm_explosion at first", "dead_units at first", "saturation at first",
    "exploding_activations at first", "exploding at first", "overflow at first", "zero at first",
    "learning_rate_too_high", "vanishing at first", "clipping_always_active", "learning_rate_too_low",
    "not_finite at first", "short_memory", "dead_units", "saturation", "exploding_activations", "exploding",
    "vanishing", "zero", "update_too_large", "update_too_small", "underflow", "overflow", "oscillating_loss",
    "diverged", "not_finite", "loss_not_falling", "poor_initialization", "batch_norm_explosion",
)  # fmt: skip
# Reported only as the root cause: if a gradient vanishes, layers that do not move are no sign of a low learning rate.
_CAUSES_ONLY = ("learning_rate_too_high", "learning_rate_too_low")
FAULTS = tuple(dict.fromkeys(label.removesuffix(" at first") for label in _ORDER))


def diagnose(evidence: Evidence, limits: Thresholds) -> list[Verdict]:
    """Return the faults of a run, the root cause first; empty if there are none.

    Args:
        evidence: The recorded numbers.
        limits: Thresholds of the rules.
    """
    if not len(evidence.steps):
        return []
    progress = judge_progress(evidence, limits)
    verdicts = [verdict for rule in RULES for verdict in rule(evidence, progress, limits)]
    ordered = sorted(verdicts, key=_rank)
    return [*ordered[:1], *(verdict for verdict in ordered[1:] if verdict.name not in _CAUSES_ONLY)]


def _rank(verdict: Verdict) -> int:
    # only over depth: vanishing over time in the untrained net does not yet mean that the net cannot learn its task
    early = verdict.step == 0 and verdict.over == "depth"
    label = f"{verdict.name} at first"
    return _ORDER.index(label if early and label in _ORDER else verdict.name)
