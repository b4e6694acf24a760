"""Diagnosis of a run from its files, without importing torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.artifacts.read import DH, GRADIENTS, numbers, read_columns, read_layers, read_metrics
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

_STEPS = 400  # largest number of recorded steps to read, evenly spread over the run
_TIMESTEPS_STEPS = 40  # the same for timesteps.csv, which has a row for each time step
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
    """Return all verdicts of a run: on its initial gradient flow, on other faults, and on its final gradient flow.

    If there is a fault, one verdict is the root cause. A fault that a verdict on the flow also names is listed once,
    as the final verdict on the flow, or as the initial one if the final one does not name it.

    Args:
        folder: The run's folder, with complete tables.
        record: The content of run.json so far, of which ``status``, ``hidden_layers`` and ``chance`` are used.
        limits: Thresholds of the diagnosis.
        config: The run's config as plain dictionaries; empty if there is none.
        choices: The option chosen of each group; empty if unknown.
        observations: The result of `observe`, to avoid computing it again.
        smallest: Smallest normal number of the gradients' dtype; by default that of the config's ``train.dtype``.

    Raises:
        OSError: A table cannot be read.
        ValueError: A table is broken.
    """
    if not (folder / "gradients.csv").exists():
        return []
    evidence = read_evidence(folder, record, config=config)
    facts = read_facts(config, choices)
    observed = observe(folder, record) if observations is None else observations
    smallest = evidence.setting.smallest if smallest is None else smallest
    flow = [(item.when, _diagnose(item, limits, smallest=smallest)) for item in observed if item.step is not None]
    place = {(verdict.name, verdict.over): place for place, (_, verdict) in enumerate(flow)}  # final after initial
    faults = {place.get((fault.name, fault.over), fault): fault for fault in diagnose(evidence, limits)}
    cause = next(iter(faults), None)

    def describe(key: int | Verdict, verdict: Verdict, when: str) -> VerdictRecord:
        remedies = remedies_for(verdict.name, facts) if key in faults else []
        return described(verdict, when=when, root_cause=key == cause, remedies=remedies)

    on_flow = [describe(key, verdict, when) for key, (when, verdict) in enumerate(flow)]
    others = [describe(key, fault, "final") for key, fault in faults.items() if isinstance(key, Verdict)]
    initial = sum(when == "initial" for when, _ in flow)
    return [*on_flow[:initial], *others, *on_flow[initial:]]


def read_evidence(folder: Path, record: RunRecord, *, config: Mapping[str, Any]) -> Evidence:
    """Return the tables of a run as arrays for the rules of the diagnosis.

    Args:
        folder: The run's folder.
        record: The content of run.json so far.
        config: The run's config as plain dictionaries; empty if there is none.

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
    """Return a verdict in the form of run.json.

    Args:
        verdict: The verdict.
        when: ``initial`` or ``final``.
        root_cause: Whether it explains the others.
        remedies: Remedies, the most promising first.
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


def _diagnose(item: Observation, limits: Thresholds, *, smallest: float) -> Verdict:
    of = GRADIENTS[DH] if item.column == DH else ""
    verdict = diagnose_flow(item.places, item.received, limits, smallest=smallest, axis=item.axis, of=of)
    return detailed(
        verdict, item.places, item.received, limits, axis=item.axis, step=item.step or 0, column=item.column
    )


def _read_times(path: Path) -> tuple[Array, Array]:
    """Return the recorded steps (S,), and the gradient norms (S, T) of the first recurrent layer's memory."""
    if not path.exists():
        return np.empty(0), np.empty((0, 0))
    column = _header(path)[-1]
    cells = read_columns(path, ["step", "depth_index", "time", column], steps=_TIMESTEPS_STEPS)
    depths = numbers(cells["depth_index"]).filled(np.nan)
    first = depths == depths.min(initial=np.inf)
    steps, times = (numbers(cells[name]).filled(np.nan)[first] for name in ("step", "time"))
    unique_steps = np.unique(steps)
    if times.max(initial=0) >= max(1, len(times)):
        raise ValueError(f"{path}: time {times.max():.0f}, but the first layer has {len(times)} rows only")
    table = np.full((len(unique_steps), int(times.max(initial=-1)) + 1), np.nan)
    table[np.searchsorted(unique_steps, steps), times.astype(int)] = _plain(numbers(cells[column]))[first]
    return unique_steps, table


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return file.readline().strip().split(",")


def _plain(column: np.ma.MaskedArray) -> Array:
    """Return a masked column as a plain one: masked cells become nan, and nan and infinities become inf."""
    values = np.where(np.isfinite(column.data), column.data, np.inf)
    return np.where(np.ma.getmaskarray(column), np.nan, values)
