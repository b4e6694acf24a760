"""Progress of a sweep, read from the files of its runs, so that it works under every launcher."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gradlab.artifacts.record import read_run, write_run
from gradlab.borders import print_line

EVERY = 10.0  # seconds between two lines


@contextmanager
def following(folders: Sequence[Path], *, every: float = EVERY) -> Iterator[None]:
    """Print the numbers of done, failed and remaining runs at intervals while the block runs the sweep.

    Args:
        folders: Folder of each run.
        every: Seconds between two lines; a line is printed only if a run has ended since the last one.

    Raises:
        KeyboardInterrupt: The sweep was interrupted. The command to resume it has been printed, and runs that ended
            without adding their rows to the sweep's tables have been added.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(folders, ended, every), daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        print_line(f"interrupted: repeat the command with {resume_override(folders)} to run the rest", to_stderr=True)
        from gradlab.sweep.summary import add_runs  # slow to import

        add_runs(folders[0].parent, folders)
        raise
    finally:
        ended.set()
        thread.join()


def resume_override(folders: Sequence[Path]) -> str:
    """Return the override that makes a command resume the sweep of these runs."""
    return f"hydra.sweep.dir={folders[0].parent}"


def abandon(folder: Path, reason: str) -> None:
    """Record a lost run as failed, unless it has written its run.json.

    Args:
        folder: The run's folder; created if it is missing.
        reason: Why the run was lost, for ``error`` in run.json.
    """
    if read_run(folder) is None:
        folder.mkdir(parents=True, exist_ok=True)
        write_run(folder, {"status": "failed", "error": reason})


def progress_line(counts: Counter[str], *, total: int, seconds: float) -> str:
    """Return the progress in one line, such as ``12 done, 1 failed, 83 left, about 2 min to go``.

    Args:
        counts: Status to number of runs that ended with it.
        total: Number of all runs.
        seconds: Seconds since the start of the sweep.
    """
    ended = counts.total()
    line = f"{ended - counts['failed']} done, {counts['failed']} failed, {total - ended} left"
    return line if ended in (0, total) else f"{line}, about {_duration(seconds / ended * (total - ended))} to go"


def _follow(folders: Sequence[Path], ended: threading.Event, every: float) -> None:
    began = time.monotonic()
    # A run writes its .hydra at its start, so older files belong to an earlier sweep in the same folder.
    since = time.time() - 1
    open_runs, counts = set(folders), Counter[str]()
    while open_runs and not ended.wait(every):
        statuses = {folder: status for folder in open_runs if (status := _status(folder, since)) is not None}
        open_runs -= set(statuses)
        counts.update(statuses.values())
        if statuses:
            print_line(progress_line(counts, total=len(folders), seconds=time.monotonic() - began))


def _status(folder: Path, since: float) -> str | None:
    try:
        if (folder / ".hydra" / "hydra.yaml").stat().st_mtime < since:
            return None
    except OSError:
        return None
    record = read_run(folder)
    if record is None or (record["status"] == "failed" and (folder / "run.json").stat().st_mtime < since):
        return None  # failed in an earlier sweep, and is running again
    return record["status"]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
