"""One run under way: what was built for it, its files, and how it comes to its end."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from gradlab import build, checkpoint, runs
from gradlab.diagnosis.flow import Thresholds
from gradlab.findings import find
from gradlab.history import History
from gradlab.train import Loop


@dataclass(kw_only=True)
class Session:
    """A run between its first step and its run.json.

    Attributes:
        cfg: Its config, with numbers in every place.
        folder: Where its files go.
        record: What is known so far; at the end the content of run.json.
        config: The config as plain dictionaries, as it was given.
        loop: The training.
        history: Its tables.
        thresholds: What counts as vanishing and exploding.
        lr_range: What a range test found before, or None.
        began: Time on the monotonic clock at which it would have begun, had it not been cut off.
    """

    cfg: DictConfig
    folder: Path
    record: dict[str, Any]
    config: Mapping[str, Any]
    loop: Loop
    history: History
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
        identity = {name: self.record[name] for name in ("fingerprint", "environment")} | {"config": self.config}
        checkpoint.save(self.folder / "checkpoint.pt", self.loop, run=state | identity)

    def end(self, *, warnings: Sequence[str] = (), seconds: float | None = None) -> None:
        """Diagnose what was recorded, and write run.json, the last of the files: it says that the others are there.

        Args:
            warnings: What else is to be told.
            seconds: How long the run took, where its own clock does not say.
        """
        loop, record = self.loop, self.record
        seconds = time.monotonic() - self.began if seconds is None else seconds
        record |= {"status": loop.status, "steps": loop.step, "seconds": seconds}
        record["hidden_layers"] = loop.probe.hidden_layers
        record["warnings"] = [*record["warnings"], *warnings]
        growth = loop.structure.events
        record |= {"growth": growth} if growth else {}
        record |= find(
            self.history,
            self.thresholds,
            hidden=record["hidden_layers"],
            hidden_at_first=growth[0]["depth_before"] if growth else None,
            smallest=torch.finfo(getattr(torch, self.cfg.train.dtype)).tiny,
        )
        record["metrics"]["skipped_steps"] = int(loop.precision.skipped)
        runs.write_json(self.folder / "run.json", record)


def open_session(
    cfg: DictConfig,
    folder: Path,
    record: dict[str, Any],
    loop: Loop,
    *,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    lr_range: dict[str, Any] | None = None,
    saved: Mapping[str, Any] | None = None,
) -> Session:
    """Begin a run's files, or go on with them.

    Args:
        cfg: Its config, with numbers in every place.
        folder: Where its files go.
        record: What is known so far.
        loop: What was built of the config.
        config: The config as plain dictionaries, as it was given.
        environment: What `runs.environment` says.
        lr_range: What a range test found before, or None.
        saved: The checkpoint to go on from, or None.
    """
    thresholds = build.build(cfg.diagnosis, "diagnosis")
    record["environment"] = dict(environment)
    history = History(folder, state=saved and saved["history"])
    if saved:
        checkpoint.restore(loop, saved)
    return Session(
        cfg=cfg,
        folder=folder,
        record=record,
        config=config,
        loop=loop,
        history=history,
        thresholds=thresholds,
        lr_range=lr_range,
        began=time.monotonic() - (saved["seconds"] if saved else 0.0),
    )
