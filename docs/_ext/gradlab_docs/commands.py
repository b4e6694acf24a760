"""The reference page of the commands: their own help, printed during the build."""

import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from gradlab_docs.markdown import fenced, page

_FOLDER = Path(sys.executable).parent


def names() -> list[str]:
    """Return the names of gradlab's commands, `gradlab` first."""
    return sorted(item.name for item in distribution("gradlab").entry_points if item.group == "console_scripts")


def commands_page() -> str:
    """Return the page of every command's ``--help``.

    Raises:
        CalledProcessError: A command's help does not end with exit code 0.
    """
    blocks = [f"## {name}\n\n{fenced(help_text(name), 'text')}" for name in names()]
    return page("Commands", "What each command prints under `--help`.", *blocks)


def help_text(name: str) -> str:
    """Return what a command prints under ``--help``, 100 columns wide."""
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [_FOLDER / name, "--help"], capture_output=True, text=True, encoding="utf-8", check=True, env=environment
    )
    return done.stdout
