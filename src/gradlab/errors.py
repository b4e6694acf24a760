"""The exceptions a user sees, and the wording of messages: suggestions, single lines, short numbers."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import metadata, requires
from pathlib import Path


class GradlabError(Exception):
    """An error a user can cause and mend; its message is one line: what is wrong, where, and what would be right.

    Attributes:
        exit_code: The exit code of a command that it ends.
        folder: The folder of the run or sweep that it ended, where `gradlab.run` or `gradlab.sweep` raise it.
    """

    exit_code = 1
    folder: Path | None = None


class GateError(GradlabError):
    """The run is whole, but its gate does not let it pass."""

    exit_code = 3


class Ending(SystemExit):
    """Ends a command from within Hydra: it turns exceptions of callbacks into warnings, and prints those of a run.

    Args:
        error: Why it ends.
        printed: Whether stderr has that already.
    """

    def __init__(self, error: Exception, *, printed: bool = False) -> None:
        super().__init__(getattr(error, "exit_code", 1))
        self.error, self.printed = error, printed


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like a mistyped word, or None where none is like it."""
    by_folded = {choice.lower(): choice for choice in choices}
    matches = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(suggestion: str | None) -> str:
    """The tail of a message about a wrong name."""
    return f"; did you mean {suggestion}?" if suggestion else ""


def short(value: float, *, digits: int = 3) -> str:
    """Return a number in a few significant digits: ``0.236``, ``1.9e-31``, ``1230``, ``nan``."""
    text = f"{value:.{digits}g}"
    # "1.2e+03" reads worse than "1200"
    return f"{float(text):.0f}" if 1 <= abs(value) < 1e5 and "e" in text else text


def one_line(text: object) -> str:
    """Fold a message of several lines into one."""
    return " ".join(str(text).split())


def install_hint(module: str) -> str | None:
    """Say how to install a library that belongs to one of gradlab's extras.

    Args:
        module: Name of the top-level module that could not be imported.

    Returns:
        A sentence without a full stop, or None for a library of no extra.
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
