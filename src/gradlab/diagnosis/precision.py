"""Rules about numbers that are too small or too large for their type."""

import numpy as np

from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, places, short

_NEAR = 1e4  # margin over the smallest normal number, because the norm of a whole tensor is above its largest entry
_LARGE = 1e30  # a size that no healthy signal has, and at which the next products overflow float32
_SOURCE = "IEEE 754; Micikevicius et al. 2018"


def underflow(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect gradients that come near the smallest number of their type, below which they are exactly zero."""
    if progress.learned:
        return []
    table = evidence.column(evidence.received)
    edge = _NEAR * evidence.setting.smallest
    for row in range(len(table)):
        sizes = table[row][np.isfinite(table[row])]
        positive = sizes[sizes > 0]
        if len(positive) and (positive.min() < edge):
            small = np.isfinite(table[row]) & (table[row] < edge)
            layers, least = evidence.where(small), float(positive.min())
            sentence = (
                f"gradients underflow: those of {places(layers)} are exactly zero or below {short(edge)}, near the "
                f"smallest number of their type"
            )
            step, column = int(evidence.steps[row]), evidence.received
            return [_verdict("underflow", sentence, layers, step, column, least, edge)]
    return []


def overflow(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect signals, gradients or weights that grew beyond the largest number of their type."""
    if progress.learned:
        return []
    for column in ("preactivation_norm", evidence.received, "weight_norm"):
        table = evidence.column(column, head=True)
        with np.errstate(invalid="ignore"):
            large = np.where(np.isfinite(table), table, 0.0) > _LARGE
        beyond = np.isinf(table)
        rows = np.flatnonzero((large | beyond).any(axis=1) & large.any() & beyond.any())
        if len(rows):
            row = int(rows[0])
            layers, most = evidence.where((large | beyond)[row]), float(table[large].max())
            sentence = f"numbers overflow: those of {places(layers)} reach {short(most)}, then infinity"
            return [_verdict("overflow", sentence, layers, int(evidence.steps[row]), column, most, _LARGE)]
    return []


def _verdict(
    name: str, sentence: str, layers: tuple[int, ...], step: int, column: str, value: float, threshold: float
) -> Verdict:
    return Verdict(
        name=name, sentence=sentence, step=step, layers=layers, column=column, value=value, threshold=threshold,
        source=_SOURCE,
    )  # fmt: skip
