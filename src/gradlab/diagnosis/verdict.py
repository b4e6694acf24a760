"""The result of a rule, and the words that its sentence is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from gradlab import errors


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A verdict on a run, with its evidence.

    Attributes:
        name: Such as ``vanishing``; `flow.FLOW` and `causes.FAULTS` list the names.
        sentence: The evidence in words.
        over: Axis of the comparison: ``depth``, ``time``, or ``training``.
        step: Step of the run at which the evidence was recorded, or starts.
        layers: ``depth_index`` of the affected layers; empty if the verdict is on the whole run.
        column: Column of ``gradients.csv``, ``metrics.csv`` or ``timesteps.csv`` with the evidence.
        value: The figure that was compared; None if there is no single one.
        threshold: The threshold it was compared with.
        source: Source of the rule.
    """

    name: str
    sentence: str
    over: str = "depth"
    step: int = 0
    layers: tuple[int, ...] = ()
    column: str = ""
    value: float | None = None
    threshold: float | None = None
    source: str = ""


class RemedyRecord(TypedDict):
    """A remedy in run.json.

    Attributes:
        overrides: What to add to the command.
        reason: Why it may help.
        source: Who published it.
    """

    overrides: list[str]
    reason: str
    source: str


class VerdictRecord(TypedDict):
    """A verdict in run.json.

    Attributes:
        when: ``initial`` or ``final``.
        root_cause: Whether it explains the others; at most one verdict of a run does.
        remedies: What may help, the most promising first.

    The other keys are those of `Verdict`.
    """

    when: str
    step: int
    over: str
    name: str
    sentence: str
    layers: list[int]
    column: str
    value: float | None
    threshold: float | None
    source: str
    root_cause: bool
    remedies: list[RemedyRecord]


def root_cause(verdicts: Iterable[VerdictRecord] | None) -> VerdictRecord | None:
    """Return the root cause among verdicts; None where nothing is wrong. A run older than root causes has none."""
    return next((verdict for verdict in verdicts or () if verdict.get("root_cause")), None)


def short(value: float) -> str:
    """Return a number in two significant digits: ``350``, ``0.0029``, ``1.9e-31``."""
    return errors.short(value, digits=2)


def places(indices: tuple[int, ...] | list[int], place: str = "layer") -> str:
    """Return ``layer 3`` or ``7 layers from 1 to 9``."""
    if len(indices) == 1:
        return f"{place} {indices[0]}"
    return f"{len(indices)} {place}s from {indices[0]} to {indices[-1]}"
