"""Session of a run: its state between the first step and the writing of run.json."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from gradlab.artifacts.environment import Environment
from gradlab.artifacts.read import read_first_and_last
from gradlab.artifacts.record import RangeRecord, RunRecord, write_run
from gradlab.artifacts.tables import Table
from gradlab.config import build
from gradlab.diagnosis.gate import Gate
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.prediction.predict import CRITICAL, compare_rows, critical_rows, peek, predict
from gradlab.run import checkpoint
from gradlab.run.history import History
from gradlab.run.observations import flow_metrics, observe
from gradlab.run.verdicts import judge
from gradlab.theory.forecast import Forecast
from gradlab.train.loop import Loop


@dataclass(kw_only=True)
class Start:
    """A checked config, and the earlier state of its run in the folder.

    Attributes:
        record: The run's run.json if it is finished; otherwise the first entries of a new one.
        config: The config as plain dictionaries, before ``optimizer.lr=auto`` is replaced.
        choices: The option chosen of each group.
        gate: The limits that the finished run must keep.
        finished: Whether the folder holds the finished run.
        saved: The checkpoint to resume from; None if the run starts at step 0.
    """

    record: RunRecord
    config: dict[str, Any]
    choices: Mapping[str, Any]
    gate: Gate
    finished: bool
    saved: dict[str, Any] | None


@dataclass(kw_only=True)
class Session:
    """A run between its first step and the writing of run.json.

    Attributes:
        cfg: The config, with a number for the learning rate.
        folder: The run's folder.
        record: The content of run.json so far.
        start: The checked config and the checkpoint.
        loop: The training loop.
        history: Writer of the tables.
        forecast: The theory's prediction for step 0, or the reason why there is none.
        samples: Number of samples in step 0.
        thresholds: Thresholds of the diagnosis.
        lr_range: Result of the range test that chose the learning rate; None if there was none.
        began: Start in seconds on the monotonic clock, minus the duration before the run was resumed.
    """

    cfg: DictConfig
    folder: Path
    record: RunRecord
    start: Start
    loop: Loop
    history: History
    forecast: Forecast | str
    samples: int
    thresholds: Thresholds
    lr_range: RangeRecord | None
    began: float

    def save(self, *, seconds: float | None = None) -> None:
        """Write checkpoint.pt.

        Args:
            seconds: Duration of the run so far; by default the time since it began.
        """
        seconds = time.monotonic() - self.began if seconds is None else seconds
        state = {"history": self.history.state_dict(), "seconds": seconds, "lr_range": self.lr_range}
        identity = {
            "fingerprint": self.record.get("fingerprint"),
            "environment": self.record.get("environment"),
            "config": self.start.config,
        }
        checkpoint.save(self.folder / "checkpoint.pt", self.loop, run=state | identity)

    def end(self, *, warnings: Sequence[str] = (), seconds: float | None = None) -> None:
        """Diagnose the recorded tables, compare them with theory, and write run.json.

        run.json is written last: if it exists, every other file is complete.

        Args:
            warnings: Further warnings.
            seconds: Duration of the run; by default the time since it began.
        """
        loop, record = self.loop, self.record
        seconds = time.monotonic() - self.began if seconds is None else seconds
        record |= {"status": loop.status, "steps": loop.step, "seconds": seconds}
        record["hidden_layers"] = loop.probe.hidden_layers
        record["warnings"] = [*record.get("warnings", ()), *loop.warnings, *warnings]
        if loop.structure.events:
            record["growth"] = loop.structure.events
        observations = observe(self.folder, record)
        flow = flow_metrics(observations)
        totals = self.history.totals()
        record["metrics"] = totals | flow | {"skipped_steps": int(loop.precision.skipped)}
        if loop.units is not None:
            record["metrics"] |= loop.units.metrics(totals["eval_loss"])
        record["verdicts"] = []
        record["theory"] = self._compare_with_theory()
        record["chance"] = loop.chance
        record["verdicts"] = judge(
            self.folder,
            record,
            self.thresholds,
            observations=observations,
            config=self.start.config,
            choices=self.start.choices,
        )
        write_run(self.folder, record)

    def _compare_with_theory(self) -> dict[str, Any] | str:
        tables = (read_first_and_last(self.folder / name)[0] for name in ("gradients.csv", "timesteps.csv"))
        rows, times = ([tuple(row.values()) for row in table if row["step"] == 0] for table in tables)
        return compare_rows(self.forecast, rows, times, samples=self.samples)


def open_session(
    cfg: DictConfig,
    folder: Path,
    record: RunRecord,
    loop: Loop,
    *,
    start: Start,
    environment: Environment,
    lr_range: RangeRecord | None = None,
) -> Session:
    """Open a run's tables, and restore the tables and the loop if there is a checkpoint.

    Args:
        cfg: The config, with a number for the learning rate.
        folder: The run's folder.
        record: The content of run.json so far.
        loop: The training loop, freshly built.
        start: The checked config and the checkpoint.
        environment: Environment of this process.
        lr_range: Result of the range test that chose the learning rate; None if there was none.

    Raises:
        GradlabError: A table has lost rows since the checkpoint.
    """
    saved = start.saved
    thresholds = build.build(cfg.diagnosis, "diagnosis")
    record["environment"] = environment.copy()
    history = History(folder, state=saved and saved["history"])
    inputs = peek(loop.batches)
    forecast = predict(loop.model, inputs)  # for step 0, so before the checkpoint's weights are loaded
    if cfg.train.measure_only and (rows := critical_rows(loop.model, inputs)):
        table = Table(folder / "critical_line.csv", CRITICAL)
        table.write(rows)
        table.close()
    if saved:
        checkpoint.restore(loop, saved)
    return Session(
        cfg=cfg,
        folder=folder,
        record=record,
        start=start,
        loop=loop,
        history=history,
        forecast=forecast,
        samples=len(inputs) * cfg.train.accumulate,
        thresholds=thresholds,
        lr_range=lr_range,
        began=time.monotonic() - (saved["seconds"] if saved else 0.0),
    )
