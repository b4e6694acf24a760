"""The ranking of remedies as files and as text: ``remedies.csv`` for programs, ``remedies.md`` for readers."""

import csv
from collections.abc import Sequence
from math import isfinite, isnan
from pathlib import Path
from typing import cast

from gradlab.artifacts.atomic import replacing
from gradlab.borders import markdown_cell, table_cell
from gradlab.sweep.remedies.outcomes import Outcome, decades
from gradlab.view.format import short

CSV, MARKDOWN = "remedies.csv", "remedies.md"
COLUMNS = (
    "rank", "tier", "remedy", "kind", "strategy", "overrides", "status", "loss", "loss_measured", "loss_low",
    "loss_high", "accuracy", "gradient_ratio_initial", "gradient_ratio_final", "decades_initial", "decades_final",
    "decades_gained", "verdict", "runs", "reason", "source",
)  # fmt: skip
HEADINGS = ("", "tier", "remedy", "override", "loss", "84% interval", "accuracy", "gradient ratio, step 0", "last step",
            "decades nearer 1", "verdict")  # fmt: skip
NOTE = (
    "Ranked by the median over seeds of the mean training loss in the last quarter of equal steps. A tier is its best "
    "and all whose intervals overlap the best's or lie less than 2% from it: 84% intervals, of which two that do not "
    "overlap differ at 5%, bootstrapped over seeds and over the recorded steps within each. What is not 2% better "
    "than guessing shares the last tier. Where a few confident errors make the loss of a run worse than guessing's "
    "although its accuracy is better, the run is ranked by the loss of a net that is as sure as it is accurate; the "
    "measured loss stands beside it. Decades nearer 1: of the gradient ratio at step 0, against the config as it is."
)


def write_tables(folder: Path, outcomes: Sequence[Outcome]) -> str:
    """Write ``remedies.csv`` and ``remedies.md`` into a folder, and return the Markdown text.

    Args:
        folder: The folder.
        outcomes: The outcomes, from the best to the worst.
    """
    with replacing(folder / CSV) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, cast(Sequence[str], COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: table_cell(str(cell)) for key, cell in _cells(item).items()} for item in outcomes)
    rows = [HEADINGS, *(line(item) for item in outcomes)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    text = "\n".join([lines[0], rule, *lines[1:], "", NOTE])
    with replacing(folder / MARKDOWN) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return text


def _cells(outcome: Outcome) -> dict[str, object]:
    """Return an outcome's row of the CSV, with empty cells for values that were not measured."""
    trial = outcome.trial
    numbers = {
        "loss": outcome.loss, "loss_measured": outcome.measured, "loss_low": outcome.low,
        "loss_high": outcome.high, "accuracy": outcome.accuracy,
        "gradient_ratio_initial": outcome.ratio_initial, "gradient_ratio_final": outcome.ratio_final,
        "decades_initial": decades(outcome.ratio_initial), "decades_final": decades(outcome.ratio_final),
        "decades_gained": outcome.gained,
    }  # fmt: skip
    return {
        "rank": outcome.rank, "tier": outcome.tier, "remedy": trial.name, "kind": trial.kind,
        "strategy": trial.strategy,
        "overrides": " ".join(trial.overrides), "status": outcome.status, "verdict": outcome.verdict,
        "runs": len(trial.folders), "reason": trial.reason, "source": trial.source,
        **{name: "" if isnan(value) else repr(value) for name, value in numbers.items()},
    }  # fmt: skip


def line(outcome: Outcome) -> tuple[str, ...]:
    """Return an outcome's row of the Markdown table; without a rank, the status takes the place of the loss."""
    name, overrides = outcome.trial.name, " ".join(f"`{text}`" for text in outcome.trial.overrides)
    shown = (
        _short(outcome.accuracy), _short(outcome.ratio_initial, 2), _short(outcome.ratio_final, 2),
        _signed(outcome.gained),
    )  # fmt: skip
    if outcome.rank is None:
        return ("", "", name, overrides, markdown_cell(outcome.status), "", *shown, outcome.verdict)
    remarks = [f"measured {_loss(outcome.measured)}"] if outcome.measured != outcome.loss else []
    remarks += [outcome.status] if outcome.status != "completed" else []
    loss = f"{_loss(outcome.loss)} ({', '.join(remarks)})" if remarks else _loss(outcome.loss)
    ends = f"{_loss(outcome.low)} to {_loss(outcome.high)}"
    return (str(outcome.rank), str(outcome.tier), name, overrides, loss, ends, *shown, outcome.verdict)


def _loss(value: float) -> str:
    # Four digits above 1, because losses of nets that do not learn differ in the fourth digit at most.
    return short(value, digits=4 if value > 1 else 3)


def _short(value: float, digits: int = 3) -> str:
    return "" if isnan(value) else short(value, digits=digits)


def _signed(value: float) -> str:
    return f"{value:+.1f}" if isfinite(value) else "" if isnan(value) else f"{value:+}"
