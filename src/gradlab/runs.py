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
_NOT_FINGERPRINTED = {"hydra", "logger", "gate", "figures", "objective"}
_KNOWN_PACKAGES = {"gradlab", "torch", "torchvision"}  # their versions stand in the environment


class Table:
    """A CSV file that grows by rows; an unmeasured cell (None) is empty, floats are Python's shortest round-trip repr.

    Args:
        path: File to write; its header is written at once.
        columns: Names of the columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Append rows and hand them to the operating system."""
        self._writer.writerows(rows)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to that takes the place of ``path`` only once it is whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    kept = {key: value for key, value in config.items() if key not in _NOT_FINGERPRINTED}
    text = json.dumps([kept, dict(sources), __version__], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def foreign_sources(config: Any) -> dict[str, str]:
    """Return the source behind every ``_target_`` in a plain config that belongs to neither gradlab nor torch.

    That is the text of its module, helper functions and all; for a compiled module its version.
    """
    if isinstance(config, Mapping):
        target = config.get("_target_", "gradlab")
        own = {} if target.split(".")[0] in _KNOWN_PACKAGES else {target: _module_source(target)}
        return own | {name: text for value in config.values() for name, text in foreign_sources(value).items()}
    if isinstance(config, list | tuple):
        return {name: text for value in config for name, text in foreign_sources(value).items()}
    return {}


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


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
