"""Folder of a sweep as a Python object: its runs, tables, best run and figures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import inf
from os import PathLike
from typing import TYPE_CHECKING

from gradlab.api import html
from gradlab.api.one_run import Run
from gradlab.artifacts.folders import as_folder, require_runs
from gradlab.errors import GradlabError, closest, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gradlab.api.explain import Explanation
    from gradlab.sweep.summary import Summary
    from gradlab.view.sweeps import Metric
    from gradlab.view.sweeps import Sweep as Table

_SHOWN_ROWS = 20


class Sweep:
    """The runs at any depth below a folder, returned by `gradlab.sweep` and `gradlab.load`.

    The tables are computed from the files of the runs on first use, and cached; `gradlab.load` reads the files again.
    Iteration yields the runs.

    Args:
        folder: The folder of a sweep, or of several.

    Raises:
        GradlabError: The folder does not exist or holds no run.

    Attributes:
        folder: The folder.
        runs: The runs, ordered by the names of their folders.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = as_folder(folder)
        self.runs: Sequence[Run] = [Run(run) for run in require_runs(self.folder)]

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        """Iterate over the runs."""
        return iter(self.runs)

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """The table of ``summary.csv``, one row for each run, with measurements as floats and other columns as strings.

        Runs with broken files have no row.
        """
        return self._table.table

    @cached_property
    def by_config(self) -> "pd.DataFrame":
        """The table of ``summary_by_config.csv``, one row for each config, with medians over its seeds."""
        import pandas as pd

        from gradlab.sweep.summary import aggregate

        columns, rows = aggregate(self._summary.columns, self._summary.rows)
        table = pd.DataFrame(rows, columns=columns)
        for column in columns[columns.index("n") :]:
            if not column.startswith("verdict_"):
                table[column] = pd.to_numeric(table[column], errors="coerce")
        return table

    def best(self, metric: str = "") -> Run:
        """Return the best of the completed runs, or the first of several that are equally good.

        One run may be best by chance: `by_config` and the figure ``ranking`` compare medians over seeds.

        Args:
            metric: Column of `summary`: eval_accuracy, eval_loss, train_loss, gradient_ratio_final or
                gradient_ratio_initial (whose best value is 1); by default the first of them that was measured.

        Raises:
            GradlabError: No completed run has a finite value of the metric.
        """
        chosen = self._metric(metric)
        score = chosen.score(self._table.values(chosen))
        return Run(self._table.folders[int(score.argmax())])

    @property
    def figures(self) -> list[str]:
        """Names of the figures that `plot` can draw."""
        from gradlab.view.sweep_figures import figures_of

        return figures_of(self._table, alike=self._alike)

    def plot(self, name: str = "ranking", *, metric: str = "") -> "Figure":
        """Return a figure of the sweep; no file is written.

        Args:
            name: One of `figures`.
            metric: Metric by which configs are compared, as for `best`.

        Raises:
            GradlabError: The sweep has no such figure or metric; the message lists the available ones.
        """
        from gradlab.view.sweep_figures import figure_of

        chosen = self._metric(metric) if metric else None
        return html.visible(figure_of(self._table, name, metric=chosen, alike=self._alike))

    def explain(self) -> "Explanation":
        """Explain the faults of all runs, as `gradlab.explain` does."""
        from gradlab.api.explain import explain

        return explain(self)

    def __fspath__(self) -> str:
        """Return the folder, so that the sweep can be used as a path."""
        return str(self.folder)

    def __repr__(self) -> str:
        """Return one line with the folder and the number of runs with each status."""
        counts = Counter(run.status for run in self.runs)
        endings = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        return f"<gradlab sweep {self.folder}: {len(self.runs)} runs: {endings}>"

    def _repr_html_(self) -> str:
        """Return the table of configs and the ranking as self-contained HTML for a notebook."""
        first = repr(self).strip("<>")
        table = self.by_config
        shown = [name for name in (*self._table.keys, "n", "verdict_final") if name in table]
        shown += [name for name in (f"{metric.column}_median" for metric in self._table.metrics[:1]) if name in table]
        rows = table[shown].head(_SHOWN_ROWS).to_html(index=False, border=0)  # to_html escapes the cells
        more = [f"{len(table)} configs, of which {_SHOWN_ROWS} are shown"] if len(table) > _SHOWN_ROWS else []
        name = next(iter(self.figures), None)
        return html.block([first, *more], table=rows, figure=self.plot(name) if name else None)

    @cached_property
    def _summary(self) -> "Summary":
        from gradlab.sweep.summary import collect

        summary = collect([run.folder for run in self.runs])
        if not summary.rows:
            raise GradlabError(f"{self.folder}: no run in it can be read: {next(iter(summary.skipped.values()))}")
        return summary

    @cached_property
    def _table(self) -> "Table":
        from gradlab.view.sweeps import make_sweep

        summary = self._summary
        return make_sweep(summary.columns, summary.rows, summary.runs, name=self.folder.resolve().name)

    @property
    def _alike(self) -> bool:
        """Whether the configs can be compared by the swept keys, unlike those of a remedies sweep."""
        from gradlab.sweep.remedies.plan import find_plan

        return find_plan([run.folder for run in self.runs]) is None

    def _metric(self, name: str) -> "Metric":
        known = {metric.column: metric for metric in self._table.metrics}
        measured = [metric for metric in known.values() if metric.score(self._table.values(metric)).max() > -inf]
        chosen = next((metric for metric in measured if name in ("", metric.column)), None)
        if chosen is None:
            hint = did_you_mean(closest(name, known)) if name else ""
            names = ", ".join(metric.column for metric in measured) or "none"
            subject = f"the metric {name}" if name else "a finite metric"
            raise GradlabError(f"{self.folder}: no completed run has {subject}{hint or ';'} measured: {names}")
        return chosen
