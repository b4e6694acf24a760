"""The result of a rule, and the words that its sentence is made of."""

from dataclasses import dataclass

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


def short(value: float) -> str:
    """Return a number in two significant digits: ``350``, ``0.0029``, ``1.9e-31``."""
    return errors.short(value, digits=2)


def places(indices: tuple[int, ...] | list[int], place: str = "layer") -> str:
    """Return ``layer 3`` or ``7 layers from 1 to 9``."""
    if len(indices) == 1:
        return f"{place} {indices[0]}"
    return f"{len(indices)} {place}s from {indices[0]} to {indices[-1]}"
