"""From the files of a run to the verdicts of its run.json; torch is never imported."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.artifacts.read import numbers, read_columns, read_layers, read_metrics
from gradlab.artifacts.record import RunRecord
from gradlab.diagnosis.causes import diagnose
from gradlab.diagnosis.config_facts import read_setting
from gradlab.diagnosis.evidence import Array, Evidence
from gradlab.diagnosis.flow import diagnose_flow
from gradlab.diagnosis.remedies import Remedy, read_facts, remedies_for
from gradlab.diagnosis.signal import detailed
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict, VerdictRecord
from gradlab.run.observations import Observation, observe

_STEPS = 400  # recorded steps that are read, evenly spread over the run
_MOMENTS = 40  # the same of timesteps.csv, which has a row for each time step
_COLUMNS = (
    "preactivation_norm", "preactivation_std", "activation_std", "preactivation_grad_norm", "activation_grad_norm",
    "weight_norm", "update_ratio", "saturated_fraction", "dead_fraction", "skip_grad_norm",
)  # fmt: skip
_OF_METRICS = ("step", "train_loss", "train_accuracy", "grad_norm", "clipped_grad_norm", "eval_loss", "eval_accuracy")


def judge(
    folder: Path,
    record: RunRecord,
    limits: Thresholds,
    *,
    config: Mapping[str, Any],
    choices: Mapping[str, Any],
    observations: Iterable[Observation] | None = None,
    smallest: float | None = None,
) -> list[VerdictRecord]:
    """Return all verdicts of a run: on its initial gradient flow, the other faults, on its final gradient flow.

    One of them is the root cause, unless nothing is wrong. A fault that an observation shows too is not listed twice:
    the final observation stands for it, or else the initial one.

    Args:
        folder: The run's folder, its tables complete.
        record: Its run.json as far as it is known: ``status, hidden_layers`` and, if known, ``chance``.
        limits: What counts as a fault.
        config: The run's config as plain dictionaries; empty where there is none.
        choices: The option chosen of each group; empty where that is not known.
        observations: The result of `observe`, if it is at hand.
        smallest: Smallest normal number of the gradients' type; by default that of the config's ``train.dtype``.

    Raises:
        OSError: A table cannot be read.
        ValueError: A table is broken.
    """
    if not (folder / "gradients.csv").exists():
        return []
    evidence = read_evidence(folder, record, config=config)
    facts = read_facts(config, choices)
    found = observe(folder, record) if observations is None else observations
    smallest = evidence.setting.smallest if smallest is None else smallest
    flow = [(one.when, _diagnose(one, limits, smallest=smallest)) for one in found if one.step is not None]
    place = {(verdict.name, verdict.over): place for place, (_, verdict) in enumerate(flow)}  # final after initial
    faults = {place.get((fault.name, fault.over), fault): fault for fault in diagnose(evidence, limits)}
    cause = next(iter(faults), None)

    def describe(key: int | Verdict, verdict: Verdict, when: str) -> VerdictRecord:
        remedies = remedies_for(verdict.name, facts) if key in faults else []
        return described(verdict, when=when, root_cause=key == cause, remedies=remedies)

    observed = [describe(key, verdict, when) for key, (when, verdict) in enumerate(flow)]
    others = [describe(key, fault, "final") for key, fault in faults.items() if isinstance(key, Verdict)]
    initial = sum(when == "initial" for when, _ in flow)
    return [*observed[:initial], *others, *observed[initial:]]


def read_evidence(folder: Path, record: RunRecord, *, config: Mapping[str, Any]) -> Evidence:
    """Return the tables of a run as arrays for the rules.

    Args:
        folder: The run's folder.
        record: Its run.json, as far as it is known.
        config: Its config as plain dictionaries; empty where there is none.

    Raises:
        OSError: ``gradients.csv`` cannot be read.
        ValueError: A table is broken.
    """
    table = folder / "gradients.csv"
    layers = read_layers(folder, [name for name in _COLUMNS if name in _header(table)], steps=_STEPS)
    hidden = record.get("hidden_layers")
    metrics = {name: _plain(column) for name, column in read_metrics(folder, _OF_METRICS).items()}
    time_steps, times = _read_times(folder / "timesteps.csv")
    return Evidence(
        steps=layers.steps,
        depths=layers.depths,
        hidden=layers.hidden if hidden is None else int((layers.depths <= hidden).sum()),
        columns={name: _plain(matrix) for name, matrix in layers.columns.items()},
        losses=metrics["train_loss"],
        accuracies=metrics["train_accuracy"],
        test_losses=metrics["eval_loss"],
        test_accuracies=metrics["eval_accuracy"],
        loss_steps=metrics["step"],
        grad_norms=metrics["grad_norm"],
        clipped_norms=metrics["clipped_grad_norm"],
        times=times,
        time_steps=time_steps,
        status=str(record.get("status", "")),
        setting=read_setting(config, chance=record.get("chance") or {}),
    )


def described(
    verdict: Verdict, *, when: str, root_cause: bool = False, remedies: Iterable[Remedy] = ()
) -> VerdictRecord:
    """Return a verdict as run.json has it.

    Args:
        verdict: The verdict.
        when: ``initial`` or ``final``.
        root_cause: Whether it explains the others.
        remedies: What may help, the most promising first.
    """
    return {
        "when": when,
        "step": verdict.step,
        "over": verdict.over,
        "name": verdict.name,
        "sentence": verdict.sentence,
        "layers": list(verdict.layers),
        "column": verdict.column,
        "value": verdict.value,
        "threshold": verdict.threshold,
        "source": verdict.source,
        "root_cause": root_cause,
        "remedies": [
            {"overrides": list(remedy.overrides), "reason": remedy.reason, "source": remedy.source}
            for remedy in remedies
        ],
    }


def _diagnose(one: Observation, limits: Thresholds, *, smallest: float) -> Verdict:
    verdict = diagnose_flow(one.places, one.received, limits, smallest=smallest, axis=one.axis)
    return detailed(verdict, one.places, one.received, limits, axis=one.axis, step=one.step or 0, column=one.column)


def _read_times(path: Path) -> tuple[Array, Array]:
    """Return the recorded steps, and the gradient norms [steps, T] of the first layer's state that remembers."""
    if not path.exists():
        return np.empty(0), np.empty((0, 0))
    column = _header(path)[-1]
    cells = read_columns(path, ["step", "depth_index", "time", column], steps=_MOMENTS)
    depths = numbers(cells["depth_index"]).filled(np.nan)
    first = depths == depths.min(initial=np.inf)
    steps, times = (numbers(cells[name]).filled(np.nan)[first] for name in ("step", "time"))
    found = np.unique(steps)
    table = np.full((len(found), int(times.max(initial=-1)) + 1), np.nan)
    table[np.searchsorted(found, steps), times.astype(int)] = _plain(numbers(cells[column]))[first]
    return found, table


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().split(",")


def _plain(column: np.ma.MaskedArray) -> Array:
    """Return a masked column as a plain one: nan is "not measured", and inf "not a finite number"."""
    values = np.where(np.isfinite(column.data), column.data, np.inf)
    return np.where(np.ma.getmaskarray(column), np.nan, values)
