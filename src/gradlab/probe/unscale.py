"""Divide recorded gradients by the loss scale of float16 training."""

from collections.abc import Sequence
from math import log10
from typing import Any

from gradlab.probe.columns import COLUMNS

_NORMS = ("preactivation_grad_norm", "activation_grad_norm", "weight_grad_norm", "skip_grad_norm")
_LINEAR = frozenset(COLUMNS.index(name) for name in _NORMS)
_LOGARITHMIC = frozenset(index for index, name in enumerate(COLUMNS) if name.startswith("grad_log10_"))


def unscaled(rows: Sequence[tuple[Any, ...]], scale: float) -> list[tuple[Any, ...]]:
    """Return rows of ``gradients.csv`` with all gradients divided by ``scale``.

    Args:
        rows: Values in the order of ``columns.COLUMNS``, measured before any clipping; None for an empty cell.
        scale: The loss scale.
    """
    if scale == 1.0:
        return list(rows)
    shift = log10(scale)
    return [
        tuple(
            value
            if value is None
            else value / scale
            if index in _LINEAR
            else value - shift
            if index in _LOGARITHMIC
            else value
            for index, value in enumerate(row)
        )
        for row in rows
    ]
