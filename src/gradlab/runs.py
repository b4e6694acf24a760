"""What a run leaves on disk: its tables, run.json, fingerprint and environment."""

import csv
import hashlib
import inspect
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

from gradlab import __version__
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
# What may differ between two runs that would still write the same numbers.
_NOT_FINGERPRINTED = {"hydra", "logger", "follow", "gate", "figures", "objective"}
_NOT_FINGERPRINTED_OF_TRAIN = {"checkpoint", "checkpoint_every", "resume"}
# What an earlier run in the same folder must not leave to this one; the other files are written over.
_ENDING = ("run.json", "error.log")
_STALE = (
    *_ENDING,
    "checkpoint.pt",
    "auxiliary.csv",
    "timesteps.csv",
    "neighbours.csv",
    "lr_range.csv",
    "critical_line.csv",
)
_ABSENT = "absent"
_KNOWN_PACKAGES = {"gradlab", "torch", "torchvision"}  # their versions stand in the environment


class Table:
    """A CSV file that grows by rows; an unmeasured cell (None) is empty, floats are Python's shortest round-trip repr.

    Args:
        path: File to write; its header is written at once.
        columns: Names of the columns.
        keep: Size in bytes at which an earlier table is cut off and gone on with, header and all; None begins anew.

    Raises:
        GradlabError: The earlier table is gone, or shorter than that.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, keep: int | None = None) -> None:
        if keep is not None and (not path.exists() or path.stat().st_size < keep):
            raise GradlabError(
                f"{path} lacks rows that checkpoint.pt builds on; without checkpoint.pt the run starts over"
            )
        self._file = path.open("w" if keep is None else "a", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if keep is None:
            self._writer.writerow(columns)
        else:
            self._file.truncate(keep)

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows and hand them to the operating system."""
        self._writer.writerows(rows)
        self._file.flush()

    def sync(self) -> int:
        """Make sure that the rows so far outlive a crash, and return the file's size in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Tables:
    """The tables of one run by file name, each begun when it is first asked for, or gone on with.

    Args:
        folder: The run's folder.
        sizes: What `sync` returned when the run was saved; rows written after that are cut off.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int]) -> None:
        self._folder = folder
        self._open = {name: Table(folder / name, (), keep=size) for name, size in sizes.items()}

    def open(self, name: str, columns: Sequence[str]) -> Table:
        """Return the table of a name, with a header of ``columns`` where it is new."""
        if name not in self._open:
            self._open[name] = Table(self._folder / name, columns)
        return self._open[name]

    def sync(self) -> dict[str, int]:
        """Make sure that all rows outlive a crash, and return each file's size in bytes."""
        return {name: table.sync() for name, table in self._open.items()}

    def close(self) -> None:
        """Close the files."""
        for table in self._open.values():
            table.close()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to that takes the place of ``path`` only once it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear(folder: Path, *, stale: bool) -> None:
    """Remove the half-written files of a run that was killed, and how an earlier one ended: a run has no run.json yet.

    Args:
        folder: The run's folder.
        stale: Whether the rest of what the earlier run left goes too, before a run from step 0.
    """
    halves = [path for name in ("run.json", "checkpoint.pt") for path in folder.glob(f".{name}.*")]
    for path in [*halves, *(folder / name for name in (_STALE if stale else _ENDING))]:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict JSON by rename; nan and infinities become the strings "nan", "inf" and "-inf"."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(_plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def describe(error: Exception) -> str:
    """Return an error in one line: gradlab's own as they are, others with their type."""
    line = next(iter(str(error).splitlines()), "")
    return line if isinstance(error, GradlabError) else f"{type(error).__name__}: {line}"


def read_run(folder: Path) -> dict[str, Any] | None:
    """Return the run.json of a run's folder, None where there is none or it cannot be read."""
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def fingerprint(config: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """Return the sha256 that two runs share just when they must give the same numbers.

    Args:
        config: The resolved config as plain dictionaries.
        sources: Source text of each ``_target_`` that belongs to neither gradlab nor torch, by its name.
    """
    text = json.dumps([decisive(config), dict(sources), __version__], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def decisive(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a plain config that decides about the numbers: no figures, loggers or checkpoints."""
    kept = {key: value for key, value in config.items() if key not in _NOT_FINGERPRINTED}
    if "train" in kept:
        kept["train"] = {key: value for key, value in kept["train"].items() if key not in _NOT_FINGERPRINTED_OF_TRAIN}
    return kept


def differences(there: Any, here: Any, key: str = "") -> list[str]:
    """Say which dotted keys of two plain configs differ, as ``model.depth=10, not 50``."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        names = dict.fromkeys([*there, *here])
        return [
            line
            for name in names
            for line in differences(there.get(name, _ABSENT), here.get(name, _ABSENT), f"{key}.{name}".lstrip("."))
        ]
    return [] if there == here else [f"{key}={_shown(there)}, not {_shown(here)}"]


def foreign_sources(config: Any) -> dict[str, str]:
    """Return the source behind every ``_target_`` in a plain config that belongs to neither gradlab nor torch.

    That is the text of its module, helper functions and all; for a compiled module its version.
    """
    return {target: _module_source(target) for target in foreign_targets(config)}


def foreign_targets(config: Any) -> list[str]:
    """Return every ``_target_`` in a plain config that belongs to neither gradlab nor torch, each once."""
    if isinstance(config, Mapping):
        target = config.get("_target_", "gradlab")
        own = [] if target.split(".")[0] in _KNOWN_PACKAGES else [target]
        return list(dict.fromkeys([*own, *(name for value in config.values() for name in foreign_targets(value))]))
    if isinstance(config, list | tuple):
        return list(dict.fromkeys(name for value in config for name in foreign_targets(value)))
    return []


def _module_source(target: str) -> str:
    parts = target.split(".")
    modules = (sys.modules.get(".".join(parts[:length])) for length in range(len(parts), 0, -1))
    module = next(module for module in modules if module is not None)
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return str(getattr(sys.modules[parts[0]], "__version__", ""))


def environment(*, device: str, threads: int) -> dict[str, Any]:
    """Return what the numbers may depend on beside the config: versions, device, threads, the state of the code."""
    return {
        "gradlab": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "device": device,
        "threads": threads,
        "git_sha": _git("rev-parse", "HEAD"),
        "git_dirty": None if (status := _git("status", "--porcelain")) is None else bool(status),
    }


def _git(*arguments: str) -> str | None:
    """Return what git says of the working directory, None outside a repository or without git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
