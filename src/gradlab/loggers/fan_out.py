"""The loggers of one run: opened before it, told of each recorded step, closed when its files are whole."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gradlab.artifacts.record import describe_error, read_run
from gradlab.loggers.series import layer_series, step_series


class Logger(Protocol):
    """What is built from each option of the group `logger`, as ``logger(folder=…, config=…, start=…)``."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take in the figures of one recorded step, by name; nan and infinities are figures too."""
        ...

    def finish(self, record: Mapping[str, Any], figures: Sequence[Path]) -> None:
        """Take in the content of run.json and the PNG files of the figures, and close."""
        ...


class Following:
    """The loggers of a run, within a ``with`` block that ends when the run's files are whole.

    A logger is a spectator: one that fails in the middle of the run is left out from there on, with a line that says
    so, and the run goes on; its tables do not depend on it.

    Args:
        folder: The run's folder.
        warn: Called with a line for each logger that failed.
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
        self._tell(lambda logger: logger.finish(record, figures), "at the end")

    def open(self, loggers: Mapping[str, Logger], *, columns: Sequence[str], layers: int) -> None:
        """Begin to tell loggers of the run.

        Args:
            loggers: By name.
            columns: Columns of gradients.csv that they are given.
            layers: Most layers that they are given; 0 for all.
        """
        self._loggers, self._columns, self._layers = dict(loggers), columns, layers

    def log(self, metrics: Mapping[str, Any], rows: Sequence[Sequence[Any]]) -> None:
        """Tell of one step.

        Args:
            metrics: The step's metrics.
            rows: The rows of its layers, none if it was not recorded.
        """
        if not self._loggers:
            return
        step = metrics["step"]
        values = step_series(metrics) | layer_series(rows, columns=self._columns, layers=self._layers)
        self._tell(lambda logger: logger.log(step, values), f"at step {step}")

    def _tell(self, act: Callable[[Logger], None], when: str) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                act(logger)
            except Exception as error:  # these libraries raise anything, from a full disk to a lost connection
                del self._loggers[name]
                line = f"the logger {name} failed {when} and is left out: {describe_error(error)}"
                self.warnings.append(line)
                self._warn(f"warning: {line}")
