"""Weights & Biases: logs to files in the run's folder, or online."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import wandb

from gradlab.artifacts.record import RunRecord
from gradlab.loggers.series import findings, flattened


class WandB:
    """Logs the history by step, the config, findings as the summary, and figures as images.

    Args:
        folder: The run's folder; files go to its sub-folder ``wandb``.
        config: The run's config as plain dictionaries.
        start: Step at which the run starts or resumes. A resumed run has the same id as its first part, so that ``wandb
            sync`` joins the two.
        project: Name of the project.
        mode: ``offline`` only writes files, for a later ``wandb sync``; ``online`` sends the data during the run.
    """

    def __init__(
        self,
        *,
        folder: Path,
        config: Mapping[str, Any],
        start: int,
        project: str = "gradlab",
        mode: Literal["offline", "online"] = "offline",
    ) -> None:
        self._run = wandb.init(
            project=project,
            name=folder.name,
            id=hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16],
            resume="allow" if start else None,
            dir=folder,
            mode=mode,
            config=flattened(config),
            settings=wandb.Settings(console="off", silent=True),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the figures of one step."""
        self._run.log(dict(values), step=step)

    def finish(self, record: RunRecord, figures: Sequence[Path]) -> None:
        """Write findings and figures, and close."""
        self._run.summary.update(findings(record))
        if figures:
            self._run.log({f"figures/{path.stem}": wandb.Image(str(path)) for path in figures})
        self._run.finish(exit_code=0 if record["status"] in ("completed", "diverged") else 1)
