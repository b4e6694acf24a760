"""How sure a ranking is: bootstrap intervals of the median, and tiers of what cannot be told apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
_CONFIDENCE = 0.95


def interval(samples: Sequence[Sequence[float]], *, draws: int = DRAWS) -> tuple[float, float]:
    """Return the 95% percentile interval of the median over seeds of each seed's mean loss (Efron 1979).

    Two kinds of chance are resampled: which seeds were taken, and within each seed at which of the last steps the loss
    was measured. The random numbers are the same for all, so that equal samples have equal intervals.

    Args:
        samples: For each seed its losses at the last evaluations; a run that did not complete is ``[inf]``.
        draws: Number of bootstrap samples.
    """
    generator = np.random.default_rng(0)
    means = np.array([_means(np.asarray(own, dtype=float), draws, generator) for own in samples])
    chosen = generator.integers(len(samples), size=(draws, len(samples)))
    medians = np.array(middle(means[chosen, np.arange(draws)[:, None]], axis=1))
    low, high = (1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2
    found = np.sort(medians)
    return float(found[int(low * (draws - 1))]), float(found[int(np.ceil(high * (draws - 1)))])


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

    Args:
        intervals: Interval of each, the best first.
    """
    found: list[int] = []
    best = (np.inf, -np.inf)
    for low, high in intervals:
        if not found or low > best[1]:
            found.append(found[-1] + 1 if found else 1)
            best = (low, high)
        else:
            found.append(found[-1])
    return found


def agreement(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Kendall's tau-b of two rankings, which allows for ties; nan where one is all ties (Kendall 1945).

    Args:
        first: Rank or tier of each item.
        second: Rank or tier of the same items.
    """
    signs = [np.sign(np.subtract.outer(values, values))[np.triu_indices(len(values), 1)] for values in (first, second)]
    norm = np.sqrt(np.prod([np.abs(one).sum() for one in signs]))
    return float((signs[0] * signs[1]).sum() / norm) if norm else float("nan")


def _means(losses: NDArray[np.float64], draws: int, generator: np.random.Generator) -> NDArray[np.float64]:
    return losses[generator.integers(len(losses), size=(draws, len(losses)))].mean(axis=1)
