"""Folder name of a run in a sweep."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from gradlab.config.hydra_compat import register_resolver

MAX_LENGTH = 80
DIGITS = 16  # hex digits of the hash: 64 bits, so that no two of a billion runs are likely to have one name
_EARLIER_DIGITS = 6  # of earlier versions


def run_name(overrides: Iterable[str], sweep: str | Path | None = None) -> str:
    """Return a run's folder name: its sorted overrides, path-safe and cut at 80 characters, and a hash of them.

    Args:
        overrides: The run's own overrides, such as `["model.depth=50", "activation=relu"]`.
        sweep: The sweep's folder. If it holds this run under the shorter name of earlier versions, that name is kept.

    Returns:
        For example `activation=relu,model.depth=50-6d9c1e44a1b07f52`.
    """
    texts = sorted(str(text) for text in overrides)
    text = ",".join(texts) or "defaults"
    safe = re.sub(r"[^\w.,=+-]", "_", text, flags=re.ASCII)[:MAX_LENGTH]
    name = f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"
    if sweep is not None and not Path(sweep, name).exists() and _overrides(Path(sweep, earlier_name(name))) == texts:
        return earlier_name(name)
    return name


def earlier_name(name: str) -> str:
    """Return the name that earlier versions gave the folder of a run, whose hash has fewer digits."""
    return name[: len(name) - DIGITS + _EARLIER_DIGITS]


def find_folder(sweep: Path, name: str) -> Path:
    """Return the folder of a run by its name, also where an earlier version named it."""
    earlier = sweep / earlier_name(name)
    return earlier if not (sweep / name).exists() and earlier.exists() else sweep / name


def _overrides(folder: Path) -> list[str] | None:
    try:
        return sorted(str(text) for text in yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text("utf-8")))
    except (OSError, TypeError, ValueError, yaml.YAMLError):
        return None


# Registered on import: the worker of a parallel launcher imports this module with the pickled task, and calls nothing.
register_resolver("run_name", run_name, replace=True)  # pyright: ignore[reportCallIssue]
