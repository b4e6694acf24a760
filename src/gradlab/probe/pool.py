"""Figures of a layer that is called several times in one step, pooled as if measured together."""

from math import sqrt
from types import ModuleType
from typing import Any

from gradlab.probe.gauge_batched import Arms

Gauge = ModuleType | Arms  # probe.host, probe.device, or that of many runs
Figure = Any  # a float from probe.host, a 0-d float64 tensor from probe.device, [K] from probe.arms
Row = list[Figure]  # one layer's figures of one step, by columns.SLOT
Moments = tuple[Figure, Figure, Figure]


def pooled_moments(gauge: Gauge, old: Moments, seen: int, new: Moments, entries: int) -> Moments:
    """Pool norm, mean and standard deviation of ``seen`` entries with those of ``entries`` more.

    Args:
        gauge: The module `gradlab.probe.gauge_host` or `gradlab.probe.gauge_device`, or `Arms`.
        old: Norm, mean and standard deviation so far.
        seen: Number of entries they stand for.
        new: Those of the further entries.
        entries: Number of these.
    """
    before, after = seen / (seen + entries), entries / (seen + entries)
    within = gauge.hypot(old[2] * sqrt(before), new[2] * sqrt(after))
    between = (new[1] - old[1]) * sqrt(before * after)
    return gauge.hypot(old[0], new[0]), old[1] * before + new[1] * after, gauge.hypot(within, between)


def pooled_norm(gauge: Gauge, old: Figure | None, new: Figure) -> Figure:
    """Return the norm of two parts together; ``old`` is None where there is only one."""
    return new if old is None else gauge.hypot(old, new)


def pooled_share(old: Figure | None, seen: int, new: Figure, entries: int) -> Figure:
    """Return the mean over ``seen`` and ``entries`` further entries."""
    return new if old is None else old * (seen / (seen + entries)) + new * (entries / (seen + entries))


def pooled_rms(gauge: Gauge, old: Figure | None, seen: int, new: Figure, entries: int) -> Figure:
    """Return the root mean square over ``seen`` and ``entries`` further entries."""
    if old is None:
        return new
    return gauge.hypot(old * sqrt(seen / (seen + entries)), new * sqrt(entries / (seen + entries)))
