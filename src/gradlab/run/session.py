"""A run from its first step to its run.json."""

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
    """A checked config, and what the folder holds of its run before anything is built.

    Attributes:
        record: The run's run.json, if it is finished; otherwise the beginning of one.
        config: The config as plain dictionaries, as it was given.
        choices: The option chosen of each group.
        gate: The limits that the finished run must keep.
        finished: Whether the folder holds the finished run.
        saved: The checkpoint to resume from; None where the run starts at step 0.
    """

    record: RunRecord
    config: dict[str, Any]
    choices: Mapping[str, Any]
    gate: Gate
    finished: bool
    saved: dict[str, Any] | None


@dataclass(kw_only=True)
class Session:
    """A run between its first step and its run.json.

    Attributes:
        cfg: The config, with a number for the learning rate.
        folder: Where the files go.
        record: What is known so far; at the end the content of run.json.
        start: What was known before anything was built.
        loop: The training.
        history: The tables.
        forecast: The theory's prediction of step 0, or why there is none.
        samples: Number of samples in that step.
        thresholds: What counts as a fault.
        lr_range: Result of the range test that chose the learning rate; None where there was none.
        began: Start on the monotonic clock, shifted back by the seconds that a resumed run took before.
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
            seconds: How long the run took so far; by default the time since it began.
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
        """Diagnose what was recorded, compare it with theory, and write run.json.

        run.json is written last: if it exists, every other file is complete.

        Args:
            warnings: Further warnings.
            seconds: How long the run took; by default the time since it began.
        """
        loop, record = self.loop, self.record
        seconds = time.monotonic() - self.began if seconds is None else seconds
        record |= {"status": loop.status, "steps": loop.step, "seconds": seconds}
        record["hidden_layers"] = loop.probe.hidden_layers
        record["warnings"] = [*record.get("warnings", ()), *warnings]
        if loop.structure.events:
            record["growth"] = loop.structure.events
        observations = observe(self.folder, record)
        flow = flow_metrics(observations)
        record["metrics"] = self.history.totals() | flow | {"skipped_steps": int(loop.precision.skipped)}
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
    """Begin a run's tables, or resume them with the training from a checkpoint.

    Args:
        cfg: The config, with a number for the learning rate.
        folder: Where the files go.
        record: What is known so far.
        loop: The training, freshly built.
        start: What was known before anything was built, among it the checkpoint.
        environment: Of this process.
        lr_range: Result of the range test that chose the learning rate; None where there was none.
    """
    saved = start.saved
    thresholds = build.build(cfg.diagnosis, "diagnosis")
    record["environment"] = environment.copy()
    history = History(folder, state=saved and saved["history"])
    inputs = peek(loop.batches)
    forecast = predict(loop.model, inputs)  # of the first step: a checkpoint's weights come later
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
