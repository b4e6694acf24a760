"""Tables and totals of a run, updated while it trains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradlab.artifacts.tables import METRICS, Tables
from gradlab.probe.columns import COLUMNS, NEIGHBOURS, SHARES
from gradlab.probe.columns import TIMESTEPS as TIMES
from gradlab.probe.recording import Recording, Row

FLUSH = 50  # number of recorded steps that are buffered between two writes to disk


class History:
    """Writer of a run's tables, and counter of its recorded and its clipped steps.

    Args:
        folder: The run's folder.
        state: The result of `state_dict` in the checkpoint to resume from; rows written after it are removed.

    Raises:
        GradlabError: A table has lost rows since the checkpoint.
    """

    def __init__(self, folder: Path, *, state: Mapping[str, Any] | None = None) -> None:
        self._tables = Tables(folder, state["tables"] if state else {})
        self._gradients = self._tables.open("gradients.csv", COLUMNS)
        self._metrics = self._tables.open("metrics.csv", METRICS)
        self._waiting: tuple[list[Row], list[list[Any]]] = ([], [])
        self.metrics: dict[str, Any] = {}
        self.recorded_steps = self.clipped_steps = 0
        if state:
            self.metrics = state["metrics"]
            self.recorded_steps, self.clipped_steps = state["recorded_steps"], state["clipped_steps"]

    def add(self, metrics: Mapping[str, Any], recording: Recording) -> None:
        """Add the metrics and the recording of one step; the recording is empty if the probe did not record it."""
        if times := recording.timesteps:
            self._tables.open("timesteps.csv", TIMES[: len(times[0])]).write(times)
        if recording.shares:
            self._tables.open("auxiliary.csv", SHARES).write(recording.shares)
        if recording.neighbours:
            self._tables.open("neighbours.csv", NEIGHBOURS).write(recording.neighbours)
        self.metrics |= metrics
        self.recorded_steps += 1
        self.clipped_steps += metrics.get("clipped_grad_norm", 0.0) < metrics.get("grad_norm", 0.0)
        gradients, steps = self._waiting
        gradients.extend(recording.layers)
        steps.append([metrics.get(name) for name in METRICS])
        if len(steps) >= FLUSH:
            self._flush()

    def state_dict(self) -> dict[str, Any]:
        """Sync all rows to disk and return the state for a checkpoint, as plain numbers and strings."""
        self._flush()
        return {
            "tables": self._tables.sync(),
            "metrics": self.metrics,
            "recorded_steps": self.recorded_steps,
            "clipped_steps": self.clipped_steps,
        }

    def totals(self) -> dict[str, Any]:
        """Return the last losses and accuracy and the numbers of steps, under their keys in run.json's ``metrics``."""
        last = {name: self.metrics.get(name) for name in ("train_loss", "eval_loss", "eval_accuracy")}
        return last | {"recorded_steps": self.recorded_steps, "clipped_steps": self.clipped_steps}

    def close(self) -> None:
        """Write the buffered rows and close the files."""
        self._flush()
        self._tables.close()

    def _flush(self) -> None:
        gradients, steps = self._waiting
        self._gradients.write(gradients)
        self._metrics.write(steps)
        self._waiting = ([], [])
