"""What a run's verdicts say about the quantity that a figure shows, and the colour of each verdict."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gradlab.view import style

_NAMES = {"zero": "no gradient", "shallow": ""}
_COLORS = {
    "healthy": style.GREEN, "vanishing": style.BLUE, "zero": style.BLUE, "exploding": style.VERMILLION,
    "not_finite": style.VERMILLION, "diverged": style.VERMILLION, "failed": style.VERMILLION,
}  # fmt: skip
_BROKEN = ("diverged", "failed", "interrupted")


class Opening(NamedTuple):
    """How the title of a figure begins.

    Attributes:
        words: Such as ``Vanishing``; empty where there is no verdict.
        color: Colour of the verdict; empty where there is none.
    """

    words: str = ""
    color: str = ""

    def title(self, sentence: str) -> str:
        """Return a title that begins with the verdict."""
        return f"{self.words}: {sentence[:1].lower()}{sentence[1:]}" if self.words else sentence


def color_of(name: str) -> str:
    """Return the colour of a verdict: grey for those that are not about the gradient's size."""
    return _COLORS.get(name, style.QUIET)


def in_words(name: str) -> str:
    """Return a verdict's name as words: ``learning rate too low``."""
    return _NAMES.get(name, name.replace("_", " "))


def of_flow(record: Mapping[str, Any], *, over: str) -> Opening:
    """Return the verdict on the gradient's way at the first recorded step and, if it is another one, at the last.

    Args:
        record: The content of a run's run.json.
        over: ``depth`` or ``time``.
    """
    found = {
        item["when"]: item["name"]
        for item in record.get("verdicts") or ()
        if item.get("over") == over and item["name"] in ("healthy", "vanishing", "exploding", "zero", "not_finite")
    }
    first, last = found.get("initial", ""), found.get("final", "")
    changed = first and last and first != last
    words = f"{in_words(first)} at first, {in_words(last)} at the end" if changed else in_words(last or first)
    return _opening(record, words, last or first)


def of_columns(record: Mapping[str, Any], columns: Sequence[str]) -> Opening:
    """Return the verdict that was read from one of these columns: the root cause if it was, else the first.

    Args:
        record: The content of a run's run.json.
        columns: Columns of ``gradients.csv`` or ``metrics.csv``.
    """
    found = [item for item in record.get("verdicts") or () if item.get("column") in columns]
    found.sort(key=lambda item: not item.get("root_cause"))
    name = found[0]["name"] if found else ""
    return _opening(record, in_words(name), name)


def _opening(record: Mapping[str, Any], words: str, name: str) -> Opening:
    status = record.get("status", "")
    if status in _BROKEN:
        words, name = status, status
    return Opening(words.capitalize(), color_of(name) if words else "")
