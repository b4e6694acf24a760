"""Folders of runs, whether written by gradlab, by a sweep, or by `gradlab.watch`."""

import os
from collections.abc import Iterator
from pathlib import Path

from gradlab.errors import GradlabError

_SIGNS = ("run.json", "gradients.csv", ".hydra")


def is_run(folder: Path) -> bool:
    """Whether a folder holds one run: finished, running, or killed before it wrote any file of its own."""
    return any((folder / sign).exists() for sign in _SIGNS)


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs at or below ``folder``, ordered by name; a run is not searched for others."""
    if is_run(folder):
        yield folder
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    for name in names:
        yield from find_runs(folder / name)


def require_runs(folder: Path) -> list[Path]:
    """Return the folders of runs at or below ``folder``, at least one.

    Raises:
        GradlabError: The folder does not exist or holds no run.
    """
    if not folder.is_dir():
        raise GradlabError(f"{folder}: there is no such folder")
    runs = list(find_runs(folder))
    if not runs:
        raise GradlabError(f"{folder}: holds no run: a run's folder has a run.json or a gradients.csv")
    return runs
