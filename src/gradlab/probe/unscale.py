"""Recorded gradients as they would be without the factor on the loss that training in float16 needs."""

from collections.abc import Sequence
from math import log10
from typing import Any

from gradlab.probe.columns import COLUMNS

_NORMS = ("preactivation_grad_norm", "activation_grad_norm", "weight_grad_norm", "skip_grad_norm")
_LINEAR = frozenset(COLUMNS.index(name) for name in _NORMS)
_LOGARITHMIC = frozenset(place for place, name in enumerate(COLUMNS) if name.startswith("grad_log10_"))


def unscaled(rows: Sequence[tuple[Any, ...]], scale: float) -> list[tuple[Any, ...]]:
    """Return rows of ``gradients.csv`` with every figure of a gradient divided by ``scale``.

    Args:
        rows: Values in the order of ``columns.COLUMNS``, measured before any clipping; None for an empty cell.
        scale: The factor on the loss.
    """
    if scale == 1.0:
        return list(rows)
    shift = log10(scale)
    return [
        tuple(
            value
            if value is None
            else value / scale
            if place in _LINEAR
            else value - shift
            if place in _LOGARITHMIC
            else value
            for place, value in enumerate(row)
        )
        for row in rows
    ]
