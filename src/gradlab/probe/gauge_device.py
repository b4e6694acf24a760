"""Gauge for any device: figures are 0-d float64 tensors on it, computed without waiting for it.

The same functions as `gradlab.probe.gauge_host`; both implement the protocol `gradlab.probe.gauge.Gauge`.
"""

import torch
from torch import Tensor

from gradlab.norms import norm, row_norms
from gradlab.probe.columns import QUANTILES, SATURATED

__all__ = [
    "alive",
    "batch_first",
    "cosine",
    "distance",
    "hypot",
    "keep",
    "largest",
    "log_quantiles",
    "moments",
    "moved",
    "norm",
    "ratio",
    "repeat",
    "share_dead",
    "slope_figures",
    "time_norms",
]


def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return norm, mean and standard deviation (over n, not n - 1) of all entries of ``x``."""
    wide = x.detach().double()
    mean = wide.mean()
    return norm(wide), mean, norm(wide - mean) / x.numel() ** 0.5


def hypot(x: Tensor, y: Tensor) -> Tensor:
    """Return sqrt(x^2 + y^2) without overflow."""
    return torch.hypot(x, y)


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the quotient under the rules of IEEE 754: 0 / 0 is nan, 1 / 0 is inf."""
    return numerator / denominator


def cosine(x: Tensor, y: Tensor, x_norm: Tensor, y_norm: Tensor) -> Tensor:
    """Return the cosine between two tensors of one shape, given their norms; nan where one of them is zero."""
    return (x.double() / x_norm * (y.double() / y_norm)).sum()


def keep(x: Tensor, buffer: Tensor | None) -> Tensor:
    """Return a copy of ``x``, in ``buffer`` unless that is None."""
    return x.clone() if buffer is None else buffer.copy_(x)


def distance(x: Tensor, kept: Tensor) -> Tensor:
    """Return the norm of ``x - kept``."""
    return norm(x - kept)


def moved(x: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the norms of ``x - kept`` and of ``x``, and copy ``x`` into ``kept``."""
    update = distance(x, kept)
    kept.copy_(x)
    return update, norm(x)


def repeat(x: Tensor) -> Tensor:
    """Return ``x``: there is one run."""
    return x


def largest(x: Tensor) -> Tensor:
    """Return the largest absolute value."""
    return x.abs().max()


def batch_first(x: Tensor) -> Tensor:
    """Return ``x``: the figures of one run do not depend on the order of its dimensions."""
    return x


def time_norms(x: Tensor) -> Tensor:
    """Return the norm of each x[t], [T], in float64."""
    if x.dtype is torch.float32:  # float64 holds every square of a float32
        return torch.linalg.vector_norm(x, dim=(1, 2), dtype=torch.float64)
    return row_norms(x).flatten()


def slope_figures(slope: Tensor, steepest: Tensor) -> tuple[Tensor, Tensor]:
    """Return the root mean square of an activation's slopes and the share of entries at which it is saturated."""
    flatter = (slope.abs() <= SATURATED * steepest).double().mean()
    return norm(slope) / slope.numel() ** 0.5, flatter


def alive(output: Tensor) -> Tensor:
    """Return for each unit (dimension 1) whether it differs from 0 for any sample or position."""
    return (output.movedim(1, 0).flatten(1) != 0).any(dim=1)


def share_dead(alive: Tensor) -> Tensor:
    """Return the share of units that are not alive."""
    return 1 - alive.double().mean()


def log_quantiles(x: Tensor) -> tuple[Tensor, ...]:
    """Return quantiles of log10 |x|, linear between order statistics; -inf from a zero, nan from a nan."""
    ordered = x.double().abs().flatten().sort().values.log10()  # sort puts nan last
    return tuple(_quantile(ordered, q * (ordered.numel() - 1)) for q in QUANTILES)


def _quantile(ordered: Tensor, position: float) -> Tensor:
    below = int(position)
    low, high = ordered[below], ordered[min(below + 1, ordered.numel() - 1)]
    flat = torch.isinf(low) | (low == high) | (position == below)
    between = torch.where(flat, low, low + (position - below) * (high - low))
    return torch.where(torch.isnan(ordered[-1]), ordered[-1], between)
