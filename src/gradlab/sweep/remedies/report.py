"""What is made of the files of a remedies sweep: its tables, its figure, and its section of the report."""

from collections.abc import Sequence
from math import inf
from pathlib import Path

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
    """Write tables and figure of a remedies sweep, and return its section of the report.

    Args:
        folder: Where they go.
        source: The sweep's folder, with the plan and the runs.

    Raises:
        ValueError: The plan or a table is broken.
    """
    outcomes = read_outcomes(source, read_plan(source))
    write_tables(folder, outcomes)
    rows = [(one.trial.kind, one.trial.reason, line(one)) for one in outcomes]
    return RemedySection(headline=headline(outcomes), headings=HEADINGS, rows=rows, note=NOTE,
                         figure=_draw(folder, source, outcomes))  # fmt: skip


def headline(outcomes: Sequence[Outcome]) -> str:
    """Say which remedy is the best, what it does to the loss and to the gradient, and how many are in its tier."""
    base = next((one for one in outcomes if one.trial.kind == "base"), None)
    remedies = [one for one in outcomes if one.completed and one.trial.kind in ("single", "pair")]
    if base is None or not remedies:
        return "No remedy completed"
    best = remedies[0]
    was = f"{short(base.loss)} as it is" if base.completed else f"as it is {base.status}"
    gradient = f", gradient ratio {best.gained:+.1f} decades nearer 1" if abs(best.gained) < inf else ""
    share = sum(one.tier == best.tier for one in remedies) - 1
    others = f" ({share} more in its tier)" if share else ""
    return f"Best is {best.trial.name}{others}: loss {short(best.loss)} ({was}){gradient}"


def _draw(folder: Path, source: Path, outcomes: Sequence[Outcome]) -> Drawing | None:
    """Draw the gradient flow of the net as it is and of each remedy and pair."""
    lines = []
    for one in outcomes:
        runs = [source / name for name in one.trial.folders if (source / name / "gradients.csv").exists()]
        flow = read_flow(runs) if one.trial.kind != "random" else None
        if flow is not None and flow.places.size > 1:
            lines.append(Line(one.trial.name, flow, base=one.trial.kind == "base"))
    if not lines:
        return None
    over = "time step" if any(source.glob(f"*/{TIMES}")) else "layer (depth_index)"
    caption = "Median over seeds. In colour: the remedies of lowest loss; grey: the others; black: the net as it is."
    (folder / "figures").mkdir(exist_ok=True)
    with style.look():
        sheet = remedy_flow(lines, title=headline(outcomes), caption=caption, over=over)
        return Drawing(path=sheet.save(folder / "figures", FIGURE)[1], places=sheet.places())
