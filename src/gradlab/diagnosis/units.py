"""Rules about units: dead, or saturated where their activation is flat."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, places

# Only for these is flatness a fault: in a healthy relu net half of the entries are where relu is flat.
BOUNDED = frozenset({"sigmoid", "tanh", "hardtanh", "softsign", "erf"})


def dead_units(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect layers in which nearly all units output 0 for a whole batch, so that no gradient passes."""
    blocked = None if progress.learned else _first_blocked(evidence, "dead_fraction", dead_layers, limits)
    if blocked is None:
        return []
    dead, shares, step = blocked
    layers, worst = evidence.where(dead), float(np.nanmax(shares))
    sentence = f"dead units: {100 * worst:.0f}% of the units of {places(layers)} output 0 for every sample"
    return [
        Verdict(
            name="dead_units", sentence=_dated(sentence, step), step=step, layers=layers, column="dead_fraction",
            value=worst, threshold=limits.dead_share,
            source="Maas et al. 2013; Lu et al. 2020; threshold above SageMaker Debugger's 50%",
        )
    ]  # fmt: skip


def saturation(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Detect layers in which most entries lie where a bounded activation is flat."""
    blocked = None if progress.learned else _first_blocked(evidence, "saturated_fraction", saturated_layers, limits)
    if blocked is None:
        return []
    flat, shares, step = blocked
    layers, worst = evidence.where(flat), float(shares[flat].max())
    sentence = f"saturation: {100 * worst:.0f}% of the entries of {places(layers)} are where the activation is flat"
    return [
        Verdict(
            name="saturation", sentence=_dated(sentence, step), step=step, layers=layers, column="saturated_fraction",
            value=worst, threshold=limits.saturated_share,
            source="Glorot & Bengio 2010; threshold of DeepDiagnosis (Wardat et al. 2022)",
        )
    ]  # fmt: skip


def dead_layers(evidence: Evidence, row: int, limits: Thresholds) -> NDArray[np.bool_]:
    """Return which hidden layers are dead at a recorded step.

    Args:
        evidence: The run's tables.
        row: Index of the recorded step.
        limits: Thresholds of the rules.
    """
    return np.nan_to_num(evidence.column("dead_fraction")[row], nan=0.0) >= limits.dead_share


def saturated_layers(evidence: Evidence, row: int, limits: Thresholds) -> NDArray[np.bool_]:
    """Return which hidden layers are saturated at a recorded step; none if the activation is not bounded.

    Args:
        evidence: The run's tables.
        row: Index of the recorded step.
        limits: Thresholds of the rules.
    """
    share = np.nan_to_num(evidence.column("saturated_fraction")[row], nan=0.0)
    return (share > limits.saturated_share) & (evidence.setting.activation in BOUNDED)


def _first_blocked(
    evidence: Evidence, column: str, which: Callable[[Evidence, int, Thresholds], NDArray[np.bool_]], limits: Thresholds
) -> tuple[NDArray[np.bool_], NDArray[np.float64], int] | None:
    """Return the layers that block the gradient, the column's shares and the step of the first such record, or None."""
    table = evidence.column(column)
    for row in _first_and_last(table):
        layers = which(evidence, row, limits)
        if _blocks(evidence, layers, table[row]):
            return layers, table[row], int(evidence.steps[row])
    return None


def _first_and_last(table: NDArray[np.float64]) -> Iterator[int]:
    """Yield the index of the first and of the last row with a measured value."""
    measured = np.flatnonzero((~np.isnan(table)).any(axis=1))
    yield from dict.fromkeys(int(row) for row in measured[[0, -1]]) if len(measured) else ()


def _blocks(evidence: Evidence, layers: NDArray[np.bool_], shares: NDArray[np.float64]) -> bool:
    """Whether such layers block the gradient: one is enough, but if there are skips it takes all layers."""
    return bool(layers.any() and (not evidence.skips or layers[~np.isnan(shares)].all()))


def _dated(sentence: str, step: int) -> str:
    return f"{sentence}, from the start" if step == 0 else f"{sentence} at step {step}"
