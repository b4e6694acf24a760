"""Comparison of the tables of two runs, and the first cell at which they differ.

Tables store floats as their shortest round-trip text, so equal texts are equal bits.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradlab.errors import GradlabError, one_line

IDENTICAL, ROUNDING, VALUE, NOTHING_SHARED = "identical", "rounding", "value", "nothing shared"
KINDS = (IDENTICAL, ROUNDING, VALUE, NOTHING_SHARED)  # from the smallest to the largest difference
FIRST = ("gradients.csv", "metrics.csv", "timesteps.csv")  # listed before the other tables
_KEYS = ("step", "depth_index", "layer", "role", "time", "lag", "head")
# A relative difference of values near zero is meaningless, so these are divided by their column's largest magnitude.
_SIGNED = ("activation_mean", "weight_grad_cosine", "grad_cosine", "grad_log10_p5", "grad_log10_p50", "grad_log10_p95")


def compare_tables(one: Path, other: Path, *, tolerance: float) -> list[dict[str, Any]]:
    """Compare each table that at least one of two runs has.

    Args:
        one: A run's folder.
        other: The other run's folder.
        tolerance: Largest relative difference that counts as rounding.

    Returns:
        For each table a dictionary with the keys

        - ``table``: its file name;
        - ``kind``: kind of its largest difference (identical, rounding, value, or nothing shared);
        - ``rows``, ``cells``: numbers of rows in both and of cells measured in both;
        - ``differing``, ``largest``: number of differing cells, and the largest relative difference;
        - ``first``, ``first_value``: the first differing cell, and the first that differs by more than rounding, each
          None or ``step, layer, depth_index, column, one, other, relative`` with further keys of the table;
        - ``only_one``, ``only_other``: numbers of rows in one run only;
        - ``only``: for each key the values in one run only.

    Raises:
        GradlabError: A table is broken.
    """
    names = {path.name for folder in (one, other) for path in folder.glob("*.csv")}
    order = [*(name for name in FIRST if name in names), *sorted(names.difference(FIRST))]
    return [{"table": name} | _compare(_read(one / name), _read(other / name), tolerance=tolerance) for name in order]


def worst(kinds: Sequence[str]) -> str:
    """Return the kind of the largest difference among several."""
    return max(kinds, key=KINDS.index, default=IDENTICAL)


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame()
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise GradlabError(f"{path}: {one_line(error)}") from error
    keys = [name for name in _KEYS if name in table]
    table["occurrence"] = table.groupby(keys).cumcount() if keys else range(len(table))
    return table.set_index([*keys, "occurrence"])


def _compare(one: pd.DataFrame, other: pd.DataFrame, *, tolerance: float) -> dict[str, Any]:
    same_keys = list(one.index.names) == list(other.index.names)
    shared = one.index[one.index.isin(other.index)] if same_keys else one.index[:0]
    columns = [name for name in one.columns if name in other.columns]
    texts = [table.loc[shared, columns].to_numpy(dtype=object) for table in (one, other)] if len(shared) else []
    result: dict[str, Any] = {"kind": NOTHING_SHARED, "rows": len(shared), "cells": 0, "differing": 0, "largest": 0.0}
    result |= {"first": None, "first_value": None}
    result |= {"only_one": len(one) - len(shared), "only_other": len(other) - len(shared)}
    result["only"] = {} if not same_keys else _only(one.index, other.index)
    if not texts:
        return result
    measured = (texts[0] != "") & (texts[1] != "")
    differing = measured & (texts[0] != texts[1])
    relative = _relative(texts, differing, columns)
    result |= {"cells": int(measured.sum()), "differing": int(differing.sum()), "kind": IDENTICAL}
    if differing.any():
        result["kind"] = VALUE if (relative > tolerance).any() else ROUNDING
        result["largest"] = float(relative.max())
        result["first"] = _first_cell(differing, shared, columns, texts, relative)
        if result["kind"] == VALUE:
            result["first_value"] = _first_cell(relative > tolerance, shared, columns, texts, relative)
    return result


def _relative(texts: Sequence[Any], differing: NDArray[np.bool_], columns: Sequence[str]) -> NDArray[np.float64]:
    """Return the relative differences (rows, columns): 0 for equal cells, inf if one of the two is not finite."""
    one, other = (np.array([[_number(cell) for cell in row] for row in table], dtype=float) for table in texts)
    scale = np.fmax(np.abs(one), np.abs(other))
    for place, name in enumerate(columns):
        if name in _SIGNED:
            finite = scale[:, place][np.isfinite(scale[:, place])]
            scale[:, place] = finite.max(initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(one == other, 0.0, np.abs(one - other) / scale)  # 0.0 and -0.0 are equal but not identical
    return np.where(differing, np.where(np.isfinite(relative), relative, np.inf), 0.0)


def _number(cell: str) -> float:
    try:
        return float(cell) if cell else np.nan
    except ValueError:
        return np.nan


def _first_cell(
    where: NDArray[np.bool_],
    rows: pd.Index,
    columns: Sequence[str],
    texts: Sequence[Any],
    relative: NDArray[np.float64],
) -> dict[str, Any]:
    """Return the first cell, by row and then by column, at which a condition is true."""
    row, column = (int(place[0]) for place in np.nonzero(where))
    keys = dict(zip(map(str, rows.names), rows[row], strict=True))
    return {
        **{name: _plain(value) for name, value in keys.items() if name != "occurrence"},
        "column": columns[column],
        "one": texts[0][row, column],
        "other": texts[1][row, column],
        "relative": float(relative[row, column]),
    }


def _only(one: pd.Index, other: pd.Index) -> dict[str, dict[str, list[Any]]]:
    """Return for each key, such as step and layer, the values that only one of two tables has."""
    unshared = {}
    for name in map(str, one.names):
        values = [dict.fromkeys(index.get_level_values(name)) for index in (one, other)]
        alone = [[_plain(value) for value in values[i] if value not in values[1 - i]] for i in (0, 1)]
        if name != "occurrence" and any(alone):
            unshared[name] = {"one": alone[0], "other": alone[1]}
    return unshared


def _plain(value: str) -> Any:
    return int(value) if value.lstrip("-").isdigit() else value
