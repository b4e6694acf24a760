"""One run under way: what was built for it, its files, and how it comes to its end."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from gradlab.artifacts.record import write_json
from gradlab.artifacts.tables import Table
from gradlab.config import build
from gradlab.diagnosis.gate import Gate
from gradlab.diagnosis.thresholds import Thresholds
from gradlab.prediction.predict import CRITICAL, compare_rows, critical_rows, peek, predict
from gradlab.run import checkpoint
from gradlab.run.history import History
from gradlab.run.metrics import find
from gradlab.run.verdicts import judge
from gradlab.theory.forecast import Forecast
from gradlab.train.loop import Loop


@dataclass(kw_only=True)
class Start:
    """What is known of a run before anything is built.

    Attributes:
        config: The config as plain dictionaries, as it was given.
        choices: The option chosen of each group.
        gate: What the run has to pass at its end.
        finished: Whether the folder holds this very run, done.
        saved: Its checkpoint, if it was cut off and can go on.
    """

    config: dict[str, Any]
    choices: Mapping[str, Any]
    gate: Gate
    finished: bool
    saved: dict[str, Any] | None


@dataclass(kw_only=True)
class Session:
    """A run between its first step and its run.json.

    Attributes:
        cfg: Its config, with numbers in every place.
        folder: Where its files go.
        record: What is known so far; at the end the content of run.json.
        start: What was known of it before anything was built.
        loop: The training.
        history: Its tables.
        forecast: What theory says of its first step.
        samples: Number of samples in that step.
        thresholds: What counts as a fault.
        lr_range: What a range test found before, or None.
        began: Time on the monotonic clock at which it would have begun, had it not been cut off.
    """

    cfg: DictConfig
    folder: Path
    record: dict[str, Any]
    start: Start
    loop: Loop
    history: History
    forecast: Forecast | str
    samples: int
    thresholds: Thresholds
    lr_range: dict[str, Any] | None
    began: float

    def save(self, *, seconds: float | None = None) -> None:
        """Write checkpoint.pt.

        Args:
            seconds: How long the run took so far, where its own clock does not say.
        """
        seconds = time.monotonic() - self.began if seconds is None else seconds
        state = {"history": self.history.state_dict(), "seconds": seconds, "lr_range": self.lr_range}
        identity = {name: self.record[name] for name in ("fingerprint", "environment")}
        identity["config"] = self.start.config
        checkpoint.save(self.folder / "checkpoint.pt", self.loop, run=state | identity)

    def end(self, *, warnings: Sequence[str] = (), seconds: float | None = None) -> None:
        """Diagnose what was recorded, compare it with theory, and write run.json, the last of the files.

        It says that the others are there.

        Args:
            warnings: What else is to be told.
            seconds: How long the run took, where its own clock does not say.
        """
        loop, record, history = self.loop, self.record, self.history
        seconds = time.monotonic() - self.began if seconds is None else seconds
        record |= {"status": loop.status, "steps": loop.step, "seconds": seconds}
        record["hidden_layers"] = loop.probe.hidden_layers
        record["warnings"] = [*record["warnings"], *warnings]
        growth = loop.structure.events
        record |= {"growth": growth} if growth else {}
        record |= find(
            history,
            self.thresholds,
            hidden=record["hidden_layers"],
            hidden_at_first=growth[0]["depth_before"] if growth else None,
            smallest=torch.finfo(getattr(torch, self.cfg.train.dtype)).tiny,
        )
        record["chance"] = loop.chance
        record["verdicts"] = judge(
            self.folder, record, self.thresholds, config=self.start.config, choices=self.start.choices
        )
        at_start = [[row for row in rows if row[0] == 0] for rows in (history.first, history.first_times)]
        record["theory"] = compare_rows(self.forecast, *at_start, samples=self.samples)
        record["metrics"]["skipped_steps"] = int(loop.precision.skipped)
        write_json(self.folder / "run.json", record)


def open_session(
    cfg: DictConfig,
    folder: Path,
    record: dict[str, Any],
    loop: Loop,
    *,
    start: Start,
    environment: Mapping[str, Any],
    lr_range: dict[str, Any] | None = None,
) -> Session:
    """Begin a run's files, or go on with them.

    Args:
        cfg: Its config, with numbers in every place.
        folder: Where its files go.
        record: What is known so far.
        loop: What was built of the config.
        start: What was known of it before anything was built, the checkpoint to go on from among it.
        environment: What `runs.environment` says.
        lr_range: What a range test found before, or None.
    """
    saved = start.saved
    thresholds = build.build(cfg.diagnosis, "diagnosis")
    record["environment"] = dict(environment)
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
