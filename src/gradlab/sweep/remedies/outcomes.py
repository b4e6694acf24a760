"""Outcomes of the remedies: loss after equal steps, rank and tier, gradient ratio."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log, log10, nan
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gradlab.artifacts.read import read_columns
from gradlab.artifacts.record import RunRecord, read_or_unfinished
from gradlab.config.run_name import find_folder
from gradlab.diagnosis.verdict import root_cause
from gradlab.sweep.remedies.plan import Trial
from gradlab.sweep.remedies.tiers import RESOLUTION, interval, middle, tiers

LAST = 0.25  # last share of a run, over whose recorded steps the loss is averaged


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of one trial, a line of the table.

    Attributes:
        trial: The trial.
        rank: Rank from 1; None if the trial did not complete.
        tier: Number of its tier, from 1; None if the trial did not complete.
        status: ``completed``, or the number of runs with each other status.
        loss: What it is ranked by: median over the seeds of the run's loss after equal steps, or of the loss of its
            accuracy; inf if most runs did not complete.
        measured: Median over the seeds of the run's measured loss; inf if most runs did not complete.
        low: Lower end of the bootstrap interval of the typical loss (`tiers.interval`).
        high: Upper end of that interval.
        accuracy: Median of the final test accuracy; nan if it was not measured.
        ratio_initial: Median gradient ratio at step 0.
        ratio_final: Median gradient ratio at the last step.
        gained: Number of decades by which the ratio at step 0 is nearer to 1 than in the unchanged config.
        verdict: The most frequent verdict at the last step.
    """

    trial: Trial
    rank: int | None
    tier: int | None
    status: str
    loss: float
    measured: float
    low: float
    high: float
    accuracy: float
    ratio_initial: float
    ratio_final: float
    gained: float
    verdict: str

    @property
    def completed(self) -> bool:
        """Whether at least half of the runs completed with a finite loss."""
        return isfinite(self.loss)


def read_outcomes(folder: Path, trials: Sequence[Trial]) -> list[Outcome]:
    """Return the outcome of each trial, from the best to the worst, with those that did not complete at the end.

    A run's loss is the mean of the training losses recorded in the last quarter of its steps, and inf for a run that
    diverged or failed. The test loss is not used: a few confident errors can make it worse for a trained net than for
    an untrained one. Where they do that to the training loss, the loss of its accuracy stands for it (`loss_of`).
    Trials less than 2% better than chance share the last tier.

    Args:
        folder: The sweep's folder.
        trials: The trials of the sweep's plan.

    Raises:
        ValueError: A table is broken.
    """
    records = [[read_or_unfinished(find_folder(folder, name)) for name in trial.folders] for trial in trials]
    base = next((runs for trial, runs in zip(trials, records, strict=True) if trial.kind == "base"), [])
    chance = _chance_loss(base)
    measured = [
        [_losses(find_folder(folder, name), record) for name, record in zip(trial.folders, runs, strict=True)]
        for trial, runs in zip(trials, records, strict=True)
    ]
    samples = [
        [
            _ranked_by(losses, find_folder(folder, name), record, chance=chance)
            for name, record, losses in zip(trial.folders, runs, found, strict=True)
        ]
        for trial, runs, found in zip(trials, records, measured, strict=True)
    ]
    outcomes = [_outcome(*parts, base=base) for parts in zip(trials, records, samples, measured, strict=True)]
    outcomes.sort(key=lambda item: (item.loss, item.low, item.trial.kind != "base", item.trial.name))
    completed = [item for item in outcomes if item.completed]
    learnt = [item for item in completed if item.loss < (1 - RESOLUTION) * chance]
    places = tiers([(item.low, item.high) for item in learnt])
    # All others share one tier, because noise alone decides their order.
    places += [1 + max(places, default=0)] * (len(completed) - len(learnt))
    ranked = [
        _placed(item, rank, tier) for rank, (item, tier) in enumerate(zip(completed, places, strict=True), start=1)
    ]
    return [*ranked, *(item for item in outcomes if not item.completed)]


def gradient_ratio(metrics: Mapping[str, Any], when: str) -> float:
    """Return the gradient ratio of a run: over time if it has time steps, else over depth; nan if not measured."""
    values = (metrics.get(f"{name}_{when}") for name in ("time_gradient_ratio", "gradient_ratio"))
    return next((float(value) for value in values if value is not None), nan)


def decades(ratio: float) -> float:
    """Return log10 of a ratio, -inf for 0, inf for inf, and nan for a negative or undefined ratio."""
    return log10(ratio) if 0 < ratio < inf else {0.0: -inf, inf: inf}.get(ratio, nan)


