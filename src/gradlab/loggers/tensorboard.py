"""TensorBoard: event files in the run's folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import SummaryWriter

from gradlab.loggers.series import findings, flattened


class TensorBoard:
    """Scalars at each recorded step; the config as hyperparameters, findings as text and figures as images at the end.

    TensorBoard keeps scalars in single precision: below 1e-45 they are 0 there.

    Args:
        folder: The run's folder.
        config: The run's config as plain dictionaries.
        start: Step at which the run begins or goes on; what an earlier attempt wrote from there on is hidden.
        directory: Where the files go, relative to the folder.
    """

    def __init__(self, *, folder: Path, config: Mapping[str, Any], start: int, directory: str = "tensorboard") -> None:
        self._config = flattened(config)
        self._writer = SummaryWriter(folder / directory, purge_step=start)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the scalars of one step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, record: Mapping[str, Any], figures: Sequence[Path]) -> None:
        """Write hyperparameters, findings and figures, and close."""
        found = findings(record)
        measured = record.get("metrics") or {}
        numbers = {f"final/{name}": value for name, value in measured.items() if isinstance(value, int | float)}
        # In this run's own files: `add_hparams` would make a run of its own beside it.
        for summary in hparams(self._config, numbers):
            self._writer.file_writer.add_summary(summary)  # pyright: ignore[reportOptionalMemberAccess]
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, record.get("steps", 0))
        self._writer.add_text("config", _table(self._config))
        self._writer.add_text("findings", _table(found))
        for path in figures:
            pixels = np.asarray(Image.open(path).convert("RGB"))
            self._writer.add_image(f"figures/{path.stem}", pixels, dataformats="HWC")
        self._writer.close()


def _table(content: Mapping[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in content.items())])
