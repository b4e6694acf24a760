"""Which folders hold runs, whoever made them: gradlab, a sweep of it, or `gradlab.watch`."""

import os
from collections.abc import Iterator
from pathlib import Path

_SIGNS = ("run.json", "gradients.csv", ".hydra")


def is_run(folder: Path) -> bool:
    """Whether a folder holds one run, be it finished, under way or killed before it wrote anything of its own."""
    return any((folder / sign).exists() for sign in _SIGNS)


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs at or below ``folder``, ordered by name; nothing is looked for inside a run."""
    if is_run(folder):
        yield folder
        return
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    for name in names:
        yield from find_runs(folder / name)
