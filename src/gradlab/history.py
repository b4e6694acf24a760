"""What a run writes down as it goes, and what it remembers of it to judge the run by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradlab import runs
from gradlab.probe.columns import COLUMNS
from gradlab.probe.probe import Row
from gradlab.probe.shares import COLUMNS as SHARES
from gradlab.probe.timesteps import COLUMNS as TIMES

FLUSH = 50  # recorded steps between two writes to disk


class History:
    """Writes a run's tables as it goes, and remembers its first and last recorded step and how often it clipped.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._auxiliary: runs.Table | None = None
        self._timesteps: runs.Table | None = None
        self._gradients = runs.Table(folder / "gradients.csv", COLUMNS)
        self._metrics = runs.Table(folder / "metrics.csv", runs.METRICS)
        self._waiting: tuple[list[Row], list[list[Any]]] = ([], [])
        self.first: list[Row] = []
        self.last: list[Row] = []
        self.first_times: Sequence[Row] = ()
        self.last_times: Sequence[Row] = ()
        self.metrics: dict[str, Any] = {}
        self.recorded_steps = self.clipped_steps = 0

    def add(self, metrics: Mapping[str, Any], rows: list[Row], shares: list[Row], times: Sequence[Row] = ()) -> None:
        """Add one step's metrics and, if it was recorded, the rows of its layers, auxiliary heads and time steps."""
        if times:
            self._timesteps = self._timesteps or runs.Table(self._folder / "timesteps.csv", TIMES[: len(times[0])])
            self._timesteps.write(times)
            self.first_times, self.last_times = self.first_times or times, times
        if shares:
            self._auxiliary = self._auxiliary or runs.Table(self._folder / "auxiliary.csv", SHARES)
            self._auxiliary.write(shares)
        self.metrics |= metrics
        self.recorded_steps += 1
        self.clipped_steps += metrics.get("clipped_grad_norm", 0.0) < metrics.get("grad_norm", 0.0)
        if rows:
            self.first, self.last = self.first or rows, rows
        gradients, steps = self._waiting
        gradients.extend(rows)
        steps.append([metrics.get(name) for name in runs.METRICS])
        if len(steps) >= FLUSH:
            self._flush()

    def close(self) -> None:
        """Write what is waiting and close the files."""
        self._flush()
        self._gradients.close()
        self._metrics.close()
        for table in (self._auxiliary, self._timesteps):
            if table is not None:
                table.close()

    def _flush(self) -> None:
        gradients, steps = self._waiting
        self._gradients.write(gradients)
        self._metrics.write(steps)
        self._waiting = ([], [])
