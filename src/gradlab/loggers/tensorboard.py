"""TensorBoard: logs to event files in the run's folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import SummaryWriter

from gradlab.artifacts.record import RunRecord
from gradlab.loggers.series import findings, flattened


class TensorBoard:
    """Logs scalars by step and, at the end, the config as hyperparameters, findings as text and figures as images.

    TensorBoard stores scalars in single precision, so values below 1e-45 become 0.

    Args:
        folder: The run's folder.
        config: The run's config as plain dictionaries.
        start: Step at which the run starts or resumes; scalars of an earlier attempt from that step on are hidden.
        directory: Folder of the event files, relative to the run's folder.
    """

    def __init__(self, *, folder: Path, config: Mapping[str, Any], start: int, directory: str = "tensorboard") -> None:
        self._config = flattened(config)
        self._writer = SummaryWriter(folder / directory, purge_step=start)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the scalars of one step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, record: RunRecord, figures: Sequence[Path]) -> None:
        """Write hyperparameters, findings and figures, and close."""
        metrics = record.get("metrics") or {}
        numbers = {f"final/{name}": value for name, value in metrics.items() if isinstance(value, int | float)}
        # written into this run's event file; `add_hparams` would create a second run
        for summary in hparams(self._config, numbers):
            self._writer.file_writer.add_summary(summary)  # pyright: ignore[reportOptionalMemberAccess]
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, record.get("steps", 0))
        self._writer.add_text("config", _table(self._config))
        self._writer.add_text("findings", _table(findings(record)))
        for path in figures:
            pixels = np.asarray(Image.open(path).convert("RGB"))
            self._writer.add_image(f"figures/{path.stem}", pixels, dataformats="HWC")
        self._writer.close()


def _table(content: Mapping[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in content.items())])
