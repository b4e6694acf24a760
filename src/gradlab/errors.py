"""The exceptions that users see, and helpers for their messages: suggestions, single lines, short numbers."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import metadata, requires
from pathlib import Path


class GradlabError(Exception):
    """An error that a user can cause and fix. Its message is one line: what is wrong, where, and what would be right.

    Attributes:
        exit_code: The exit code of a command that it ends.
        folder: Folder of the run or sweep that it ended, if `gradlab.run` or `gradlab.sweep` raised it; else None.
    """

    exit_code = 1
    folder: Path | None = None


class GateError(GradlabError):
    """A complete run that fails its gate."""

    exit_code = 3


class Ending(SystemExit):
    """SystemExit that ends a command from within Hydra.

    Hydra turns other exceptions of callbacks into warnings, and prints those of a run itself.

    Args:
        error: The reason; its ``exit_code``, else 1, is the command's.
        printed: Whether the error is on stderr already.
    """

    def __init__(self, error: Exception, *, printed: bool = False) -> None:
        super().__init__(getattr(error, "exit_code", 1))
        self.error, self.printed = error, printed


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice most similar to a mistyped word, or None if none is similar."""
    by_folded = {choice.lower(): choice for choice in choices}
    matches = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(suggestion: str | None) -> str:
    """Return the end of a message about a wrong name; empty without a suggestion."""
    return f"; did you mean {suggestion}?" if suggestion else ""


def short(value: float, *, digits: int = 3) -> str:
    """Return a number in a few significant digits: ``0.236``, ``1.9e-31``, ``1230``, ``nan``."""
    text = f"{value:.{digits}g}"
    # "1.2e+03" reads worse than "1200"
    return f"{float(text):.0f}" if 1 <= abs(value) < 1e5 and "e" in text else text


def one_line(text: object) -> str:
    """Return a message of several lines as one line."""
    return " ".join(str(text).split())


def describe_os_error(error: OSError) -> str:
    """Return in one line which file or folder cannot be used, and why."""
    if error.filename is None or error.strerror is None:
        return f"{type(error).__name__}: {one_line(error)}"
    return f"{error.filename}: {error.strerror.lower()}"


def install_hint(module: str) -> str | None:
    """Return how to install a library that belongs to one of gradlab's extras.

    Args:
        module: Name of the top-level module that could not be imported.

    Returns:
        A sentence without a full stop; None for a library that belongs to no extra.
    """
    from packaging.requirements import Requirement  # needed for this message only

    extras = metadata("gradlab").get_all("Provides-Extra") or ()
    for requirement in map(Requirement, requires("gradlab") or ()):
        if requirement.name.replace("-", "_") == module and requirement.marker:
            for extra in extras:
                if requirement.marker.evaluate({"extra": extra}) and not requirement.marker.evaluate({"extra": ""}):
                    install = f"uv sync --extra {extra} or pip install 'gradlab[{extra}]' installs it"
                    return f"{requirement.name} is not installed; {install}"
    return None
