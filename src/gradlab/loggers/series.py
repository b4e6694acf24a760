"""Selection and naming of the figures for loggers: few enough to look at, with readable names."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gradlab.artifacts.record import RunRecord
from gradlab.diagnosis.config_facts import flat_items
from gradlab.diagnosis.verdict import root_cause
from gradlab.probe.columns import COLUMNS

_DEPTH, _LAYER, _ROLE = (COLUMNS.index(name) for name in ("depth_index", "layer", "role"))
_NAMES = {"preactivation_grad_norm": "gradient_norm"}  # for readers who do not know the columns of gradients.csv


def layer_series(rows: Sequence[Sequence[Any]], *, columns: Sequence[str], layers: int) -> dict[str, float]:
    """Return figures of one step's layers, named like ``gradient_norm/03_blocks.1.0.affine``.

    Args:
        rows: The step's rows, in the order of ``gradlab.probe.columns.COLUMNS``.
        columns: Columns of gradients.csv to include.
        layers: Largest number of layers of the main path to include, evenly spaced over the depth; 0 for all.
    """
    depths = sorted({row[_DEPTH] for row in rows})
    selected = [row for row in rows if row[_DEPTH] in _spread(depths, layers or len(depths))]
    indices = {_NAMES.get(column, column): COLUMNS.index(column) for column in columns}
    digits = max(2, len(str(depths[-1]))) if depths else 2
    return {
        f"{name}/{_label(row, digits)}": float(row[index])
        for name, index in indices.items()
        for row in selected
        if row[index] is not None
    }


def step_series(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return those of a step's metrics that were measured, under their names in metrics.csv."""
    return {name: float(value) for name, value in metrics.items() if name != "step" and value is not None}


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one dictionary with dotted keys; lists and nulls become JSON.

    Args:
        content: A config, or a part of run.json.
        prefix: Start of every key, with its dot.
    """
    return {
        key: value if isinstance(value, bool | int | float | str) else json.dumps(value, default=str)
        for key, value in flat_items(content, prefix)
    }


def findings(record: RunRecord) -> dict[str, Any]:
    """Return the results in run.json by name: status, steps, metrics, verdicts and range test."""
    items = record.get("verdicts") or ()
    verdicts = {f"verdict_{item['when']}": item["sentence"] for item in items}
    if cause := root_cause(items):
        verdicts["root_cause"] = cause["sentence"]
    metrics = {name: value for name, value in (record.get("metrics") or {}).items() if value is not None}
    outcome = {name: record.get(name) for name in ("status", "steps", "seconds", "error") if name in record}
    lr_range = record.get("lr_range")
    return outcome | metrics | verdicts | flattened({"lr_range": lr_range} if lr_range else {})


def _label(row: Sequence[Any], digits: int) -> str:
    role = "" if row[_ROLE] == "main" else f".{row[_ROLE]}"
    return f"{row[_DEPTH]:0{digits}d}_{row[_LAYER]}{role}"


def _spread(depths: Sequence[int], most: int) -> set[int]:
    """Return at most ``most`` depths, among them the first, the last hidden one and the head."""
    if most >= len(depths):
        return set(depths)
    hidden = depths[:-1]
    gaps = max(1, most - 2)
    return {hidden[round(i * (len(hidden) - 1) / gaps)] for i in range(gaps + 1)} | {depths[-1]}
