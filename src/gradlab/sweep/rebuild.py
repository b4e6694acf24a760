"""Rebuild the tables, figures and report of a sweep from the files of its runs."""

from collections.abc import Sequence
from pathlib import Path

from gradlab.artifacts.record import UNFINISHED, read_run, unreadable
from gradlab.errors import GradlabError, closest, did_you_mean
from gradlab.sweep.remedies.outcomes import read_outcomes
from gradlab.sweep.remedies.plan import find_plan, read_plan
from gradlab.sweep.remedies.table import write_tables
from gradlab.sweep.summary import SUMMARY, summarize

PAGE = "report.html"


def rebuild(
    folder: Path,
    runs: Sequence[Path],
    *,
    draw: bool = True,
    name: str = "",
    metric: str = "",
    pairs: Sequence[tuple[str, str]] | None = None,
) -> dict[Path, str]:
    """Write ``summary.csv``, ``summary_by_config.csv``, the figures and ``report.html`` of a sweep.

    Args:
        folder: The folder for these files.
        runs: Folders of the runs.
        draw: Whether to draw the figures and write the report as well.
        name: Name of the sweep; by default the name of its folder.
        metric: Column of the summary by which configs are compared; by default the first known metric that was
            measured.
        pairs: Pairs of keys to draw against each other; by default the first three pairs of swept keys.

    Returns:
        Run to reason, for each run that was left out or shown without figures because its files are broken.

    Raises:
        GradlabError: There is no such metric or key, or no run can be read.
    """
    summary = summarize(folder, runs)
    source = find_plan(runs)
    if not draw:
        if source is not None:
            write_tables(folder, read_outcomes(source, read_plan(source)))
        return dict(summary.skipped)
    if not summary.rows:
        raise GradlabError(f"{folder}: no run in it can be read: {next(iter(summary.skipped.values()), 'it is empty')}")
    from gradlab.sweep.effects import find_effects, write_effects
    from gradlab.sweep.remedies.report import write_study
    from gradlab.view.page.many_runs import write_sweep_page
    from gradlab.view.sweep_figures import draw_sweep
    from gradlab.view.sweeps import METRICS, read_sweep

    sweep = read_sweep(folder / SUMMARY, summary.runs, name=name or folder.resolve().name)
    chosen = next((item for item in sweep.metrics if metric in ("", item.column)), None)
    if metric and chosen is None:
        names = [item.column for item in METRICS]
        raise GradlabError(f"metric {metric}: no run has it{did_you_mean(closest(metric, names))}: {', '.join(names)}")
    known = [*sweep.keys, "seed"]
    for key in (key for pair in pairs or () for key in pair):
        if key not in known:
            raise GradlabError(f"key {key} was not swept{did_you_mean(closest(key, known))}: {', '.join(known)}")
    drawings = draw_sweep(sweep, folder, metric=chosen, pairs=pairs, alike=source is None)
    records = [read_run(run) for run in summary.runs]
    broken = {run: unreadable(run) or "" for run, record in zip(summary.runs, records, strict=True) if record is None}
    remedies = write_study(folder, source) if source is not None else None
    effects = find_effects(sweep) if source is None else []
    write_effects(folder, effects)
    unread = write_sweep_page(
        folder,
        sweep,
        records=[record or {"status": UNFINISHED} for record in records],
        drawings=drawings,
        metric=chosen,
        remedies=remedies,
        effects=[(effect.kind, effect.sentence) for effect in effects],
    )
    return {**summary.skipped, **broken, **unread}
