"""Report of a remedies sweep from its files: tables, figure, and section of the page."""

from collections.abc import Sequence
from math import inf
from pathlib import Path

from gradlab.config.run_name import find_folder
from gradlab.sweep.remedies.outcomes import Outcome, read_outcomes
from gradlab.sweep.remedies.plan import read_plan
from gradlab.sweep.remedies.table import HEADINGS, NOTE, line, write_tables
from gradlab.view import style
from gradlab.view.format import short
from gradlab.view.page.many_runs import RemedySection
from gradlab.view.remedies import Line, read_flow, remedy_flow
from gradlab.view.sweep_figures import Drawing
from gradlab.view.timesteps import FILE as TIMES

FIGURE = "remedy_flow"


def write_study(folder: Path, source: Path) -> RemedySection:
    """Write the tables and the figure of a remedies sweep, and return its section of the report.

    Args:
        folder: The folder for these files.
        source: The sweep's folder, with the plan and the runs.

    Raises:
        ValueError: The plan or a table is broken.
    """
    outcomes = read_outcomes(source, read_plan(source))
    write_tables(folder, outcomes)
    rows = [(item.trial.kind, item.trial.reason, line(item)) for item in outcomes]
    return RemedySection(headline=headline(outcomes), headings=HEADINGS, rows=rows, note=NOTE,
                         figure=_draw(folder, source, outcomes))  # fmt: skip


def headline(outcomes: Sequence[Outcome]) -> str:
    """Return one sentence on the best remedy: its loss, the change of the gradient ratio, and the size of its tier."""
    base = next((item for item in outcomes if item.trial.kind == "base"), None)
    remedies = [item for item in outcomes if item.completed and item.trial.kind in ("single", "pair")]
    if base is None or not remedies:
        return "No remedy completed"
    best = remedies[0]
    before = f"{short(base.loss)} as it is" if base.completed else f"as it is {base.status}"
    gradient = f", gradient ratio {best.gained:+.1f} decades nearer 1" if abs(best.gained) < inf else ""
    count = sum(item.tier == best.tier for item in remedies) - 1
    others = f" ({count} more in its tier)" if count else ""
    return f"Best is {best.trial.name}{others}: loss {short(best.loss)} ({before}){gradient}"


def _draw(folder: Path, source: Path, outcomes: Sequence[Outcome]) -> Drawing | None:
    """Draw the gradient flow of the unchanged net and of each remedy and pair; None if nothing was recorded."""
    lines = []
    for item in outcomes:
        places = [find_folder(source, name) for name in item.trial.folders]
        runs = [place for place in places if (place / "gradients.csv").exists()]
        flow = read_flow(runs) if item.trial.kind != "random" else None
        if flow is not None and flow.places.size > 1:
            lines.append(Line(item.trial.name, flow, base=item.trial.kind == "base"))
    if not lines:
        return None
    over = "time step" if any(source.glob(f"*/{TIMES}")) else "layer (depth_index)"
    caption = "Median over seeds. In colour: the remedies of lowest loss; grey: the others; black: the net as it is."
    (folder / "figures").mkdir(exist_ok=True)
    with style.look():
        sheet = remedy_flow(lines, title=headline(outcomes), caption=caption, over=over)
        return Drawing(path=sheet.save(folder / "figures", FIGURE)[1], places=sheet.places())
