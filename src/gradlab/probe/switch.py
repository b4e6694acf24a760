"""One switch for all hooks of a probe."""

from dataclasses import dataclass


@dataclass(slots=True)
class Switch:
    """Whether what hooks see belongs to the step: they may outlive it, and an evaluation must not be measured.

    Attributes:
        on: Whether it does.
    """

    on: bool = False
