"""What loggers are given: numbers by readable names, few enough to look at."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradlab.probe.columns import COLUMNS

_DEPTH, _LAYER, _ROLE = (COLUMNS.index(name) for name in ("depth_index", "layer", "role"))
_NAMES = {"preactivation_grad_norm": "gradient_norm"}  # for a reader who has not read what the columns mean


def layer_series(rows: Sequence[Sequence[Any]], *, columns: Sequence[str], layers: int) -> dict[str, float]:
    """Return figures of one step's layers, named like ``gradient_norm/03_blocks.1.0.affine``.

    Args:
        rows: The step's rows, in the order of ``gradlab.probe.columns.COLUMNS``.
        columns: Columns of gradients.csv to hand on.
        layers: Most places on the main path to hand on, spread over the depth; 0 for all.
    """
    depths = sorted({row[_DEPTH] for row in rows})
    kept = [row for row in rows if row[_DEPTH] in _spread(depths, layers or len(depths))]
    places = {_NAMES.get(column, column): COLUMNS.index(column) for column in columns}
    digits = max(2, len(str(depths[-1]))) if depths else 2
    return {
        f"{name}/{_label(row, digits)}": float(row[place])
        for name, place in places.items()
        for row in kept
        if row[place] is not None
    }


def step_series(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the measured ones of a step's metrics under their names in metrics.csv."""
    return {name: float(value) for name, value in metrics.items() if name != "step" and value is not None}


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested plain dictionaries as one with dotted keys; lists become JSON.

    Args:
        content: A config, or a part of run.json.
        prefix: What every key begins with.
    """
    return dict(_flat(content, prefix))


def findings(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what run.json says in words and numbers: status, steps, metrics by name, and verdicts."""
    found = record.get("verdicts") or ()
    verdicts = {f"verdict_{item['when']}": item["sentence"] for item in found}
    if cause := next((item for item in found if item.get("root_cause")), None):
        verdicts["root_cause"] = cause["sentence"]
    measured = {name: value for name, value in (record.get("metrics") or {}).items() if value is not None}
    known = {name: record[name] for name in ("status", "steps", "seconds", "error") if name in record}
    return known | measured | verdicts | flattened({"lr_range": record["lr_range"]} if record.get("lr_range") else {})


def _label(row: Sequence[Any], digits: int) -> str:
    role = "" if row[_ROLE] == "main" else f".{row[_ROLE]}"
    return f"{row[_DEPTH]:0{digits}d}_{row[_LAYER]}{role}"


def _spread(depths: Sequence[int], most: int) -> set[int]:
    """Return at most so many depths, the first, the last hidden one and the head among them."""
    if most >= len(depths):
        return set(depths)
    hidden = depths[:-1]
    gaps = max(1, most - 2)
    return {hidden[round(place * (len(hidden) - 1) / gaps)] for place in range(gaps + 1)} | {depths[-1]}


def _flat(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value if isinstance(value, bool | int | float | str) else json.dumps(value, default=str)
