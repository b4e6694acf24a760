"""Uncertainty of the ranking: bootstrap intervals of the loss, and tiers of remedies that do not differ."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.84  # two means whose 84% intervals just fail to overlap differ at the 5% level (Goldstein & Healy 1995)
RESOLUTION = 0.02  # relative differences below this are too small to matter, even if they are significant
_DRAWS = 2000  # bootstrap samples


def interval(samples: Sequence[Sequence[float]], *, draws: int = _DRAWS) -> tuple[float, float]:
    """Return the percentile interval of the typical loss, the geometric mean over seeds (Efron 1979).

    Both the seeds and, within each seed, the last recorded steps are resampled. The median over seeds is not used: for
    three seeds it has only three values, and its interval is their range. The generator is always seeded with 0, so
    that equal samples have equal intervals.

    Args:
        samples: For each seed the losses at the last recorded steps; ``[inf]`` for a run that did not complete.
        draws: Number of bootstrap samples.

    Returns:
        The lower and the upper end.
    """
    generator = np.random.default_rng(0)
    means = np.array([_means(np.asarray(losses, dtype=float), draws, generator) for losses in samples])
    chosen = generator.integers(len(samples), size=(draws, len(samples)))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(means[chosen, np.arange(draws)[:, None]]).mean(axis=1)
    typical = np.sort(np.exp(np.where(np.isnan(logs), np.inf, logs)))  # nan: the mean of log 0 and log inf
    low, high = (1 - CONFIDENCE) / 2 * (draws - 1), (1 + CONFIDENCE) / 2 * (draws - 1)
    return float(typical[int(low)]), float(typical[int(np.ceil(high))])


def middle(values: NDArray[np.float64], *, axis: int = -1) -> NDArray[np.float64]:
    """Return the median along an axis; if both middle values are infinite, it is infinite and not nan."""
    ranked = np.sort(values, axis=axis)
    count = ranked.shape[axis]
    low, high = np.take(ranked, (count - 1) // 2, axis=axis), np.take(ranked, count // 2, axis=axis)
    return np.where(
        low == high, low, low + (np.where(np.isinf(high), np.inf, high) - np.where(np.isinf(low), 0, low)) / 2
    )


def tiers(intervals: Sequence[tuple[float, float]]) -> list[int]:
    """Return the tier number, from 1, of each entry of a ranked list.

    A tier consists of its best entry and the following ones whose intervals overlap that of the best, or lie less than
    `RESOLUTION` from it.

    Args:
        intervals: Interval of each entry, from the best to the worst.
    """
    numbers: list[int] = []
    best = (np.inf, -np.inf)
    for low, high in intervals:
        if not numbers or low > best[1] * (1 + RESOLUTION):
            numbers.append(numbers[-1] + 1 if numbers else 1)
            best = (low, high)
        else:
            numbers.append(numbers[-1])
    return numbers


def _means(losses: NDArray[np.float64], draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    return losses[generator.integers(len(losses), size=(draws, len(losses)))].mean(axis=1)
