"""The tables of a run as the rules see them: arrays of plain numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gradlab.diagnosis.setting import Setting

Array = NDArray[np.float64]
LATEST = 5  # recorded steps whose median stands for the end of a run: one batch alone is noise


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was recorded of a run. In every array nan is "not measured" and inf "not a finite number".

    Attributes:
        steps: Recorded steps, shape (S,), ascending.
        depths: ``depth_index`` of the layers of the main path, shape (L,), ascending.
        hidden: How many of them are hidden; they come first, the head follows if it was recorded.
        columns: Columns of gradients.csv, each of shape (S, L).
        losses: Training loss at each row of metrics.csv, shape (M,).
        accuracies: Accuracy on the training batch, shape (M,); nan for tasks without one.
        test_losses: Loss on the test set, shape (M,); nan at rows where it was not evaluated.
        test_accuracies: Accuracy on it, shape (M,).
        loss_steps: Their steps, shape (M,).
        grad_norms: Global norm of the gradient, shape (M,).
        clipped_norms: The same after clipping, shape (M,).
        times: Gradient norm of the first recurrent layer's state at each time step, shape (R, T); R = 0 without.
        time_steps: The steps of its rows, shape (R,).
        status: How the run ended.
        setting: What is known of its config.
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
        """Return a column of the hidden layers, shape (S, hidden), or of all layers; nan where the table lacks it."""
        whole = self.columns.get(name)
        if whole is None:
            whole = np.full((len(self.steps), len(self.depths)), np.nan)
        return whole if head else whole[:, : self.hidden]

    @property
    def received(self) -> str:
        """The column that says what a layer receives: dL/dz, or dL/dh where a skip goes round z."""
        return "activation_grad_norm" if self.skips else "preactivation_grad_norm"

    @property
    def skips(self) -> bool:
        """Whether a skip goes round some layer, so that what the layer does not pass on still gets past it."""
        return bool((~np.isnan(self.column("skip_grad_norm"))).any())

    @property
    def plain(self) -> bool:
        """Whether the net is known to have neither skips nor normalization, so that its weights alone set scales."""
        return (self.setting.residual, self.setting.normalization) == ("none", "none")

    @property
    def begins(self) -> bool:
        """Whether the first recorded step is that of the untrained net."""
        return len(self.steps) > 0 and self.steps[0] == 0

    def where(self, mask: NDArray[np.bool_]) -> tuple[int, ...]:
        """Return the ``depth_index`` of the layers that a mask of shape (hidden,) or (L,) marks."""
        return tuple(int(depth) for depth in self.depths[: len(mask)][mask])


def at_end(table: Array) -> Array:
    """Return the median over the last few rows in which anything finite was measured, shape (columns,).

    Rows in which everything is nan or inf, as after a divergence, tell nothing of a layer and are left out; where all
    are such, the last row is returned as it is.
    """
    finite = np.isfinite(table)
    rows = table[finite.all(axis=1)] if finite.all(axis=1).any() else table[finite.any(axis=1)]
    if not len(rows):
        return table[-1] if len(table) else np.empty(0)
    return median(rows[-LATEST:], axis=0)


def median(table: Array, *, axis: int) -> Array:
    """Return the median of what is finite along an axis; nan where nothing is."""
    finite = np.isfinite(table)
    ordered = np.sort(np.where(finite, table, np.inf), axis=axis)
    count = finite.sum(axis=axis)
    low, high = (np.clip(place, 0, None) for place in ((count - 1) // 2, count // 2))
    pick = [np.take_along_axis(ordered, np.expand_dims(place, axis), axis).squeeze(axis) for place in (low, high)]
    return np.where(count > 0, (pick[0] + pick[1]) / 2, np.nan)
