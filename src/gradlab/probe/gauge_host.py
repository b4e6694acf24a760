"""Gauge for CPU tensors: figures are Python floats, from float32 sums, or float64 ones where float32 is not accurate.

The same functions as `gradlab.probe.gauge_device`. A CPU has no queue, so a figure can be read at once; numpy's calls
take a third of the time of torch's.
"""

from math import hypot, inf, isnan, log10, nan, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradlab.norms import CHUNK, SAFE_NORMS, SAFE_SQUARES
from gradlab.norms import host_norm as norm
from gradlab.norms import norm as wide_norm
from gradlab.probe.columns import QUANTILES, SATURATED
from gradlab.probe.gauge import MAX_CANCELLATION
from gradlab.probe.gauge_device import batch_first, largest, repeat, time_norms

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

_ONES = np.ones(CHUNK, np.float32)
_ones: dict[int, NDArray[np.float32]] = {}  # slices of _ONES by length: making one costs as much as a dot product


def moments(x: Tensor) -> tuple[float, float, float]:
    """Return norm, mean and standard deviation (over n, not n - 1) of all entries of ``x``."""
    n = x.numel()
    if x.dtype is torch.float32:
        flat = x.numpy(force=True).ravel("K")  # detaches, in half the time of `detach`
        square = total = 0.0
        for start in range(0, n, CHUNK):
            part = flat[start : start + CHUNK] if n > CHUNK else flat
            ones = _ones.get(part.size)
            if ones is None:
                ones = _ones[part.size] = _ONES[: part.size]
            square += float(part.dot(part))
            total += float(part.dot(ones))
        mean = total / n
        variance = square / n - mean * mean
        if variance * n * MAX_CANCELLATION > square and SAFE_SQUARES[0] < square < SAFE_SQUARES[1]:
            return sqrt(square), mean, sqrt(variance)
    x = x.detach()
    wide = x.double()
    center = wide.mean()
    return norm(x), float(center), float(wide_norm(wide - center)) / sqrt(n)


def ratio(numerator: float, denominator: float) -> float:
    """Return the quotient under the rules of IEEE 754: 0 / 0 is nan, 1 / 0 is inf."""
    if denominator != 0:
        return numerator / denominator
    return nan if numerator == 0 or isnan(numerator) else inf


def cosine(x: Tensor, y: Tensor, x_norm: float, y_norm: float) -> float:
    """Return the cosine between two tensors of one shape, given their norms; nan where one of them is zero."""
    low, high = SAFE_NORMS
    if not (low < x_norm < high and low < y_norm < high):
        return float((x.double() / x_norm).mul(y.double() / y_norm).sum())
    return float(_flat(x).dot(_flat(y))) / (x_norm * y_norm)


def keep(x: Tensor, buffer: NDArray[np.floating] | None) -> NDArray[np.floating]:
    """Return a flat copy of ``x``, in ``buffer`` unless that is None."""
    if buffer is None:
        return _flat(x).copy()
    np.copyto(buffer, _flat(x))
    return buffer


def distance(x: Tensor, kept: NDArray[np.floating]) -> float:
    """Return the norm of ``x - kept``; ``kept`` is overwritten."""
    return norm(torch.from_numpy(np.subtract(_flat(x), kept, out=kept)))


def moved(x: Tensor, kept: NDArray[np.floating]) -> tuple[float, float]:
    """Return `distance` and `norm` of ``x`` in one pass over memory, and copy ``x`` into ``kept``."""
    if x.dtype is not torch.float32 or not x.is_contiguous():
        update = distance(x, kept)
        np.copyto(kept, _flat(x))
        return update, norm(x)
    flat = x.numpy().reshape(-1)
    moved_square = square = 0.0
    for start in range(0, flat.size, CHUNK):  # a chunk stays in the cache
        new, old = flat[start : start + CHUNK], kept[start : start + CHUNK]
        np.subtract(new, old, out=old)
        moved_square += _square(old)
        np.copyto(old, new)
        square += float(new.dot(new))
    return sqrt(moved_square), sqrt(square) if SAFE_SQUARES[0] < square < SAFE_SQUARES[1] else norm(x)


def slope_figures(slope: Tensor, steepest: Tensor) -> tuple[float, float]:
    """Return the root mean square of an activation's slopes and the share of entries at which it is saturated."""
    flat = _flat(slope)
    flatter = int(np.count_nonzero(np.abs(flat) <= SATURATED * float(steepest)))
    return norm(slope) / sqrt(flat.size), flatter / flat.size


def alive(output: Tensor) -> NDArray[np.bool_]:
    """Return for each unit (dimension 1) whether it differs from 0 for any sample or position."""
    units = (output if output.element_size() >= 4 else output.float()).numpy()
    return np.asarray(units.any(axis=tuple(i for i in range(units.ndim) if i != 1)))


def share_dead(alive: NDArray[np.bool_]) -> float:
    """Return the share of units that are not alive."""
    return 1 - int(np.count_nonzero(alive)) / alive.size


def log_quantiles(x: Tensor) -> tuple[float, ...]:
    """Return quantiles of log10 |x|, linear between order statistics; -inf from a zero, nan from a nan."""
    ordered = np.sort(np.abs(_flat(x)))  # vectorised, so faster than np.partition
    positions = [q * (ordered.size - 1) for q in QUANTILES]
    if np.isnan(ordered[-1]):
        return (float("nan"),) * len(QUANTILES)
    return tuple(_log_quantile(ordered, position) for position in positions)


def _log_quantile(ordered: NDArray[np.floating], position: float) -> float:
    below = int(position)
    low, high = (float(ordered[min(i, ordered.size - 1)]) for i in (below, below + 1))
    if low == 0 or position == below or low == high:
        return log10(low) if low > 0 else float("-inf")
    return log10(low) + (position - below) * (log10(high) - log10(low))


def _square(part: NDArray[np.floating]) -> float:
    square = float(part.dot(part))
    if SAFE_SQUARES[0] < square < SAFE_SQUARES[1]:
        return square
    return norm(torch.from_numpy(part)) ** 2  # a float64 holds the square of a float32


def _flat(x: Tensor) -> NDArray[np.floating]:
    return (x if x.element_size() >= 4 else x.float()).numpy().reshape(-1)  # numpy has no bfloat16
