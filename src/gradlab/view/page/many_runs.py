"""The page of a sweep."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradlab.artifacts.record import RunRecord
from gradlab.view.digest import detail, digest
from gradlab.view.format import condition
from gradlab.view.page.answer import answer
from gradlab.view.page.render import NAME, cell, figure, write_page
from gradlab.view.sweep_figures import Drawing
from gradlab.view.sweeps import Metric, Sweep, in_order

_OVERLAY = "gradient_flow"  # stands beside the best config and the worst
# Beside the swept keys; the others come with a tick.
_SHOWN = (
    "seed", "status", "error", "verdict_final", "verdict_final_time", "eval_accuracy", "eval_loss", "train_loss",
    "gradient_ratio_initial", "gradient_ratio_final", "seconds",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RemedySection:
    """The section of a remedies sweep.

    Attributes:
        headline: The best remedy, in words.
        headings: Of the table's columns.
        rows: For each remedy its kind, why it may help, and its cells.
        note: How the table was made.
        figure: The figure; None without one.
    """

    headline: str
    headings: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]
    note: str
    figure: Drawing | None


def write_sweep_page(
    folder: Path,
    sweep: Sweep,
    *,
    records: Sequence[RunRecord],
    drawings: Sequence[Drawing],
    metric: Metric | None,
    remedies: RemedySection | None = None,
    effects: Sequence[tuple[str, str]] = (),
) -> dict[Path, str]:
    """Write ``report.html`` into a sweep's folder.

    Args:
        folder: The folder.
        sweep: The runs.
        records: Content of each one's run.json, as far as it can be read.
        drawings: Figures to put in.
        metric: What configs are compared by; None where nothing was measured.
        remedies: What a remedies sweep found.
        effects: What each choice of a full grid does: ``alone``, on ``average`` or in a ``pair``, and the sentence.

    Returns:
        The runs whose tables cannot be read, and why: they are listed without their gradient flow.
    """
    depth = detail(len(sweep.table))
    runs, broken = [], {}
    for run, record in zip(sweep.folders, records, strict=True):
        try:
            flow = digest(run, detail=depth)
        except (OSError, ValueError) as error:
            flow, broken[run] = {}, str(error)
        said = answer(record)
        remedy = said.remedies[0].overrides if said.remedies else ""
        brief = {"kind": said.kind, "headline": said.headline, "sentences": said.sentences, "cause": said.cause}
        runs.append({"flow": flow, "answer": {**brief, "remedy": remedy}})
    # The page has a grid of its own, for any two keys.
    shown = [one for one in drawings if not one.path.stem.startswith(("grid_", _OVERLAY))]
    overlay = next((figure(one.path, one.places) for one in drawings if one.path.stem == _OVERLAY), None)
    content = {
        "title": sweep.name,
        "endings": [(count, status) for status, count in Counter(sweep.table["status"]).most_common()],
        "swept": [(key, _listed(in_order(list(sweep.table[key])))) for key in sweep.swept],
        "fixed": list(sweep.fixed.items()),
        "ends": _ends(sweep, metric, records) if metric and remedies is None else [],
        "single": False,
        "figures": [figure(one.path, one.places) for one in shown],
        "remedies": remedies,
        "effects": {kind: [text for own, text in effects if own == kind] for kind in dict(effects)},
        "remedy_figure": figure(remedies.figure.path, remedies.figure.places) if remedies and remedies.figure else None,
        "overlay": overlay,
        "answer": None,
        "data": _data(sweep, runs, metric=metric),
    }
    write_page(folder / NAME, content)
    return broken


def _data(sweep: Sweep, runs: Sequence[Mapping[str, Any]], *, metric: Metric | None) -> dict[str, Any]:
    """Return what the script works on."""
    table = sweep.table
    always = ("run", "seed", "job", "status", "error")
    empty = [column for column in table.columns if (table[column].isna() | (table[column] == "")).all()]
    columns = [column for column in table.columns if column in always or column not in empty]
    metrics = sorted(sweep.metrics, key=lambda one: one != metric)
    return {
        "columns": columns,
        "shown": [*sweep.swept, *(column for column in _SHOWN if column in columns and column not in empty)],
        "swept": sweep.swept,
        "labels": sweep.labels,
        "metrics": [
            {"column": one.column, "label": one.label, "better": one.better, "log": one.log} for one in metrics
        ],
        "rows": [[cell(value) for value in row] for row in table[columns].itertuples(index=False)],
        "runs": list(runs),
        "single": False,
    }


def _ends(sweep: Sweep, metric: Metric, records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return the best config and the worst, or the only one, with the run of the median seed and what is said of it."""
    order, values = sweep.ranked(metric), sweep.values(metric)
    found = []
    ends = (("best", order[0]), ("worst", order[-1])) if len(order) > 1 else (("median", order[0]),)
    for kind, (name, rows) in ends:
        typical = sweep.typical(rows, metric)
        said = answer(records[typical])
        measured = values.iloc[rows].dropna()
        words = [f"{condition(measured.median(), digits=3)} {metric.label}"] if measured.size else []
        value = "; ".join([*words, *_endings(sweep, rows)])
        found.append({"kind": kind, "label": name, "value": value, "answer": said, "row": typical})
    return found


def _endings(sweep: Sweep, rows: NDArray[np.int64]) -> list[str]:
    counts = Counter(sweep.table["status"].iloc[rows])
    return [f"{count} of {len(rows)} {status}" for status, count in counts.items() if status != "completed"]


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) if len(values) <= 8 else f"{', '.join(values[:3])} … {values[-1]}: {len(values)} values"
