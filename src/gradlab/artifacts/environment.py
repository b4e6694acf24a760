"""Environment of a run: versions, device, threads and git state."""

import platform
import subprocess
from importlib.metadata import version
from typing import TypedDict

from gradlab import __version__


class Environment(TypedDict):
    """Environment of a run, on which its numbers depend; the git keys are None outside a repository."""

    gradlab: str
    python: str
    torch: str
    device: str
    threads: int
    git_sha: str | None
    git_dirty: bool | None


def describe_environment(*, device: str, threads: int) -> Environment:
    """Return the environment of this process, with a run's device and number of threads."""
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
    """Return git's output in the working directory; None outside a repository or without git."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
