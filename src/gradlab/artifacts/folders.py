"""Search for the folders of runs, written by a single run, a sweep or `gradlab.watch`."""

import os
from collections.abc import Iterator
from pathlib import Path

from gradlab.errors import GradlabError

_MARKERS = ("run.json", "gradients.csv", ".hydra")  # one of them marks a folder as a run's


def is_run(folder: Path) -> bool:
    """Whether a folder holds one run: finished, running, or killed at any time after Hydra wrote its config."""
    return any((folder / marker).exists() for marker in _MARKERS)


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs at or below ``folder``, ordered by name, without descending into a run's folder."""
    if is_run(folder):
        yield folder
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    for name in names:
        yield from find_runs(folder / name)


def require_run(folder: Path) -> None:
    """Check that a folder holds one run.

    Raises:
        GradlabError: The folder does not exist or is not a run's.
    """
    if not (folder.is_dir() and is_run(folder)):
        raise _refusal(folder)


def require_runs(folder: Path) -> list[Path]:
    """Return the folders of the runs at or below ``folder``, of which there must be one or more.

    Raises:
        GradlabError: The folder does not exist or holds no run.
    """
    runs = list(find_runs(folder)) if folder.is_dir() else []
    if not runs:
        raise _refusal(folder)
    return runs


def _refusal(folder: Path) -> GradlabError:
    if folder.is_dir():
        return GradlabError(f"{folder}: holds no run: a run's folder has a run.json or a gradients.csv")
    return GradlabError(f"{folder}: there is no such folder")
