"""From the files of a run to the verdicts of its run.json; torch is never imported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.artifacts.read import numbers, read_columns, read_layers, read_metrics
from gradlab.diagnosis.causes import diagnose
from gradlab.diagnosis.config_facts import read_setting
from gradlab.diagnosis.evidence import Array, Evidence
from gradlab.diagnosis.remedies import read_facts, remedies_for
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.diagnosis.verdict import Verdict

_STEPS = 400  # recorded steps that are read, evenly spread over the run
_MOMENTS = 40  # the same of timesteps.csv, which has a row for each time step
_COLUMNS = (
    "preactivation_norm", "preactivation_std", "activation_std", "preactivation_grad_norm", "activation_grad_norm",
    "weight_norm", "update_ratio", "saturated_fraction", "dead_fraction", "skip_grad_norm",
)  # fmt: skip
_OF_METRICS = ("step", "train_loss", "train_accuracy", "grad_norm", "clipped_grad_norm", "eval_loss", "eval_accuracy")


def judge(
    folder: Path,
    record: Mapping[str, Any],
    limits: Thresholds,
    *,
    config: Mapping[str, Any],
    choices: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return all verdicts of a run: those on its gradient flow that ``record`` has, between them the other faults.

    Just one of them, unless nothing is wrong, is the root cause.

    Args:
        folder: The run's folder, its tables complete.
        record: Its run.json as far as it is known: ``status, hidden_layers, verdicts`` and, if known, ``chance``.
        limits: What counts as a fault.
        config: The run's config as plain dictionaries; empty where there is none.
        choices: The option chosen of each group; empty where that is not known.

    Raises:
        OSError: A table cannot be read.
        ValueError: A table is broken.
    """
    known = [_BLANK | verdict for verdict in record.get("verdicts") or ()]
    if not (folder / "gradients.csv").exists():
        return known
    evidence = read_evidence(folder, record, config=config)
    facts = read_facts(config, choices)
    others = []
    for place, fault in enumerate(diagnose(evidence, limits)):
        same = [item for item in known if (item["name"], item["over"]) == (fault.name, fault.over)]
        entry = max(same, key=lambda item: item["when"] == "final", default=None)  # it stands for the whole run
        if entry is None:
            entry = described(fault, when="final")
            others.append(entry)
        entry["root_cause"] = place == 0
        entry["remedies"] = [
            {"overrides": list(remedy.overrides), "reason": remedy.reason, "source": remedy.source}
            for remedy in remedies_for(fault.name, facts)
        ]
    initial = [item for item in known if item["when"] == "initial"]
    return [*initial, *others, *(item for item in known if item["when"] != "initial")]


def read_evidence(folder: Path, record: Mapping[str, Any], *, config: Mapping[str, Any]) -> Evidence:
    """Return the tables of a run as the rules want them.

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


def described(verdict: Verdict, *, when: str) -> dict[str, Any]:
    """Return a verdict as run.json has it.

    Args:
        verdict: What was found.
        when: ``initial`` or ``final``.
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
        "root_cause": False,
        "remedies": [],
    }


_BLANK = described(Verdict(name="", sentence=""), when="final")


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
