"""The page of one run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gradlab.artifacts.record import RunRecord
from gradlab.view.digest import Detail, digest
from gradlab.view.format import label
from gradlab.view.page.render import NAME, cell, figure, story, write_page

_WHOLE = Detail(lines=4, layers=400, points=400)
_LEFT_OUT = "gradient_flow"  # the page draws it itself, with values to point at


def write_run_page(
    run: Path,
    *,
    row: Mapping[str, str],
    overrides: Mapping[str, str],
    record: RunRecord,
    figures: Sequence[Path],
) -> Path:
    """Write ``report.html`` into a run's folder.

    Args:
        run: The folder.
        row: The run's row of a summary.
        overrides: Those of its cells that are overrides.
        record: Content of its run.json.
        figures: Its figures; those that are SVG are put in.

    Raises:
        ValueError: A table is broken.
    """
    data = {
        "columns": list(row), "shown": [], "swept": [], "metrics": [], "single": True,
        "labels": [label(overrides) or "defaults"],
        "rows": [[cell(value) for value in row.values()]],
        "runs": [{"flow": digest(run, detail=_WHOLE), "verdicts": story(record)}],
    }  # fmt: skip
    content = {
        "title": row["run"],
        "endings": [(1, row["status"])],
        "swept": [],
        "fixed": list(overrides.items()),
        "ends": [],
        "single": True,
        "remedies": None,
        "effects": {},
        "figures": [figure(path) for path in figures if path.suffix == ".svg" and path.stem != _LEFT_OUT],
        "data": data,
    }
    write_page(run / NAME, content)
    return run / NAME
