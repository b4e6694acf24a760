"""How sure a ranking is: bootstrap intervals of the loss, and tiers of remedies that it cannot separate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.84  # two such intervals that just do not overlap differ at 5% (Goldstein & Healy 1995)
RESOLUTION = 0.02  # a smaller relative difference is of no use to anybody, however sure
_DRAWS = 2000


def interval(samples: Sequence[Sequence[float]], *, draws: int = _DRAWS) -> tuple[float, float]:
    """Return the percentile interval of the typical loss, the geometric mean over seeds (Efron 1979).

    Two kinds of chance are resampled: which seeds were taken, and within each seed at which of the last steps the loss
    was measured. Not the median over seeds: of three it has only three values, and its interval is their range. The
    random numbers are the same for all, so that equal samples have equal intervals.

    Args:
        samples: For each seed its losses at the last recorded steps; a run that did not complete is ``[inf]``.
        draws: Number of bootstrap samples.
    """
    generator = np.random.default_rng(0)
    means = np.array([_means(np.asarray(own, dtype=float), draws, generator) for own in samples])
    chosen = generator.integers(len(samples), size=(draws, len(samples)))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(means[chosen, np.arange(draws)[:, None]]).mean(axis=1)
    typical = np.sort(np.exp(np.where(np.isnan(logs), np.inf, logs)))  # a loss of 0 and an infinite one
    low, high = (1 - CONFIDENCE) / 2 * (draws - 1), (1 + CONFIDENCE) / 2 * (draws - 1)
    return float(typical[int(low)]), float(typical[int(np.ceil(high))])


def middle(values: NDArray[np.float64], *, axis: int = -1) -> NDArray[np.float64]:
    """Return the median along an axis; between two infinities it is infinite, not nan."""
    ranked = np.sort(values, axis=axis)
    count = ranked.shape[axis]
    low, high = np.take(ranked, (count - 1) // 2, axis=axis), np.take(ranked, count // 2, axis=axis)
    return np.where(
        low == high, low, low + (np.where(np.isinf(high), np.inf, high) - np.where(np.isinf(low), 0, low)) / 2
    )


def tiers(intervals: Sequence[tuple[float, float]]) -> list[int]:
    """Return the tier of each of a ranked list, from 1: a tier is its best and all whose intervals overlap the best's.

    Intervals that lie less than `RESOLUTION` apart count as overlapping.

    Args:
        intervals: Interval of each, the best first.
    """
    found: list[int] = []
    best = (np.inf, -np.inf)
    for low, high in intervals:
        if not found or low > best[1] * (1 + RESOLUTION):
            found.append(found[-1] + 1 if found else 1)
            best = (low, high)
        else:
            found.append(found[-1])
    return found


def _means(losses: NDArray[np.float64], draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    return losses[generator.integers(len(losses), size=(draws, len(losses)))].mean(axis=1)
