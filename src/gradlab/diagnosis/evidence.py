"""The tables of a run as arrays of plain numbers, the input of the rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradlab.diagnosis.config_facts import Setting

Array = NDArray[np.float64]
LATEST = 5  # number of last recorded steps whose median represents the end of a run, because single batches are noisy


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The recorded numbers of a run. In every array nan means "not measured" and inf "not a finite number".

    Attributes:
        steps: Recorded steps, shape (S,), ascending.
        depths: ``depth_index`` of the layers of the main path, shape (L,), ascending.
        hidden: Number of hidden layers among them; they come first, then the head if it was recorded.
        columns: Columns of gradients.csv, each of shape (S, L).
        losses: Training loss in each row of metrics.csv, shape (M,).
        accuracies: Accuracy on the training batch, shape (M,); nan for tasks without one.
        test_losses: Loss on the test set, shape (M,); nan in rows without an evaluation.
        test_accuracies: Accuracy on the test set, shape (M,); nan in rows without an evaluation.
        loss_steps: Step of each row of metrics.csv, shape (M,).
        grad_norms: Global norm of the gradient, shape (M,).
        clipped_norms: Global norm of the gradient after clipping, shape (M,).
        times: Gradient norm of the first recurrent layer's state at each time step, shape (R, T); R = 0 without one.
        time_steps: Training step of each row of ``times``, shape (R,).
        status: Status of the run, such as ``completed``.
        setting: Facts of the run's config.
    """

    steps: NDArray[np.int64]
    depths: NDArray[np.int64]
    hidden: int
    columns: Mapping[str, Array]
    losses: Array = field(default_factory=lambda: np.empty(0))
    accuracies: Array = field(default_factory=lambda: np.empty(0))
    test_losses: Array = field(default_factory=lambda: np.empty(0))
    test_accuracies: Array = field(default_factory=lambda: np.empty(0))
    loss_steps: Array = field(default_factory=lambda: np.empty(0))
    grad_norms: Array = field(default_factory=lambda: np.empty(0))
    clipped_norms: Array = field(default_factory=lambda: np.empty(0))
    times: Array = field(default_factory=lambda: np.empty((0, 0)))
    time_steps: Array = field(default_factory=lambda: np.empty(0))
    status: str = "completed"
    setting: Setting = field(default_factory=Setting)

    def column(self, name: str, *, head: bool = False) -> Array:
        """Return a column of the hidden layers, shape (S, hidden), or of all layers; nan if it is missing."""
        whole = self.columns.get(name)
        if whole is None:
            whole = np.full((len(self.steps), len(self.depths)), np.nan)
        return whole if head else whole[:, : self.hidden]

    @property
    def received(self) -> str:
        """Column of the gradient that reaches a layer: dL/dz, or dL/dh if a skip bypasses z."""
        return "activation_grad_norm" if self.skips else "preactivation_grad_norm"

    @property
    def skips(self) -> bool:
        """Whether a skip bypasses some layer, so that signal and gradient get past a layer that blocks them."""
        return bool((~np.isnan(self.column("skip_grad_norm"))).any())

    @property
    def plain(self) -> bool:
        """Whether the net is known to have neither skips nor normalization, so that weights determine all scales."""
        return (self.setting.residual, self.setting.normalization) == ("none", "none")

    @property
    def begins(self) -> bool:
        """Whether the first recorded step is of the untrained net."""
        return len(self.steps) > 0 and self.steps[0] == 0

    def where(self, mask: NDArray[np.bool_]) -> tuple[int, ...]:
        """Return the ``depth_index`` of the layers selected by a mask of shape (hidden,) or (L,)."""
        return tuple(int(depth) for depth in self.depths[: len(mask)][mask])


def at_end(table: Array) -> Array:
    """Return the median over the last few rows with finite values, shape (columns,).

    Rows without any finite value, as after a divergence, are left out. If there are no others, the last row is
    returned unchanged.
    """
    finite = np.isfinite(table)
    rows = table[finite.all(axis=1)] if finite.all(axis=1).any() else table[finite.any(axis=1)]
    if not len(rows):
        return table[-1] if len(table) else np.empty(0)
    return median(rows[-LATEST:], axis=0)


def median(table: Array, *, axis: int) -> Array:
    """Return the median of the finite values along an axis; nan where there are none."""
    return np.ma.filled(np.ma.median(np.ma.masked_invalid(table), axis=axis), np.nan)
