"""The page of one run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gradlab.artifacts.record import RunRecord
from gradlab.view.digest import Detail, digest
from gradlab.view.format import label
from gradlab.view.page.answer import answer
from gradlab.view.page.render import NAME, cell, figure, write_page

_WHOLE = Detail(lines=4, layers=400, points=400, everything=True)
_SHOWN = ("gradient_heatmap", "timestep_heatmap")  # the page draws the others itself, with values to point at


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
        figures: Its figures; the maps among them that are SVG are put in.

    Raises:
        ValueError: A table is broken.
    """
    flow = digest(run, detail=_WHOLE)
    data = {
        "columns": list(row), "shown": [], "swept": [], "metrics": [], "single": True,
        "labels": [label(overrides) or "defaults"],
        "rows": [[cell(value) for value in row.values()]],
        "runs": [{"flow": flow}],
    }  # fmt: skip
    content = {
        "title": row["run"],
        "endings": [(1, row["status"])],
        "swept": [],
        "fixed": list(overrides.items()),
        "ends": [],
        "single": True,
        "answer": answer(record),
        "remedies": None,
        "effects": {},
        "figures": [figure(path) for path in figures if path.suffix == ".svg" and path.stem in _SHOWN],
        "overlay": None,
        "data": data,
    }
    write_page(run / NAME, content)
    return run / NAME
