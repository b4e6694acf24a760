"""Pool the figures of a layer that is called several times in one step, as if measured together."""

from math import sqrt

from gradlab.probe.gauge import F, Gauge


def pooled_moments(
    gauge: Gauge[F], old: tuple[F, F, F], seen: int, new: tuple[F, F, F], entries: int
) -> tuple[F, F, F]:
    """Pool norm, mean and standard deviation of ``seen`` entries with those of ``entries`` more.

    Args:
        gauge: The gauge of the figures.
        old: Norm, mean and standard deviation so far.
        seen: Number of entries so far.
        new: Norm, mean and standard deviation of the further entries.
        entries: Number of further entries.
    """
    before, after = seen / (seen + entries), entries / (seen + entries)
    within = gauge.hypot(old[2] * sqrt(before), new[2] * sqrt(after))
    between = (new[1] - old[1]) * sqrt(before * after)
    return gauge.hypot(old[0], new[0]), old[1] * before + new[1] * after, gauge.hypot(within, between)


def pooled_norm(gauge: Gauge[F], old: F | None, new: F) -> F:
    """Return the norm of two parts together; ``old`` is None if there is one part."""
    return new if old is None else gauge.hypot(old, new)


def pooled_share(old: F | None, seen: int, new: F, entries: int) -> F:
    """Return the mean over ``seen`` and ``entries`` further entries."""
    return new if old is None else old * (seen / (seen + entries)) + new * (entries / (seen + entries))


def pooled_rms(gauge: Gauge[F], old: F | None, seen: int, new: F, entries: int) -> F:
    """Return the root mean square over ``seen`` and ``entries`` further entries."""
    if old is None:
        return new
    return gauge.hypot(old * sqrt(seen / (seen + entries)), new * sqrt(entries / (seen + entries)))
