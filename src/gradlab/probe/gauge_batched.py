"""Gauge of K fused runs: each figure is a float64 tensor [K], one number for each run.

The batched version of `gradlab.probe.gauge_host`: the same functions, as a class because it needs K. The first
dimension of every tensor is divided among the runs in equal parts: samples [K * n, ...] as well as stacked weights
[K, ...]. A run's figures do not depend on the other runs, to the last bit.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gradlab.norms import CHUNK, SAFE_NORMS, SAFE_SQUARES, quiet, row_norms
from gradlab.probe.columns import QUANTILES, SATURATED
from gradlab.probe.gauge import MAX_CANCELLATION

_ONES = torch.ones(CHUNK)


class BatchedGauge:
    """The gauge of K runs.

    Args:
        count: K.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def norm(self, x: Tensor) -> Tensor:
        """Return the norm of each run's entries."""
        return _norms(self._rows(x))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return norm, mean and standard deviation (over n, not n - 1) of each run's entries."""
        rows = self._rows(x)
        if rows.device.type != "cpu" or rows.dtype is not torch.float32:
            return _wide_moments(rows)
        n = rows.shape[1]
        squares, means = _dots(rows, rows), _dots(rows, _ONES) / n
        variances = squares / n - means * means
        safe = (variances * n * MAX_CANCELLATION > squares) & (squares > SAFE_SQUARES[0]) & (squares < SAFE_SQUARES[1])
        figures = squares.sqrt(), means, variances.clamp(min=0).sqrt()
        if bool(safe.all()):
            return figures
        norms, means, stds = _replaced(figures, ~safe, lambda: _wide_moments(rows[~safe]))
        return norms, means, stds

    def hypot(self, x: Tensor, y: Tensor) -> Tensor:
        """Return sqrt(x^2 + y^2) without overflow."""
        return torch.hypot(x, y)

    def ratio(self, numerator: Tensor, denominator: Tensor) -> Tensor:
        """Return the quotient under the rules of IEEE 754: 0 / 0 is nan, 1 / 0 is inf."""
        return numerator / denominator

    def cosine(self, x: Tensor, y: Tensor, x_norm: Tensor, y_norm: Tensor) -> Tensor:
        """Return each run's cosine between two tensors of one shape, given their norms; nan where one is zero."""
        rows, others = self._rows(x), self._rows(y)
        if rows.device.type != "cpu" or rows.dtype is not torch.float32:
            return _wide_cosine(rows, others, x_norm, y_norm)
        quick = _dots(rows, others) / (x_norm * y_norm)
        low, high = SAFE_NORMS
        safe = (x_norm > low) & (x_norm < high) & (y_norm > low) & (y_norm < high)
        if bool(safe.all()):
            return quick
        bad = ~safe
        (cosines,) = _replaced((quick,), bad, lambda: (_wide_cosine(rows[bad], others[bad], x_norm[bad], y_norm[bad]),))
        return cosines

    def keep(self, x: Tensor, buffer: Tensor | None) -> Tensor:
        """Return a copy of ``x``, in ``buffer`` unless that is None."""
        return x.clone() if buffer is None else buffer.copy_(x)

    def distance(self, x: Tensor, kept: Tensor) -> Tensor:
        """Return the norm of each run's ``x - kept``."""
        return self.norm(x - kept)

    def moved(self, x: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Return the norms of each run's ``x - kept`` and ``x``, and copy ``x`` into ``kept``."""
        update = self.distance(x, kept)
        kept.copy_(x)
        return update, self.norm(x)

    def repeat(self, x: Tensor) -> Tensor:
        """Return ``x`` of one unit for each run, [K * n, 1, ...]: an activation has the same slope for all units."""
        return x[:, :1].repeat(self.count, *(1 for _ in x.shape[1:]))

    def largest(self, x: Tensor) -> Tensor:
        """Return each run's largest absolute value."""
        return self._rows(x).abs().amax(1)

    def slope_figures(self, slope: Tensor, steepest: Tensor) -> tuple[Tensor, Tensor]:
        """Return the root mean square of each run's slopes, and the share of entries at which it is saturated."""
        rows = self._rows(slope)
        flatter = (rows.abs() <= SATURATED * steepest.unsqueeze(1)).sum(1).double()
        return _norms(rows) / rows.shape[1] ** 0.5, flatter / rows.shape[1]

    def alive(self, output: Tensor) -> Tensor:
        """Return [K, units]: whether a unit (dimension 1) differs from 0 anywhere in the run's batch."""
        units = (output != 0).unflatten(0, (self.count, -1)).movedim(2, 1)
        return units.flatten(2).any(2)

    def share_dead(self, alive: Tensor) -> Tensor:
        """Return the share of each run's units that are not alive."""
        return 1 - alive.double().mean(1)

    def log_quantiles(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return quantiles of log10 |x|, linear between order statistics; -inf from a zero, nan from a nan."""
        ordered = _sorted(self._rows(x).abs())
        return tuple(_log_quantile(ordered, q * (ordered.shape[1] - 1)) for q in QUANTILES)

    def batch_first(self, x: Tensor) -> Tensor:
        """Return time steps [T, K * n, ...] as [K * n, T, ...]."""
        return x.transpose(0, 1)

    def time_norms(self, x: Tensor) -> Tensor:
        """Return the norm at each time step of [T, K * n, width] for each run, [T, K]."""
        return _norms(x.reshape(x.shape[0] * self.count, -1)).view(-1, self.count)

    def _rows(self, x: Tensor) -> Tensor:
        return x.detach().reshape(self.count, -1)


def _norms(rows: Tensor) -> Tensor:
    """Return the norm of each row in float64, without underflow or overflow."""
    if rows.dtype is not torch.float32:
        return row_norms(rows).flatten()
    if rows.device.type != "cpu":
        return torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64)  # no float32 square overflows
    squares = _dots(rows, rows)
    safe = (squares > SAFE_SQUARES[0]) & (squares < SAFE_SQUARES[1])
    if bool(safe.all()):
        return squares.sqrt()
    (norms,) = _replaced((squares.sqrt(),), ~safe, lambda: (row_norms(rows[~safe]).flatten(),))
    return norms


def _wide_moments(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return norm, mean and standard deviation of each row, in float64."""
    wide = rows.double()
    means = wide.mean(1)
    spread = row_norms(wide - means.unsqueeze(1)).flatten()
    return _norms(rows), means, spread / rows.shape[1] ** 0.5


def _wide_cosine(x: Tensor, y: Tensor, x_norm: Tensor, y_norm: Tensor) -> Tensor:
    return (x.double() / x_norm.unsqueeze(1) * (y.double() / y_norm.unsqueeze(1))).sum(1)


def _dots(x: Tensor, y: Tensor) -> Tensor:
    """Return the dot products of the rows of ``x`` with those of ``y``, or with ``_ONES``, in float32 chunks."""
    left, right = x.numpy(), y.numpy()
    total = np.zeros(len(left))
    with quiet():
        for start in range(0, left.shape[1], CHUNK):
            part = left[:, start : start + CHUNK]
            total += np.vecdot(part, right[..., : part.shape[1]] if y is _ONES else right[:, start : start + CHUNK])
    return torch.from_numpy(total)


def _replaced(figures: tuple[Tensor, ...], mask: Tensor, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Return figures with the rows in ``mask`` replaced by those that ``make`` returns."""
    return tuple(figure.masked_scatter(mask, new) for figure, new in zip(figures, make(), strict=True))


def _sorted(rows: Tensor) -> Tensor:
    """Return each row in ascending order, nan last; on a CPU by numpy, whose sort is vectorised."""
    if rows.device.type != "cpu":
        return rows.sort(1).values
    return torch.from_numpy(np.sort((rows if rows.element_size() >= 4 else rows.float()).numpy(), axis=1))


def _log_quantile(ordered: Tensor, position: float) -> Tensor:
    below = int(position)
    low, high = (ordered[:, min(i, ordered.shape[1] - 1)].double() for i in (below, below + 1))
    flat = (low == 0) | (low == high) | (position == below)
    low, high = low.log10(), high.log10()
    between = torch.where(flat, low, low + (position - below) * (high - low))
    return torch.where(ordered[:, -1].isnan(), torch.nan, between)
