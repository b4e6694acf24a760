"""What came out of each remedy: its loss after equal steps, its rank and tier, the gradient, the cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, log10, nan
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gradlab.artifacts.read import read_columns
from gradlab.artifacts.record import RunRecord, read_or_unfinished
from gradlab.diagnosis.verdict import root_cause
from gradlab.sweep.remedies.plan import Trial
from gradlab.sweep.remedies.tiers import RESOLUTION, interval, middle, tiers

LAST = 0.25  # share of a run over whose recorded steps its loss is averaged


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One line of the table.

    Attributes:
        trial: What was tried.
        rank: Its place, from 1; None where it did not complete.
        tier: Number of its tier, from 1; None where it did not complete.
        status: ``completed``, or how many runs of how many ended otherwise.
        loss: Median over the seeds of each run's loss after equal steps; inf where most runs did not complete.
        low: Lower end of the bootstrap interval of the typical loss (`tiers.interval`).
        high: Its upper end.
        accuracy: Median test accuracy at the end; nan where there is none.
        ratio_initial: Median gradient ratio at step 0.
        ratio_final: The same at the last step.
        gained: Decades by which the ratio at step 0 is nearer to 1 than that of the config as it is.
        cost: Median seconds per step over those of the config as it is.
        verdict: The most frequent verdict at the last step.
    """

    trial: Trial
    rank: int | None
    tier: int | None
    status: str
    loss: float
    low: float
    high: float
    accuracy: float
    ratio_initial: float
    ratio_final: float
    gained: float
    cost: float
    verdict: str

    @property
    def completed(self) -> bool:
        """Whether at least half of its runs came to their end with a finite loss."""
        return isfinite(self.loss)


def read_outcomes(folder: Path, trials: Sequence[Trial]) -> list[Outcome]:
    """Return what came out of each trial, the best first, those that did not complete last.

    A run's loss is the mean of the training losses recorded in the last quarter of its steps; a run that diverged or
    failed counts as infinite. Not the test loss: a net that has learnt all and is wrong with confidence on a few
    samples would stand behind one that has hardly begun. Those that are not 2% better than guessing share the last
    tier.

    Args:
        folder: The sweep's folder.
        trials: What was tried.
    """
    records = [[read_or_unfinished(folder / name) for name in trial.folders] for trial in trials]
    samples = [
        [_losses(folder / name, record) for name, record in zip(trial.folders, own, strict=True)]
        for trial, own in zip(trials, records, strict=True)
    ]
    base = next((own for trial, own in zip(trials, records, strict=True) if trial.kind == "base"), [])
    found = [_outcome(*one, base=base) for one in zip(trials, records, samples, strict=True)]
    found.sort(key=lambda one: (one.loss, one.low, one.trial.kind != "base", one.trial.name))
    whole = [one for one in found if one.completed]
    learnt = [one for one in whole if one.loss < (1 - RESOLUTION) * _guessing(base)]
    places = tiers([(one.low, one.high) for one in learnt])
    # Behind them one tier, whatever order noise gave it.
    places += [1 + max(places, default=0)] * (len(whole) - len(learnt))
    ranked = [_placed(one, rank, tier) for rank, (one, tier) in enumerate(zip(whole, places, strict=True), start=1)]
    return [*ranked, *(one for one in found if not one.completed)]


def gradient_ratio(metrics: Mapping[str, Any], when: str) -> float:
    """Return the gradient ratio of a run over time, where it has time steps, else over depth; nan without one."""
    values = (metrics.get(f"{name}_{when}") for name in ("time_gradient_ratio", "gradient_ratio"))
    return next((float(value) for value in values if value is not None), nan)


def decades(ratio: float) -> float:
    """Return log10 of a ratio: -inf for 0."""
    return log10(ratio) if 0 < ratio < inf else {0.0: -inf, inf: inf}.get(ratio, nan)


def _outcome(
    trial: Trial, records: Sequence[RunRecord], samples: Sequence[Sequence[float]], *, base: Sequence[RunRecord]
) -> Outcome:
    metrics = [record.get("metrics") or {} for record in records]
    initial, final = (_middle([gradient_ratio(one, when) for one in metrics]) for when in ("initial", "final"))
    was = _middle([gradient_ratio(record.get("metrics") or {}, "initial") for record in base])
    low, high = interval(samples) if samples else (inf, inf)
    means = [sum(own) / len(own) for own in samples]
    verdicts = Counter(verdict for record in records if (verdict := _verdict(record)))
    return Outcome(
        trial=trial,
        rank=None,
        tier=None,
        status=_status(trial, records),
        loss=float(middle(np.array(means))) if means else inf,
        low=low,
        high=high,
        accuracy=_middle([_number(one.get("eval_accuracy")) for one in metrics]),
        ratio_initial=initial,
        ratio_final=final,
        gained=abs(decades(was)) - abs(decades(initial)),
        cost=_pace(records) / _pace(base),
        verdict=verdicts.most_common(1)[0][0] if verdicts else "",
    )


def _guessing(records: Sequence[RunRecord]) -> float:
    """Return the loss of a model that does not look at its inputs; inf where there is no such scale."""
    known = [loss for record in records if (loss := (record.get("chance") or {}).get("loss")) is not None]
    return median(known) if known else inf


def _placed(outcome: Outcome, rank: int, tier: int) -> Outcome:
    return replace(outcome, rank=rank, tier=tier)


def _losses(run: Path, record: RunRecord) -> list[float]:
    """Return a run's training losses at the steps recorded in its last quarter, ``[inf]`` where it did not complete."""
    if record["status"] != "completed":
        return [inf]
    columns = read_columns(run / "metrics.csv", ("step", "train_loss"))
    cells = [(int(step), float(cell)) for step, cell in zip(*columns.values(), strict=True) if cell]
    late = [loss for step, loss in cells if step >= (1 - LAST) * (record.get("steps", 1) - 1)] or [cells[-1][1]]
    return late if all(map(isfinite, late)) else [inf]


def _status(trial: Trial, records: Sequence[RunRecord]) -> str:
    if trial.refused:
        return f"refused: {trial.refused}"
    endings = Counter(record["status"] for record in records)
    bad = [f"{count} of {len(records)} {status}" for status, count in endings.items() if status != "completed"]
    return ", ".join(bad) or "completed"


def _verdict(record: RunRecord) -> str:
    """Return a run's last verdict: the root cause, else that over depth, or over time where there is no depth."""
    final = [verdict for verdict in record.get("verdicts") or () if verdict["when"] == "final"]
    telling = [verdict for verdict in final if verdict["name"] != "shallow"] or final
    said = root_cause(telling) or next(iter(telling), None)
    return said["name"] if said else ""


def _pace(records: Sequence[RunRecord]) -> float:
    """Return the median seconds per step; nan where no run completed."""
    done = [record for record in records if record["status"] == "completed"]
    paces = [record["seconds"] / record["steps"] for record in done if "seconds" in record and "steps" in record]
    return median(paces) if paces else nan


def _middle(values: Sequence[float]) -> float:
    known = np.array([value for value in values if value == value])
    return float(middle(known)) if known.size else nan


def _number(value: Any) -> float:
    return nan if value is None else float(value)
