"""What the numbers of a run may depend on beside its config."""

import platform
import subprocess
from importlib.metadata import version
from typing import Any

from gradlab import __version__


def describe_environment(*, device: str, threads: int) -> dict[str, Any]:
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
