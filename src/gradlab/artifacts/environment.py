"""Environment of a run: versions, device, threads and git state."""

import os
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
        "git_dirty": _git_dirty(),
    }


def _git_dirty() -> bool | None:
    """Return whether the repository has changes; None outside a repository or without git."""
    filters = _git("config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|smudge|process|required)$") or ""
    unset = [f"{name}={'false' if name.endswith('.required') else ''}" for name in filters.splitlines()]
    options = [word for setting in unset for word in ("-c", setting)]
    status = _git(*options, "status", "--porcelain", "--ignore-submodules=dirty")
    return None if status is None else bool(status)


def _git(*arguments: str) -> str | None:
    """Return git's output in the working directory; None outside a repository or without git.

    Nothing that the repository's own configuration names is run: the folder may come from elsewhere.
    """
    safe = ["-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    try:
        result = subprocess.run(
            ["git", *safe, *arguments], capture_output=True, text=True, timeout=10, check=False, env=environment
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
