"""The table of a sweep as the drawings need it: what was varied, what was measured, and what counts as better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradlab.view.format import label


@dataclass(frozen=True)
class Metric:
    """A column of ``summary.csv`` by which runs can be compared.

    Attributes:
        column: Its name.
        label: What it is, in words.
        better: Whether high or low values are better, or those near one.
        log: Whether it is a ratio, always seen in decades; others only where they span two or more.
    """

    column: str
    label: str
    better: Literal["high", "low", "one"]
    log: bool = False

    def score(self, values: pd.Series) -> NDArray[np.float64]:
        """Return numbers of which the larger is the better; -inf where nothing was measured or it is not finite."""
        plain = values.to_numpy(dtype=float)
        if self.better == "one":
            plain = -np.abs(np.log10(plain, out=np.full(plain.shape, np.nan), where=plain > 0))
        elif self.better == "low":
            plain = -plain
        return np.where(np.isfinite(plain), plain, -np.inf)


METRICS = (
    Metric("eval_accuracy", "test accuracy", "high"),
    Metric("eval_loss", "test loss", "low"),
    Metric("train_loss", "training loss", "low"),
    Metric("gradient_ratio_final", "gradient ratio, last step", "one", log=True),
    Metric("gradient_ratio_initial", "gradient ratio, step 0", "one", log=True),
)


@dataclass(frozen=True)
class Sweep:
    """The runs of a sweep.

    Attributes:
        name: Its name.
        table: One row for each run, columns as in ``summary.csv``; measured columns as floats, the others as texts.
        keys: The overrides among the columns.
        folders: Each run's folder.
    """

    name: str
    table: pd.DataFrame
    keys: Sequence[str]
    folders: Sequence[Path]

    @property
    def swept(self) -> list[str]:
        """The keys that have more than one value."""
        return [key for key in self.keys if self.table[key].nunique() > 1]

    @property
    def fixed(self) -> dict[str, str]:
        """The overrides that all runs share."""
        return {key: self.table[key].iloc[0] for key in self.keys if self.table[key].nunique() == 1}

    @property
    def caption(self) -> str:
        """The sweep in a line: its name, how many runs, and what they share."""
        fixed = [f"{key}={value}" for key, value in self.fixed.items()]
        return "; ".join([self.name, f"{len(self.table)} runs", *fixed])

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that at least one run has a finite figure of; of networks at step 0 only the gradients."""
        trained = (self.table["steps"] > 1).any()
        useful = [metric for metric in METRICS if trained or metric.column == "gradient_ratio_initial"]
        return [metric for metric in useful if np.isfinite(self.table[metric.column]).any()]

    def values(self, metric: Metric) -> pd.Series:
        """Return a metric of every run; nan where the run did not complete, whatever its last figure was."""
        return self.table[metric.column].where(self.table["status"] == "completed")

    @property
    def verdicts(self) -> pd.Series:
        """The last verdict on every run: over depth, or over time where there is one layer and no depth to speak of."""
        over_depth = self.table["verdict_final"]
        if "verdict_final_time" not in self.table:
            return over_depth
        return over_depth.where(~over_depth.isin(["", "shallow"]), self.table["verdict_final_time"])

    @property
    def labels(self) -> list[str]:
        """What distinguishes each run from the others, in words: its swept keys and, if that was varied, its seed."""
        keys = [*self.swept, *(["seed"] if self.table["seed"].nunique() > 1 else [])]
        if not keys:
            return self.table["run"].tolist()
        return [label(dict(zip(keys, row, strict=True))) for row in self.table[keys].itertuples(index=False)]

    def typical(self, rows: NDArray[np.int64], metric: Metric) -> int:
        """Return the run of the median among the seeds of a config; the better one of two.

        Args:
            rows: The config's runs.
            metric: What they are ranked by.
        """
        score = metric.score(self.values(metric).iloc[rows])
        return int(rows[np.argsort(-score, kind="stable")[len(rows) // 2 - (len(rows) % 2 == 0)]])

    def configs(self) -> list[tuple[str, NDArray[np.int64]]]:
        """Return what differs in nothing but the seed: a label, and the rows of its runs; in the table's order."""
        if not self.swept:
            return [("all runs", np.arange(len(self.table)))]
        groups: dict[tuple[str, ...], list[int]] = {}
        for row, values in enumerate(self.table[self.swept].itertuples(index=False, name=None)):
            groups.setdefault(values, []).append(row)
        return [(label(dict(zip(self.swept, values, strict=True))), np.array(rows)) for values, rows in groups.items()]

    def ranked(self, metric: Metric) -> list[tuple[str, NDArray[np.int64]]]:
        """Return the configs, the best first: by the median over its seeds, a run without a figure as the worst."""
        score = metric.score(self.values(metric))
        return sorted(self.configs(), key=lambda config: -median(score[config[1]]))


def read_sweep(path: Path, folders: Sequence[Path], *, name: str) -> Sweep:
    """Read a ``summary.csv``.

    Args:
        path: The file.
        folders: Folder of the run in each of its rows.
        name: What to call the sweep.
    """
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return _typed(table, folders, name=name)


def make_sweep(
    columns: Sequence[str], rows: Sequence[Mapping[str, str]], folders: Sequence[Path], *, name: str
) -> Sweep:
    """Return what `read_sweep` would read, from the rows that would be written.

    Args:
        columns: The columns of ``summary.csv``.
        rows: Its rows; a cell that a row lacks is empty.
        folders: Folder of the run in each of its rows.
        name: What to call the sweep.
    """
    cells = [[row.get(column, "") for column in columns] for row in rows]
    return _typed(pd.DataFrame(cells, columns=list(columns), dtype=str), folders, name=name)


def _typed(table: pd.DataFrame, folders: Sequence[Path], *, name: str) -> Sweep:
    """Return a sweep with the measured columns of its table as floats."""
    columns = list(table.columns)
    keys = columns[1 : columns.index("seed")]
    words = {"run", *keys, "seed", "status", "error"}
    for column in columns:
        if column not in words and not column.startswith("verdict_"):
            table[column] = pd.to_numeric(table[column], errors="coerce")
    return Sweep(name=name, table=table, keys=keys, folders=list(folders))


def in_order(values: Sequence[str]) -> list[str]:
    """Return the distinct values of a key: numbers by size, else as they come."""
    distinct = list(dict.fromkeys(values))
    try:
        return sorted(distinct, key=float)
    except ValueError:
        return distinct


def median(values: NDArray[np.float64]) -> float:
    """Return the median, also of infinities: numpy's is nan between two of them."""
    ranked = np.sort(values)
    low, high = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    return float(low if low == high else (low + high) / 2)
