"""The figures of one layer at one step, pooled where the layer is called several times."""

from math import sqrt
from types import ModuleType
from typing import Any

from torch import Tensor

Keys = tuple[str, str, str]
PREACTIVATION: Keys = ("preactivation_norm", "preactivation_mean", "preactivation_std")  # the mean is for pooling alone
ACTIVATION: Keys = ("activation_norm", "activation_mean", "activation_std")
Figure = Any  # a float from probe.host, a 0-d float64 tensor from probe.device


class Pool:
    """Figures by column name; a second value of the same figure is pooled with the first as if measured together.

    Args:
        gauge: The module `gradlab.probe.host` or `gradlab.probe.device`.
    """

    def __init__(self, gauge: ModuleType) -> None:
        self.gauge = gauge
        self.values: dict[str, Figure] = {}
        self.recording = False  # hooks may outlive the step: an evaluation must not be measured
        self._entries: dict[str, int] = {}

    def open(self) -> None:
        """Forget the last step and begin a new one."""
        self.recording = True
        self.values.clear()
        self._entries.clear()

    def add_norm(self, key: str, norm: Figure) -> None:
        """Add the norm of a further part."""
        old = self.values.get(key)
        self.values[key] = norm if old is None else self.gauge.hypot(old, norm)

    def add_share(self, key: str, share: Figure, entries: int) -> None:
        """Add a mean (a share) over ``entries`` further entries."""
        seen = self._entries.get(key, 0)
        self._entries[key] = total = seen + entries
        self.values[key] = share if not seen else self.values[key] * (seen / total) + share * (entries / total)

    def add_rms(self, key: str, rms: Figure, entries: int) -> None:
        """Add a root mean square over ``entries`` further entries."""
        seen = self._entries.get(key, 0)
        self._entries[key] = total = seen + entries
        if seen:
            rms = self.gauge.hypot(self.values[key] * sqrt(seen / total), rms * sqrt(entries / total))
        self.values[key] = rms

    def add_moments(self, keys: Keys, moments: tuple[Figure, ...], x: Tensor) -> None:
        """Add norm, mean and standard deviation of a further signal ``x``, under the names `PREACTIVATION` or so."""
        values = self.values
        norm, mean, std = keys
        seen = self._entries.get(norm, 0)
        self._entries[norm] = seen + x.numel()
        if seen:
            moments = self._pooled((values[norm], values[mean], values[std]), seen, moments, x.numel())
        values[norm], values[mean], values[std] = moments

    def _pooled(self, old: tuple[Figure, ...], seen: int, new: tuple[Figure, ...], entries: int) -> tuple[Figure, ...]:
        hypot, total = self.gauge.hypot, seen + entries
        within = hypot(old[2] * sqrt(seen / total), new[2] * sqrt(entries / total))
        between = (new[1] - old[1]) * (sqrt(seen * entries) / total)
        mean = old[1] * (seen / total) + new[1] * (entries / total)
        return hypot(old[0], new[0]), mean, hypot(within, between)
