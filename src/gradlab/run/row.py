"""Row of one run in the summary of a sweep: overrides, status, and initial, final and best values."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException

from gradlab.artifacts.read import read_columns
from gradlab.artifacts.record import UNFINISHED, read_run, unreadable
from gradlab.diagnosis.flow import FLOW
from gradlab.diagnosis.verdict import root_cause
from gradlab.errors import one_line

_NESTED = 3000  # brackets, dashes and question marks, each of which may open a level
_BEST = {"eval_accuracy": max, "eval_loss": min, "train_loss": min}
MEASURED = (
    "seconds", *_BEST, *(f"best_{name}" for name in _BEST),
    *(f"{figure}_{when}" for figure in ("gradient_ratio", "decades_per_layer") for when in ("initial", "final")),
)  # fmt: skip
RESULTS = ("seed", "job", "status", "hidden_layers", "steps", *MEASURED, "verdict_initial", "verdict_final", "error")

# Parsing the whole file takes fifty times as long, and a sweep may have thousands.
_JOB = re.compile(r"^  job:\n(?:    .*\n)*?    num: (\d+)$", re.MULTILINE)


def read_row(run: Path, *, name: str) -> dict[str, str]:
    """Return a run's row of the summary, as column name to text of the cell; "" is not measured.

    Args:
        run: The run's folder.
        name: The run's name in the summary.

    Returns:
        ``run``, the overrides by key, ``RESULTS``, and columns that only some runs have, such as ``lr_suggested``. A
        run whose run.json is missing or broken has the status ``unfinished`` and an ``error``.

    Raises:
        ValueError: The list of overrides is broken.
    """
    overrides = dict(read_overrides(run))
    seed = overrides.pop("seed", None)
    record: Mapping[str, Any] = read_run(run) or {"status": UNFINISHED, "error": unreadable(run)}
    cells: dict[str, Any] = overrides | {"run": name, "seed": record.get("seed", seed), "status": record.get("status")}
    cells |= {name: record.get(name) for name in ("steps", "seconds", "hidden_layers", "error")}
    cells["job"] = read_job(run)
    cells |= dict(record.get("metrics") or {}) | _best(run)
    if search := record.get("lr_range"):
        cells["lr_suggested"] = search.get("suggestion")
    if cause := root_cause(record.get("verdicts")):
        cells["verdict_final"] = cause["name"]
    for verdict in record.get("verdicts") or ():
        axis = verdict.get("over", "depth")
        if verdict["name"] not in FLOW:
            continue
        cells.setdefault(f"verdict_{verdict['when']}" + ("" if axis == "depth" else f"_{axis}"), verdict["name"])
    order = ("run", *overrides, *RESULTS)
    return {key: text(cells.get(key)) for key in (*order, *(key for key in cells if key not in order))}


def override_keys(columns: Sequence[str]) -> list[str]:
    """Return the columns that are overrides, which lie between the run's name and its seed."""
    return list(columns[1 : columns.index(RESULTS[0])]) if RESULTS[0] in columns else []


def read_overrides(run: Path) -> list[tuple[str, Any]]:
    """Return a run's overrides as (key, typed value); none for a run without Hydra.

    Raises:
        ValueError: The list of overrides is broken.
    """
    try:
        lines = _load_yaml(run / ".hydra" / "overrides.yaml")
    except OSError:
        return []
    if not isinstance(lines, list | None):
        raise ValueError(f"{run}: .hydra/overrides.yaml is broken: it is not a list")
    return [_typed(str(line)) for line in lines or ()]


def read_value(run: Path, key: str) -> str:
    """Return a run's option or value for a key that it did not override; "" if its config has no such key."""
    try:
        value: Any = _load_yaml(run / ".hydra" / "config.yaml")
        for part in key.split("."):
            value = value[part] if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            value = _load_yaml(run / ".hydra" / "hydra.yaml")["hydra"]["runtime"]["choices"].get(key)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return text(value)


def read_job(run: Path) -> int | None:
    """Return the number that Hydra gave a run in its sweep and prints as ``#3``; None if there is none on record."""
    try:
        found = _JOB.search((run / ".hydra" / "hydra.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return int(found[1]) if found else None


def text(value: Any) -> str:
    """Return a value as the text of a cell in one line, such as ``true``, ``0.1`` or ``relu``; None becomes ""."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else " ".join(str(value).split("\n"))


@cache  # the runs of a sweep share most of their overrides
def _typed(override: str) -> tuple[str, Any]:
    """Return key and value of an override as Hydra reads them; a collection stays text."""
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        key, _, value = override.partition("=")
        return key.lstrip("+~"), value
    value = parsed.value()
    if value is None or isinstance(value, list | dict):
        value = parsed.get_value_element_as_str(space_after_sep=True)
    return parsed.get_key_element().lstrip("+~"), value.text if isinstance(value, QuotedString) else value


def _load_yaml(path: Path) -> Any:
    try:
        content = path.read_text(encoding="utf-8")
        # libyaml is ten times as fast as PyYAML's own parser, and a large sweep has thousands of files. But it ends the
        # process where a file is nested some ten thousand deep, at which PyYAML's own parser raises an error.
        flat = sum(map(content.count, "[{?-")) < _NESTED
        return yaml.load(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader) if flat else yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not YAML: {one_line(error)}") from error


def _best(run: Path) -> dict[str, float]:
    """Return the best finite values of metrics.csv as ``best_NAME``; none if the table is missing or broken."""
    try:
        columns = read_columns(run / "metrics.csv", tuple(_BEST))
        series = {name: [float(cell) for cell in cells if cell] for name, cells in columns.items()}
    except (OSError, ValueError):
        return {}
    finite: dict[str, Sequence[float]] = {name: [x for x in values if isfinite(x)] for name, values in series.items()}
    return {f"best_{name}": _BEST[name](values) for name, values in finite.items() if values}
