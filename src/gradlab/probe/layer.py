"""One layer under measurement: its three instruments and the hooks that they need."""

from collections.abc import Iterator
from types import ModuleType

from torch.utils.hooks import RemovableHandle

from gradlab.points import Point
from gradlab.probe.detail import DetailHooks
from gradlab.probe.pool import Pool
from gradlab.probe.signal import SignalHooks
from gradlab.probe.weight import WeightReader


class LayerProbe:
    """Everything that is measured at one `Point`.

    Args:
        point: Where to measure.
        name: Qualified name of the module that holds the weight.
        gauge: The module `gradlab.probe.host` or `gradlab.probe.device`.
        turns: Counts the layers of one step in the order in which they are first called.
    """

    def __init__(self, point: Point, name: str, gauge: ModuleType, turns: Iterator[int]) -> None:
        self.point = point
        self.name = name
        self.pool = Pool(gauge)
        self.signal = SignalHooks(point, self.pool, turns)
        self.detail = DetailHooks(point, self.pool)
        self.weight = WeightReader(point, self.pool)
        self._handles: list[RemovableHandle] = []
        self._detail_handles: list[RemovableHandle] = []

    def start(self, *, full: bool) -> None:
        """Forget the last step and make sure that just the hooks of this one are there."""
        self.pool.open()
        self.signal.calls = 0
        self.weight.clear()
        self.detail.clear()
        if not self._handles:
            self._handles = self.signal.attach() + self.weight.attach()
        if full and not self._detail_handles:
            self._detail_handles = self.detail.attach()
        elif not full:
            _remove(self._detail_handles)

    def stop(self) -> None:
        """Remove every hook."""
        _remove(self._handles)
        _remove(self._detail_handles)


def _remove(handles: list[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
    handles.clear()
