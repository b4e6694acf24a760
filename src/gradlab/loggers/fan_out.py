"""The loggers of one run: opened at its start, called at each recorded step, closed once its files are complete."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gradlab.artifacts.record import RunRecord, describe_error, read_run
from gradlab.loggers.series import layer_series, step_series


class Logger(Protocol):
    """Interface of a logger; each option of the group `logger` is built as ``logger(folder=…, config=…, start=…)``."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Log the figures of one recorded step, by name; they may be nan or infinite."""
        ...

    def finish(self, record: RunRecord, figures: Sequence[Path]) -> None:
        """Log the content of run.json and the PNG files of the figures, and close."""
        ...


class Following:
    """The loggers of a run, as a context manager; leave the ``with`` block once the run's files are complete.

    A failing logger does not stop the run: it is dropped with a warning, and the run's own files do not depend on it.

    Args:
        folder: The run's folder.
        warn: Called with one line for each logger that failed.
    """

    def __init__(self, folder: Path, *, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._loggers: dict[str, Logger] = {}
        self._columns: Sequence[str] = ()
        self._layers = 0
        self.warnings: list[str] = []

    def __enter__(self) -> "Following":
        return self

    def __exit__(self, *error: object) -> None:
        record = read_run(self._folder) or {"status": "failed"}
        figures = sorted((self._folder / "figures").glob("*.png"))
        self._call(lambda logger: logger.finish(record, figures), "at the end")

    def open(self, loggers: Mapping[str, Logger], *, columns: Sequence[str], layers: int) -> None:
        """Start logging.

        Args:
            loggers: Loggers by name.
            columns: Columns of gradients.csv to log.
            layers: Largest number of layers to log; 0 for all.
        """
        self._loggers, self._columns, self._layers = dict(loggers), columns, layers

    def log(self, metrics: Mapping[str, Any], rows: Sequence[Sequence[Any]]) -> None:
        """Log one step.

        Args:
            metrics: The step's metrics.
            rows: The rows of its layers; empty if they were not recorded.
        """
        if not self._loggers:
            return
        step = metrics["step"]
        values = step_series(metrics) | layer_series(rows, columns=self._columns, layers=self._layers)
        self._call(lambda logger: logger.log(step, values), f"at step {step}")

    def _call(self, action: Callable[[Logger], None], when: str) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                action(logger)
            except Exception as error:  # these libraries may raise anything, from a full disk to a lost connection
                del self._loggers[name]
                line = f"the logger {name} failed {when} and is left out: {describe_error(error)}"
                self.warnings.append(line)
                self._warn(f"warning: {line}")
