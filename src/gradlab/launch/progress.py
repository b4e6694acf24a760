"""Progress of a sweep, read from the files of its runs, so that it works under every launcher."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gradlab.artifacts.lock import HeldError, holding
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
    # A run ends by writing its run.json, by rename: an unchanged one was there before.
    before = {folder: _identity(folder) for folder in folders}
    thread = threading.Thread(target=_follow, args=(before, ended, every), daemon=True)
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
    """Record a lost run as failed, unless it has written its run.json or another process is doing it.

    Args:
        folder: The run's folder; created if it is missing.
        reason: Why the run was lost, for ``error`` in run.json.
    """
    if read_run(folder) is None:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(HeldError), holding(folder):
            write_run(folder, {"status": "failed", "error": reason})


def progress_line(counts: Counter[str], *, total: int, seconds: float | None = None) -> str:
    """Return the progress in one line, such as ``12 done, 1 failed, 83 left, about 2 min to go``.

    Args:
        counts: Status to number of runs that ended with it.
        total: Number of all runs.
        seconds: Mean seconds from the end of one run to that of the next; None if unknown.
    """
    ended = counts.total()
    line = f"{ended - counts['failed']} done, {counts['failed']} failed, {total - ended} left"
    return line if seconds is None or ended == total else f"{line}, about {_duration(seconds * (total - ended))} to go"


def _follow(before: Mapping[Path, tuple[int, ...]], ended: threading.Event, every: float) -> None:
    open_runs, counts = set(before), Counter[str]()
    first: tuple[float, int] | None = None  # time of the first line, and the runs that had ended by then
    while open_runs and not ended.wait(every):
        statuses = {run: status for run in open_runs if (status := _status(run, before[run])) is not None}
        open_runs -= set(statuses)
        counts.update(statuses.values())
        if statuses:
            # The start of the processes, before the first run, says nothing about the rest.
            now, seconds = time.monotonic(), None
            if first is None:
                first = now, counts.total()
            else:
                seconds = (now - first[0]) / (counts.total() - first[1])
            print_line(progress_line(counts, total=len(before), seconds=seconds))


def _status(folder: Path, before: tuple[int, ...]) -> str | None:
    """Return the status of a run that has ended since the start; None if it has not."""
    if _identity(folder) == before:
        return None
    record = read_run(folder)
    return None if record is None else record["status"]


def _identity(folder: Path) -> tuple[int, ...]:
    """Return what changes when a run's run.json is replaced; empty if there is none."""
    try:
        status = (folder / "run.json").stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
