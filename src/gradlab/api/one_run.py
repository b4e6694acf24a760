"""Folder of a run as a Python object: frames, plain objects and figures, read from its files on first use."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

from gradlab.api import html
from gradlab.artifacts.folders import as_folder, require_run
from gradlab.artifacts.record import RunRecord, read_or_unfinished
from gradlab.diagnosis.verdict import VerdictRecord, root_cause
from gradlab.errors import GradlabError, one_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from gradlab.api.explain import Explanation


class Run:
    """One run, finished or not, returned by `gradlab.run` and `gradlab.load`.

    Files are read on first use and cached; `gradlab.load` reads them again. A run can be pickled.

    Args:
        folder: The run's folder.

    Raises:
        GradlabError: The folder does not exist or holds no run.

    Attributes:
        folder: The run's folder.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = as_folder(folder)
        require_run(self.folder)

    @cached_property
    def record(self) -> RunRecord:
        """The content of run.json; ``{"status": "unfinished"}`` if it is missing or cannot be read."""
        return read_or_unfinished(self.folder)

    @property
    def status(self) -> str:
        """``completed``, ``diverged``, ``failed``, ``interrupted``, or ``unfinished`` (running or killed)."""
        return self.record["status"]

    @property
    def verdicts(self) -> list[VerdictRecord]:
        """The verdicts of run.json, the initial ones first; empty before the run's end."""
        return self.record.get("verdicts") or []

    @property
    def root_cause(self) -> str | None:
        """Name of the verdict that explains the others; None without a fault, or before the run's end."""
        cause = root_cause(self.verdicts)
        return cause["name"] if cause else None

    @cached_property
    def gradients(self) -> "pd.DataFrame":
        """gradients.csv, one row for each recorded step and layer; without rows if nothing was recorded.

        A cell that was not measured and one that was measured as nan are both NaN here.
        """
        from gradlab.probe.columns import COLUMNS  # imports no torch

        return self._table("gradients.csv", COLUMNS)

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """metrics.csv, one row for each recorded step; without rows if nothing was recorded."""
        from gradlab.artifacts.tables import METRICS

        return self._table("metrics.csv", METRICS)

    @cached_property
    def timesteps(self) -> "pd.DataFrame":
        """timesteps.csv, one row for each recorded step, layer and time step; without rows if not recurrent."""
        from gradlab.probe.columns import HIDDEN, TIMESTEP_KEYS

        return self._table("timesteps.csv", TIMESTEP_KEYS + HIDDEN)

    def table(self, name: str) -> "pd.DataFrame":
        """Return another table of the run, such as ``neighbours`` or ``lr_range``.

        Args:
            name: File name of the table, with or without ``.csv``.

        Raises:
            GradlabError: The run has no such table; the message lists the available ones.
        """
        path = self.folder / f"{name.removesuffix('.csv')}.csv"
        if not path.exists():
            names = ", ".join(sorted(file.stem for file in self.folder.glob("*.csv"))) or "none"
            raise GradlabError(f"{self.folder}: no table {name!r}; it has {names}")
        return self._table(path.name, ())

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed config as plain dictionaries, with resolved references; empty for a run of `gradlab.watch`."""
        return dict(self._hydra[0])

    @property
    def overrides(self) -> list[str]:
        """The overrides of the run; empty for a run of `gradlab.watch`."""
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
        """Names of the figures that `plot` can draw from the run's files."""
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
            GradlabError: The run has no figure of that name; the message lists the available ones.
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
        """Explain the faults of the run and name remedies, as `gradlab.explain` does."""
        from gradlab.api.explain import explain

        return explain(self)

    def __fspath__(self) -> str:
        """Return the folder, so that the run can be used as a path."""
        return str(self.folder)

    def __repr__(self) -> str:
        """Return one line with the folder, the status, the final metrics and the root cause."""
        parts = [self.status]
        if steps := self.record.get("steps"):
            parts.append(f"{steps} step{'s' if steps > 1 else ''}")
        metrics = self.record.get("metrics") or {}
        parts += [f"{name} {float(metrics[name]):.4g}" for name in _SHOWN if metrics.get(name) is not None]
        parts += [self.root_cause] if self.root_cause else []
        return f"<gradlab run {self.folder}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """Return the verdict and the gradient flow as self-contained HTML for a notebook."""
        lines = [repr(self).strip("<>")]
        if error := self.record.get("error"):
            lines.append(str(error))
        cause = root_cause(self.verdicts)
        lines += [str(verdict["sentence"]) for verdict in ([cause] if cause else self.verdicts[-1:])]
        try:
            shown = next((name for name in ("gradient_flow", "lr_range") if name in self.figures), None)
            figure = self.plot(shown) if shown else None
        except (GradlabError, ValueError) as error:  # show the text without a figure
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
    """Return strings as integers, or else as floats; numpy parses exactly, while some versions of pandas round."""
    import numpy as np
    import pandas as pd

    texts = column.to_numpy(dtype=str)
    for kind in (np.int64, np.float64):
        try:
            return pd.Series(np.where(texts == "", "nan", texts).astype(kind), index=column.index)
        except ValueError:
            continue
    return column


_NAMES = ("layer", "role")  # strings, even where they are digits such as "0"
_SHOWN = ("train_loss", "eval_loss", "eval_accuracy")
