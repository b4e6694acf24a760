"""Search for the folders of runs, written by a single run, a sweep or `gradlab.watch`."""

import os
from collections.abc import Iterator
from pathlib import Path

from gradlab.errors import GradlabError

_MARKERS = ("run.json", "gradients.csv", ".hydra")  # one of them marks a folder as a run's


def is_run(folder: Path) -> bool:
    """Whether a folder holds one run: finished, running, or killed at any time after Hydra wrote its config."""
    return any(os.path.exists(folder / marker) for marker in _MARKERS)


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs at or below ``folder``, ordered by name, without descending into a run's folder.

    Links come last. A folder that is reached again is not searched again, and one that cannot be read is passed over.
    """
    waiting, searched = [folder], set()
    while waiting:
        place = waiting.pop()
        try:
            status = place.stat()
            if (status.st_dev, status.st_ino) in searched:
                continue
            searched.add((status.st_dev, status.st_ino))
            if is_run(place):
                yield place
            else:
                waiting += [place / name for name in reversed(_subfolders(place))]
        except OSError:
            continue


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        folders = [entry for entry in entries if not entry.name.startswith(".") and _is_folder(entry)]
        return [entry.name for entry in sorted(folders, key=lambda entry: (entry.is_symlink(), entry.name))]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def as_folder(name: str | os.PathLike[str]) -> Path:
    """Return the path of a folder that a user names; an empty name would mean the working directory.

    Raises:
        GradlabError: The name is empty or holds a null character.
    """
    text = os.fspath(name)
    if not text or "\0" in text:
        raise GradlabError("the name of a folder is empty" if not text else f"{text!r} is not the name of a folder")
    return Path(text)


def require_run(folder: Path) -> None:
    """Check that a folder holds one run.

    Raises:
        GradlabError: The folder does not exist or is not a run's.
    """
    if not is_run(folder):
        raise _refusal(folder)


def require_runs(folder: Path) -> list[Path]:
    """Return the folders of the runs at or below ``folder``, of which there must be one or more.

    Raises:
        GradlabError: The folder does not exist or holds no run.
    """
    runs = list(find_runs(folder))
    if not runs:
        raise _refusal(folder)
    return runs


def _refusal(folder: Path) -> GradlabError:
    if os.path.isdir(folder):
        return GradlabError(f"{folder}: holds no run: a run's folder has a run.json or a gradients.csv")
    return GradlabError(f"{folder}: there is no such folder")
