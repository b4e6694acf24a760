"""Rules about single units: dead, or stuck where their activation is flat."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.progress import Progress
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, places

# Half of relu's entries are flat in a sound net: only of these is flatness a fault.
BOUNDED = frozenset({"sigmoid", "tanh", "hardtanh", "softsign", "erf"})


def dead_units(evidence: Evidence, progress: Progress, limits: Thresholds) -> list[Verdict]:
    """Find layers nearly all of whose units output 0 for a whole batch; such a layer lets no gradient through."""
    found = None if progress.learned else _first_blocked(evidence, "dead_fraction", dead_layers, limits)
    if found is None:
        return []
    dead, shares, step = found
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
    """Find layers most of whose entries lie where a bounded activation is flat."""
    found = None if progress.learned else _first_blocked(evidence, "saturated_fraction", saturated_layers, limits)
    if found is None:
        return []
    flat, shares, step = found
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
        row: Number of the recorded step.
        limits: What counts as dead.
    """
    return np.nan_to_num(evidence.column("dead_fraction")[row], nan=0.0) >= limits.dead_share


def saturated_layers(evidence: Evidence, row: int, limits: Thresholds) -> NDArray[np.bool_]:
    """Return which hidden layers are saturated at a recorded step: none where the activation is not bounded.

    Args:
        evidence: The run's tables.
        row: Number of the recorded step.
        limits: What counts as saturated.
    """
    share = np.nan_to_num(evidence.column("saturated_fraction")[row], nan=0.0)
    return (share > limits.saturated_share) & (evidence.setting.activation in BOUNDED)


def _first_blocked(
    evidence: Evidence, column: str, which: Callable[[Evidence, int, Thresholds], NDArray[np.bool_]], limits: Thresholds
) -> tuple[NDArray[np.bool_], NDArray[np.float64], int] | None:
    """Return the layers that stop the gradient, the column's shares and the step, where first seen; None if nowhere."""
    table = evidence.column(column)
    for row in _first_and_last(table):
        layers = which(evidence, row, limits)
        if _blocks(evidence, layers, table[row]):
            return layers, table[row], int(evidence.steps[row])
    return None


def _first_and_last(table: NDArray[np.float64]) -> Iterator[int]:
    """Yield the first and the last of the recorded steps at which anything was measured."""
    measured = np.flatnonzero((~np.isnan(table)).any(axis=1))
    yield from dict.fromkeys(int(row) for row in measured[[0, -1]]) if len(measured) else ()


def _blocks(evidence: Evidence, layers: NDArray[np.bool_], shares: NDArray[np.float64]) -> bool:
    """Whether such layers stop the gradient: one alone does, unless a skip goes round it."""
    return bool(layers.any() and (not evidence.skips or layers[~np.isnan(shares)].all()))


def _dated(sentence: str, step: int) -> str:
    return f"{sentence}, from the start" if step == 0 else f"{sentence} at step {step}"
