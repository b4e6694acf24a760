"""Locks of folders: one process at a time writes a run, or the tables of a sweep.

The operating system releases a lock when its process ends, however it ends, so a lock is never stale and no clock is
compared. The content of the lock's file describes the process that holds the lock, for messages.
"""

import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gradlab.errors import GradlabError

if TYPE_CHECKING:
    from filelock import FileLock

FILE = ".lock"  # of a run's folder
_TABLES = ".summary.lock"  # of a sweep's folder
_UNSUPPORTED = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
_RACE = 1.0  # seconds to wait for another process that only checks whether the lock is held
_warned = False  # whether this process has printed that a file system has no locks


class HeldError(GradlabError):
    """Another process writes the folder."""


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder inside the block.

    On a file system without locks, a warning is printed once, and the block runs without a lock.

    Args:
        folder: The run's folder.

    Raises:
        HeldError: Another process holds the lock; the message names it.
        OSError: The folder cannot be written.
    """
    path = folder / FILE
    lock = _acquire(path, seconds=_RACE)
    if lock is not None:
        _describe_holder(path)
    try:
        yield
    finally:
        if lock is not None:
            with suppress(OSError):  # Windows keeps an open file
                path.unlink(missing_ok=True)  # before the release; filelock never takes the lock of a removed file
            lock.release()


@contextmanager
def holding_tables(folder: Path) -> Iterator[None]:
    """Hold the lock of a sweep's tables inside the block; other processes wait until it is released.

    Args:
        folder: The sweep's folder.
    """
    lock = _acquire(folder / _TABLES, seconds=-1)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def is_held(folder: Path) -> bool:
    """Whether another process, or another caller in this one, holds the lock of a run's folder."""
    if not (folder / FILE).exists():
        return False
    try:
        lock = _acquire(folder / FILE, seconds=0)
    except HeldError:
        return True
    except OSError:  # a folder that cannot be written
        return False
    if lock is not None:
        lock.release()
    return False


def _acquire(path: Path, *, seconds: float) -> "FileLock | None":
    """Return the acquired lock; None if the file system has no locks. Negative seconds wait without an end."""
    from filelock import FileLock, Timeout  # slow to import

    # Not one object for each thread, because a run may end in another thread than it began in.
    lock = FileLock(path, timeout=seconds, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise HeldError(
            f"{path.parent} is being written by {_holder(path)}: wait for its end, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        _warn(path.parent)
        return None
    return lock


def _warn(folder: Path) -> None:
    global _warned
    if not _warned:
        print(
            f"gradlab: warning: {folder}: its file system has no locks; start no two runs in one folder",
            file=sys.stderr,
        )
        _warned = True


def _describe_holder(path: Path) -> None:
    holder = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
    }
    with suppress(OSError):  # Windows, where a locked file cannot be written, or a full disk
        path.write_text(json.dumps(holder), encoding="utf-8")


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']} ({holder['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