def _outcome(
    trial: Trial,
    records: Sequence[RunRecord],
    samples: Sequence[Sequence[float]],
    measured: Sequence[Sequence[float]],
    *,
    base: Sequence[RunRecord],
) -> Outcome:
    metrics = [record.get("metrics") or {} for record in records]
    initial, final = (_middle([gradient_ratio(item, when) for item in metrics]) for when in ("initial", "final"))
    before = _middle([gradient_ratio(record.get("metrics") or {}, "initial") for record in base])
    low, high = interval(samples) if samples else (inf, inf)
    verdicts = Counter(verdict for record in records if (verdict := _verdict(record)))
    return Outcome(
        trial=trial,
        rank=None,
        tier=None,
        status=_status(trial, records),
        loss=_typical(samples),
        measured=_typical(measured),
        low=low,
        high=high,
        accuracy=_middle([_number(item.get("eval_accuracy")) for item in metrics]),
        ratio_initial=initial,
        ratio_final=final,
        gained=abs(decades(before)) - abs(decades(initial)),
        verdict=verdicts.most_common(1)[0][0] if verdicts else "",
    )


def _chance_loss(records: Sequence[RunRecord]) -> float:
    """Return the loss of the best prediction that ignores the input; inf if unknown."""
    losses = [loss for record in records if (loss := (record.get("chance") or {}).get("loss")) is not None]
    return median(losses) if losses else inf


def _placed(outcome: Outcome, rank: int, tier: int) -> Outcome:
    return replace(outcome, rank=rank, tier=tier)


def loss_of(accuracy: float, *, chance: float) -> float:
    """Return the loss of a classifier that is as sure of its answers as they are often right.

    It gives its answer the probability ``accuracy``, and each of the others an equal share of the rest:
    -a ln a - (1 - a) ln((1 - a) / (k - 1)) for k equally frequent classes.

    Args:
        accuracy: Share of right answers.
        chance: Loss of the best prediction that ignores the input, ln k for k equally frequent classes.
    """
    if not exp(-chance) < accuracy <= 1:
        return inf
    wrong = 1 - accuracy
    return -accuracy * log(accuracy) - (wrong * log(wrong / (exp(chance) - 1)) if wrong else 0.0)


def _ranked_by(losses: list[float], run: Path, record: RunRecord, *, chance: float) -> list[float]:
    """Return a run's losses, or the loss of its accuracy if they are above guessing's though its accuracy is not.

    A few confident errors can give a net with 94% right answers a loss eight times that of guessing.
    """
    guessed = (record.get("chance") or {}).get("accuracy")
    if guessed is None or not chance < sum(losses) / len(losses) < inf:
        return losses
    accuracies = _late(run, record, "train_accuracy")
    instead = loss_of(sum(accuracies) / len(accuracies), chance=chance) if accuracies else inf
    return [instead] if instead < (1 - RESOLUTION) * chance else losses


def _losses(run: Path, record: RunRecord) -> list[float]:
    """Return a run's training losses at the steps recorded in its last quarter; ``[inf]`` if it did not complete."""
    if record["status"] != "completed":
        return [inf]
    losses = _late(run, record, "train_loss")
    return losses if losses and all(map(isfinite, losses)) else [inf]


def _late(run: Path, record: RunRecord, column: str) -> list[float]:
    """Return the values of a column of metrics.csv at the steps recorded in the last quarter of a run, or the last."""
    columns = read_columns(run / "metrics.csv", ("step", column))
    cells = [(int(step), float(cell)) for step, cell in zip(*columns.values(), strict=True) if cell]
    start = (1 - LAST) * (record.get("steps", 1) - 1)
    return [value for step, value in cells if step >= start] or [value for _, value in cells[-1:]]


def _typical(samples: Sequence[Sequence[float]]) -> float:
    """Return the median over the seeds of the mean over the steps; inf without a run."""
    means = [sum(losses) / len(losses) for losses in samples]
    return float(middle(np.array(means))) if means else inf


def _status(trial: Trial, records: Sequence[RunRecord]) -> str:
    if trial.refused:
        return f"refused: {trial.refused}"
    endings = Counter(record["status"] for record in records)
    bad = [f"{count} of {len(records)} {status}" for status, count in endings.items() if status != "completed"]
    return ", ".join(bad) or "completed"


def _verdict(record: RunRecord) -> str:
    """Return the name of a run's last verdict: the root cause, else that over depth, else that over time."""
    final = [verdict for verdict in record.get("verdicts") or () if verdict["when"] == "final"]
    candidates = [verdict for verdict in final if verdict["name"] != "shallow"] or final
    chosen = root_cause(candidates) or next(iter(candidates), None)
    return chosen["name"] if chosen else ""


def _middle(values: Sequence[float]) -> float:
    known = np.array([value for value in values if value == value])
    return float(middle(known)) if known.size else nan


def _number(value: Any) -> float:
    return nan if value is None else float(value)
