"""A sweep's folder as a Python object: its runs, their tables, the best of them, and figures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import inf
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from gradlab.api import html
from gradlab.api.one_run import Run
from gradlab.artifacts.folders import require_runs
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
    """The runs at any depth below a folder. `gradlab.sweep` and `gradlab.load` return it.

    Its tables are made from the files of the runs, like ``summary.csv``, when they are first asked for, and kept;
    `gradlab.load` reads them again. Iterating over it yields its runs.

    Args:
        folder: The folder of a sweep, or of several.

    Raises:
        GradlabError: It is not there or holds no run.

    Attributes:
        folder: The folder.
        runs: Its runs, ordered by the names of their folders.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        self.runs: Sequence[Run] = [Run(run) for run in require_runs(self.folder)]

    def __len__(self) -> int:
        """The number of runs."""
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        """The runs, one by one."""
        return iter(self.runs)

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """The table of ``summary.csv``, one row for each run; what was measured as floats, the rest as texts.

        Runs whose files are broken have no row.
        """
        return self._table.table

    @cached_property
    def by_config(self) -> "pd.DataFrame":
        """The table of ``summary_by_config.csv``: runs that differ in their seed only share a row, by median."""
        import pandas as pd

        from gradlab.sweep.summary import aggregate

        columns, rows = aggregate(self._summary.columns, self._summary.rows)
        table = pd.DataFrame(rows, columns=columns)
        for column in columns[columns.index("n") :]:
            if not column.startswith("verdict_"):
                table[column] = pd.to_numeric(table[column], errors="coerce")
        return table

    def best(self, metric: str = "") -> Run:
        """Return the best of the runs that completed; the first of several that are equally good.

        One run may be best by luck: `by_config` and the figure ``ranking`` compare medians over seeds.

        Args:
            metric: Column of `summary`: eval_accuracy, eval_loss, train_loss, gradient_ratio_final or
                gradient_ratio_initial, whose best value is 1; by default the first of them that was measured.

        Raises:
            GradlabError: No completed run has a finite value of it.
        """
        chosen = self._metric(metric)
        score = chosen.score(self._table.values(chosen))
        return Run(self._table.folders[int(score.argmax())])

    @property
    def figures(self) -> list[str]:
        """The names of the figures that `plot` can draw."""
        from gradlab.view.sweep_figures import figures_of

        return figures_of(self._table, alike=self._alike)

    def plot(self, name: str = "ranking", *, metric: str = "") -> "Figure":
        """Return a figure of the sweep; no file is written.

        Args:
            name: One of `figures`.
            metric: What configs are compared by, as for `best`.

        Raises:
            GradlabError: The sweep has no such figure or metric; the message lists those that it has.
        """
        from gradlab.view.sweep_figures import figure_of

        chosen = self._metric(metric) if metric else None
        return html.visible(figure_of(self._table, name, metric=chosen, alike=self._alike))

    def explain(self) -> "Explanation":
        """Return what was wrong with each run, and how often, as `gradlab.explain` does."""
        from gradlab.api.explain import explain

        return explain(self)

    def __fspath__(self) -> str:
        """Its folder, wherever a path is wanted."""
        return str(self.folder)

    def __repr__(self) -> str:
        """One line: the folder, and how many runs ended in which way."""
        counts = Counter(run.status for run in self.runs)
        endings = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        return f"<gradlab sweep {self.folder}: {len(self.runs)} runs: {endings}>"

    def _repr_html_(self) -> str:
        """The table of configs and the ranking, for a notebook; it refers to nothing outside itself."""
        first = repr(self).strip("<>")
        table = self.by_config
        shown = [name for name in (*self._table.keys, "n", "verdict_final") if name in table]
        shown += [name for name in (f"{one.column}_median" for one in self._table.metrics[:1]) if name in table]
        rows = table[shown].head(_SHOWN_ROWS).to_html(index=False, border=0)  # which escapes
        more = [f"{len(table)} configs, of which {_SHOWN_ROWS} are shown"] if len(table) > _SHOWN_ROWS else []
        name = next(iter(self.figures), None)
        return html.block([first, *more], table=rows, figure=self.plot(name) if name else None)

    @cached_property
    def _summary(self) -> "Summary":
        from gradlab.sweep.summary import collect

        found = collect([run.folder for run in self.runs])
        if not found.rows:
            raise GradlabError(f"{self.folder}: no run in it can be read: {next(iter(found.skipped.values()))}")
        return found

    @cached_property
    def _table(self) -> "Table":
        from gradlab.view.sweeps import make_sweep

        found = self._summary
        return make_sweep(found.columns, found.rows, found.runs, name=self.folder.resolve().name)

    @property
    def _alike(self) -> bool:
        """Whether the configs can be compared by the keys that were swept: those of a remedies sweep cannot."""
        from gradlab.sweep.remedies.plan import find_plan

        return find_plan([run.folder for run in self.runs]) is None

    def _metric(self, name: str) -> "Metric":
        known = {one.column: one for one in self._table.metrics}
        measured = [one for one in known.values() if one.score(self._table.values(one)).max() > -inf]
        chosen = next((one for one in measured if name in ("", one.column)), None)
        if chosen is None:
            hint = did_you_mean(closest(name, known)) if name else ""
            names = ", ".join(one.column for one in measured) or "none"
            raise GradlabError(
                f"{self.folder}: no completed run has the metric {name or 'asked for'}{hint}: it has {names}"
            )
        return chosen
