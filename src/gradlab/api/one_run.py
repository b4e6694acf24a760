"""A run's folder as a Python object: frames, plain objects and figures, read from its files when asked for."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradlab.api import html
from gradlab.artifacts.folders import require_run
from gradlab.artifacts.record import RunRecord, read_or_unfinished
from gradlab.diagnosis.verdict import VerdictRecord, root_cause
from gradlab.errors import GradlabError, one_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gradlab.api.explain import Explanation


class Run:
    """One run, finished or not, whoever did it. `gradlab.run` and `gradlab.load` return it.

    Files are read when they are first asked for, and kept; `gradlab.load` reads them again. It can be pickled.

    Args:
        folder: The run's folder.

    Raises:
        GradlabError: It is not there or holds no run.

    Attributes:
        folder: The run's folder.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        require_run(self.folder)

    @cached_property
    def record(self) -> RunRecord:
        """The content of run.json; ``{"status": "unfinished"}`` where there is none that can be read."""
        return read_or_unfinished(self.folder)

    @property
    def status(self) -> str:
        """``completed``, ``diverged``, ``failed``, ``interrupted``, or ``unfinished``: under way, or killed."""
        return self.record["status"]

    @property
    def verdicts(self) -> list[VerdictRecord]:
        """The verdicts of run.json, the initial ones first; none before the run's end."""
        return self.record.get("verdicts") or []

    @property
    def root_cause(self) -> str | None:
        """Name of the verdict that explains the others; None where nothing is wrong, or not known yet."""
        cause = root_cause(self.verdicts)
        return cause["name"] if cause else None

    @cached_property
    def gradients(self) -> "pd.DataFrame":
        """gradients.csv, one row for each recorded step and layer; no rows where nothing was recorded.

        A cell that was not measured and one that is not a number are both NaN here.
        """
        from gradlab.probe.columns import COLUMNS  # nothing else of `probe`, and no torch

        return self._table("gradients.csv", COLUMNS)

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """metrics.csv, one row for each recorded step; no rows where nothing was recorded."""
        from gradlab.artifacts.tables import METRICS

        return self._table("metrics.csv", METRICS)

    @cached_property
    def timesteps(self) -> "pd.DataFrame":
        """timesteps.csv of a recurrent model, a row for each recorded step, layer and time step; no rows of others."""
        from gradlab.probe.columns import HIDDEN, TIMESTEP_KEYS

        return self._table("timesteps.csv", TIMESTEP_KEYS + HIDDEN)

    def table(self, name: str) -> "pd.DataFrame":
        """Return another table of the run, such as ``neighbours`` or ``lr_range``.

        Args:
            name: Its file name, with or without ``.csv``.

        Raises:
            GradlabError: The run has no such table; the message lists those that it has.
        """
        path = self.folder / f"{name.removesuffix('.csv')}.csv"
        if not path.exists():
            names = ", ".join(sorted(each.stem for each in self.folder.glob("*.csv"))) or "none"
            raise GradlabError(f"{self.folder}: no table {name!r}; it has {names}")
        return self._table(path.name, ())

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed config as plain dictionaries, references filled in; empty for a run of `gradlab.watch`."""
        return dict(self._hydra[0])

    @property
    def overrides(self) -> list[str]:
        """The overrides of its command; none for a run of `gradlab.watch`."""
        return self._hydra[2]

    @cached_property
    def _hydra(self) -> tuple[Mapping[str, Any], Mapping[str, Any], list[str]]:
        from gradlab.api.explain import read_config

        try:
            return read_config(self.folder)
        except ValueError as error:
            raise GradlabError(f"{self.folder}: {error}") from error

    @property
    def figures(self) -> list[str]:
        """The names of the figures that `plot` can draw from the run's files."""
        from gradlab.view.figures import figures_of

        try:
            return figures_of(self.folder)
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise GradlabError(str(error)) from error

    def plot(self, name: str = "gradient_flow") -> "Figure":
        """Return a figure of the run; no file is written.

        Args:
            name: One of `figures`.

        Raises:
            GradlabError: The run has no figure of that name; the message lists those that it has.
        """
        from gradlab.run.draw import caption_of
        from gradlab.view.figures import figure_of

        try:
            return html.visible(figure_of(self.folder, name, caption=caption_of(self.folder)))
        except FileNotFoundError:
            raise GradlabError(f"{self.folder}: no figure {name!r}: nothing was recorded") from None
        except (OSError, ValueError) as error:
            raise GradlabError(str(error)) from error

    def explain(self) -> "Explanation":
        """Return what was wrong, why, and what may help, as `gradlab.explain` does."""
        from gradlab.api.explain import explain

        return explain(self)

    def __fspath__(self) -> str:
        """Its folder, wherever a path is wanted."""
        return str(self.folder)

    def __repr__(self) -> str:
        """One line: the folder, how the run ended, and what it found."""
        parts = [self.status]
        if steps := self.record.get("steps"):
            parts.append(f"{steps} step{'s' if steps > 1 else ''}")
        metrics = self.record.get("metrics") or {}
        parts += [f"{name} {float(metrics[name]):.4g}" for name in _SHOWN if metrics.get(name) is not None]
        parts += [self.root_cause] if self.root_cause else []
        return f"<gradlab run {self.folder}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """The verdict and the gradient flow, for a notebook; it refers to nothing outside itself."""
        lines = [repr(self).strip("<>")]
        if error := self.record.get("error"):
            lines.append(str(error))
        cause = root_cause(self.verdicts)
        lines += [str(verdict["sentence"]) for verdict in ([cause] if cause else self.verdicts[-1:])]
        try:
            shown = next((name for name in ("gradient_flow", "lr_range") if name in self.figures), None)
            figure = self.plot(shown) if shown else None
        except (GradlabError, ValueError) as error:  # a notebook still shows the rest
            figure, lines = None, [*lines, f"no figure: {error}"]
        return html.block(lines, figure=figure)

    def _table(self, name: str, columns: Sequence[str]) -> "pd.DataFrame":
        import pandas as pd

        path = self.folder / name
        if not path.exists():
            return pd.DataFrame(columns=list(columns))
        try:
            texts = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
            raise GradlabError(f"{path}: {one_line(error)}") from error
        return texts.apply(lambda column: column if column.name in _NAMES else _numbers(column))


def _numbers(column: "pd.Series") -> "pd.Series":
    """Return texts as integers, or else as floats, exactly: the parser of some pandas rounds the last digit."""
    import numpy as np
    import pandas as pd

    texts = column.to_numpy(dtype=str)
    for kind in (np.int64, np.float64):
        try:
            return pd.Series(np.where(texts == "", "nan", texts).astype(kind), index=column.index)
        except ValueError:
            continue
    return column


_NAMES = ("layer", "role")  # which may be 0 and 2, and are texts all the same
_SHOWN = ("train_loss", "eval_loss", "eval_accuracy")
