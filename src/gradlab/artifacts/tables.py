"""CSV tables of a run, written row by row."""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gradlab.errors import GradlabError

METRICS = (
    "step",
    "epoch",
    "train_loss",
    "train_accuracy",
    "lr",
    "grad_norm",
    "clipped_grad_norm",
    "eval_loss",
    "eval_accuracy",
)


class Table:
    """A CSV file to append rows to: None is an empty cell, and a float is Python's shortest round-trip repr.

    Args:
        path: File to write.
        columns: Names of the columns, for the header of a new file.
        keep: Truncate the existing file to this many bytes and append; None starts a new file.

    Raises:
        GradlabError: The existing file is missing, or shorter than ``keep``.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, keep: int | None = None) -> None:
        if keep is not None and (not path.exists() or path.stat().st_size < keep):
            raise GradlabError(f"{path} lacks rows that checkpoint.pt requires; remove checkpoint.pt to start over")
        self._file = path.open("w" if keep is None else "a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if keep is None:
            self._writer.writerow(columns)
        else:
            self._file.truncate(keep)

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows and flush them to the operating system."""
        self._writer.writerows(rows)
        self._file.flush()

    def sync(self) -> int:
        """Sync the file to disk and return its size in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Tables:
    """The open tables of one run by file name: new ones are created on first use, saved ones are appended to.

    Args:
        folder: The run's folder.
        sizes: The result of `sync` when the run was saved; rows written after that are removed.

    Raises:
        GradlabError: A saved table is missing, or shorter than its saved size.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int]) -> None:
        self._folder = folder
        self._open: dict[str, Table] = {}
        try:
            for name, size in sizes.items():
                self._open[name] = Table(folder / name, (), keep=size)
        except GradlabError:
            self.close()
            raise

    def open(self, name: str, columns: Sequence[str]) -> Table:
        """Return a table by its file name; a new one gets ``columns`` as its header."""
        if name not in self._open:
            self._open[name] = Table(self._folder / name, columns)
        return self._open[name]

    def sync(self) -> dict[str, int]:
        """Sync all files to disk, and return file name to size in bytes."""
        return {name: table.sync() for name, table in self._open.items()}

    def close(self) -> None:
        """Close the files."""
        for table in self._open.values():
            table.close()
