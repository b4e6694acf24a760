"""A sweep's progress, read from the files of its runs: the same under every launcher."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gradlab.artifacts.record import read_run, write_run

EVERY = 10.0  # seconds between two lines


@contextmanager
def following(folders: Sequence[Path], *, every: float = EVERY) -> Iterator[None]:
    """Print a line now and then that says how many runs are done, failed and left, while the sweep goes on elsewhere.

    Args:
        folders: Folder of each run.
        every: Seconds between two lines; nothing is printed where nothing changed.

    Raises:
        KeyboardInterrupt: After a line that says how to go on; runs that ended without being able to put themselves
            into the sweep's tables stand there then.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(folders, ended, every), daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        print(f"interrupted: the same command with {how_to_go_on(folders)} runs what is missing", file=sys.stderr)
        from gradlab.sweep.summary import add_runs  # slow to import

        add_runs(folders[0].parent, folders)
        raise
    finally:
        ended.set()
        thread.join()


def how_to_go_on(folders: Sequence[Path]) -> str:
    """Return the override that makes a command go on with the sweep of these runs."""
    return f"hydra.sweep.dir={folders[0].parent}"


def abandon(folder: Path, reason: str) -> None:
    """Write down that a run was lost, where it did not come to an end of its own.

    Args:
        folder: The run's folder.
        reason: What became of it, for ``error`` in run.json.
    """
    if read_run(folder) is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_run(folder, {"status": "failed", "error": reason})


def progress_line(counts: Counter[str], *, total: int, seconds: float) -> str:
    """Return ``12 done, 1 failed, 83 left, about 2 min to go``.

    Args:
        counts: Number of runs that ended, by status.
        total: Number of all runs.
        seconds: Time since the first began.
    """
    ended = counts.total()
    line = f"{ended - counts['failed']} done, {counts['failed']} failed, {total - ended} left"
    return line if ended in (0, total) else f"{line}, about {_duration(seconds / ended * (total - ended))} to go"


def _follow(folders: Sequence[Path], ended: threading.Event, every: float) -> None:
    began = time.monotonic()
    # A run that begins touches its .hydra; files of an earlier sweep in the same folder are older than that.
    since = time.time() - 1
    open_runs, counts = set(folders), Counter[str]()
    while open_runs and not ended.wait(every):
        found = {folder: status for folder in open_runs if (status := _status(folder, since)) is not None}
        open_runs -= set(found)
        counts.update(found.values())
        if found:
            print(progress_line(counts, total=len(folders), seconds=time.monotonic() - began), flush=True)


def _status(folder: Path, since: float) -> str | None:
    try:
        if (folder / ".hydra" / "hydra.yaml").stat().st_mtime < since:
            return None
    except OSError:
        return None
    record = read_run(folder)
    if record is None or (record["status"] == "failed" and (folder / "run.json").stat().st_mtime < since):
        return None  # what failed before is being done again
    return record["status"]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
