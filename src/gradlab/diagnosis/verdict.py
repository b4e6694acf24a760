"""What a rule says of a run."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A name for what was found, and the evidence for it.

    Attributes:
        name: Such as ``vanishing``; NAMES of `gradlab.diagnosis.causes` lists them.
        sentence: The evidence in words.
        over: What was compared: ``depth``, ``time``, or ``training``.
        step: Step of the run that the evidence is from, or begins at.
        layers: ``depth_index`` of the layers that are affected; empty where it is the whole run.
        column: Column of ``gradients.csv``, ``metrics.csv`` or ``timesteps.csv`` that it was read from.
        value: The figure that was compared; None where there is no single one.
        threshold: What it was compared with.
        source: Where the rule comes from.
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
    """Return two significant digits without a needless exponent: ``350``, ``0.0029``, ``1.9e-31``."""
    return f"{float(f'{value:.2g}'):g}"


def places(indices: tuple[int, ...] | list[int], place: str = "layer") -> str:
    """Return ``layer 3`` or ``7 layers from 1 to 9``."""
    if len(indices) == 1:
        return f"{place} {indices[0]}"
    return f"{len(indices)} {place}s from {indices[0]} to {indices[-1]}"
